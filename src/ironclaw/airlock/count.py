"""Counting what directories hold that a box can write, in a confined process with the box's uid.

Nothing is followed and no name is believed. What was opened by the box and deleted since has no
name to be found by: it is asked of the kernel, by the descriptors of sentry and gofer, before the
rights go. The gofer alone has those of what a box opened by its name only (`O_PATH`).

    run: _open_files -> confine.enter, take_ids, seal -> count, once for each directory -> report
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final

from ironclaw.airlock import confine, landlock
from ironclaw.airlock.messages import Count, Counted, pack_control

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator

    from ironclaw.airlock.messages import StartCount

_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_DEPTH: Final = 100
"""Directories within each other. Each takes two descriptors."""
_FILES: Final = 2 * MOST_DEPTH + 40
_TIME_S: Final = 10.0
"""Seconds for one directory. What was found by then is reported: never more than there is."""
_CLOCK_EVERY: Final = 256
_BLOCK: Final = 512
"""Unit of `st_blocks`, whatever the file system's own blocks are."""
_READABLE: Final = stat.S_IRUSR | stat.S_IXUSR


def run(request: StartCount, report: socket.socket, controls: confine.Controls) -> None:
    """Count and report, once.

    Args:
        request: What the core asked of the zygote.
        report: Where the outcome goes.
        controls: What the zygote has shut already.
    """
    try:
        nameless = _open_files(request.pids)
        tops = confine.enter(controls, request.base, request.names)
        confine.take_ids(controls, request.uid, request.gid)
        confine.seal(controls, dict.fromkeys(tops.values(), landlock.READ_DIR), files=_FILES)
        devices = {os.fstat(top).st_dev for top in tops.values()}
        counted = Counted(
            places=tuple(count(top, most_files=request.most_files) for top in tops.values()),
            held_bytes=sum(size for (device, _), size in nameless.items() if device in devices),
        )
    except OSError as error:
        counted = Counted(places=(), held_bytes=0, error=f"{type(error).__name__} {error.errno}")
    report.send(pack_control(counted))


def count(top: int, *, most_files: int, most_depth: int = MOST_DEPTH) -> Count:
    """Add up what is below an open directory, itself included.

    Args:
        top: The directory; it stays open.
        most_files: Entries after which nobody goes on.
        most_depth: Directories within each other after which nobody goes down.

    Raises:
        OSError: The directory itself cannot be read.
    """
    tally = _Tally(most_files, time.monotonic() + _TIME_S)
    _make_readable(top)
    tally.size = os.fstat(top).st_blocks * _BLOCK
    levels = [(top, os.scandir(top))]
    try:
        while levels and not tally.is_over:
            directory, entries = levels[-1]
            inner = _next_directory(tally, directory, entries)
            if inner is None:
                entries.close()
                levels.pop()
                if directory != top:
                    os.close(directory)
            elif len(levels) == most_depth:
                tally.is_whole = False
                os.close(inner)
            else:
                levels.append((inner, os.scandir(inner)))
    finally:
        for directory, entries in levels:
            entries.close()
            if directory != top:
                os.close(directory)
    return Count(tally.size, tally.files, tally.is_whole)


class _Tally:
    """What was found so far."""

    def __init__(self, most_files: int, deadline: float) -> None:
        self._most_files = most_files
        self._deadline = deadline
        self._linked: set[tuple[int, int]] = set()
        self.size = 0
        self.files = 0
        self.is_whole = True
        self.is_over = False

    def add(self, found: os.stat_result) -> None:
        """Add one entry; a file with several names has its bytes only once."""
        self.files += 1
        if self.files > self._most_files:
            self.is_whole, self.is_over = False, True
        elif self.files % _CLOCK_EVERY == 0 and time.monotonic() > self._deadline:
            self.is_over = True
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            known = (found.st_dev, found.st_ino)
            if known in self._linked:
                return
            self._linked.add(known)
        self.size += found.st_blocks * _BLOCK


def _next_directory(
    tally: _Tally, directory: int, entries: Iterator[os.DirEntry[str]]
) -> int | None:
    """Add entries up to the next directory, and open that one; None after the last entry."""
    for entry in entries:
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # gone since
        except OSError:
            tally.is_whole = False
            continue
        tally.add(found)
        if tally.is_over:
            return None
        if stat.S_ISDIR(found.st_mode):
            try:
                return _open(directory, entry.name)
            except (FileNotFoundError, NotADirectoryError):
                continue  # it is something else by now
            except OSError:
                tally.is_whole = False
    return None


def _open(directory: int, name: str) -> int:
    """Open a directory; one that its owner may not read is made readable first.

    A box could hide what it has in such a directory, and go on writing there.
    """
    try:
        inner = os.open(name, _OPEN, dir_fd=directory)
    except PermissionError:
        os.chmod(name, stat.S_IRWXU, dir_fd=directory)
        inner = os.open(name, _OPEN, dir_fd=directory)
    try:
        _make_readable(inner)
    except OSError:
        os.close(inner)
        raise
    return inner


def _make_readable(directory: int) -> None:
    mode = os.fstat(directory).st_mode
    if mode & _READABLE != _READABLE:
        os.fchmod(directory, stat.S_IMODE(mode) | stat.S_IRWXU)


def _open_files(pids: Iterable[int]) -> dict[tuple[int, int], int]:
    """Bytes of the files without a name that processes have open, each file once.

    Returns:
        Bytes by device and inode.

    Raises:
        OSError: This process may not look. A process that is gone has none.
    """
    found: dict[tuple[int, int], int] = {}
    for pid in pids:
        base = f"/proc/{pid}/fd"
        try:
            names = os.listdir(base)  # noqa: PTH208 - this process keeps clear of pathlib
        except FileNotFoundError:
            continue
        for name in names:
            try:
                file = os.stat(f"{base}/{name}")  # noqa: PTH116
            except FileNotFoundError:
                continue
            if stat.S_ISREG(file.st_mode) and file.st_nlink == 0:
                found[file.st_dev, file.st_ino] = file.st_blocks * _BLOCK
    return found
