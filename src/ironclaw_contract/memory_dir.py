"""`/memory` as a directory of topics that several boxes and the host change at the same time.

Locks do not cross the wall, and neither does the promise of `O_APPEND`; an exclusive create and a
rename do. So a change writes to one file of a fixed name, made exclusively, and its rename to the
topic both publishes the change and lets the next one begin. What a killed writer left is cleared
away after `STALE_S`. Every other box of the agent may be hostile: it can spoil what is here, but
neither hold a reader up nor lead it elsewhere.

    change_topic, replace_topic -> _begin (waits for its turn) -> make -> _commit
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TOPIC_BYTES: Final = 128 * 1024
MAX_TOPICS: Final = 200
MAX_TOPIC_CHARS: Final = 48
STALE_S: Final = 10.0
"""Seconds after which a change that was begun is given up by the others."""

_MAX_LOOKED: Final = 2000
_WAIT_S: Final = 1.0
"""For one's turn. Sixteen such waits, all that one answer of a model can make, stay below what the
watchdog of a box allows."""
_AGAIN_S: Final = 0.01
_SUFFIX: Final = ".md"
_WRITING: Final = ".writing"
_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class MemoryDirError(Exception):
    """It cannot be done; the text says why in words for a person or a model."""


class Topic(NamedTuple):
    """What the directory says of one."""

    name: str
    size: int
    """Bytes."""
    changed_ns: int
    """Since the epoch."""


class Listing(NamedTuple):
    """The topics, by name."""

    topics: tuple[Topic, ...]
    is_whole: bool
    """False when there is more than anybody looks at."""


class Content(NamedTuple):
    """A part of a topic."""

    data: bytes
    size: int
    """Bytes of all of it."""


def is_topic(name: str) -> bool:
    """Whether a topic may have this name: small letters, digits and `-`, no `-` in front."""
    return 0 < len(name) <= MAX_TOPIC_CHARS and name[0] != "-" and _LETTERS.issuperset(name)


def list_topics(directory: int) -> Listing:
    """The topics of an open directory; whatever else is there is passed over.

    Raises:
        OSError: The directory cannot be read.
    """
    found: list[Topic] = []
    is_whole = True
    with os.scandir(directory) as entries:
        for looked, entry in enumerate(entries):
            if looked == _MAX_LOOKED:
                is_whole = False
                break
            name = entry.name.removesuffix(_SUFFIX)
            if name == entry.name or not is_topic(name):
                continue
            with contextlib.suppress(OSError):
                known = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(known.st_mode):
                    found.append(Topic(name, known.st_size, known.st_mtime_ns))
    found.sort()
    return Listing(tuple(found[:MAX_TOPICS]), is_whole and len(found) <= MAX_TOPICS)


def read_topic(
    directory: int, name: str, *, offset: int = 0, limit: int = MAX_TOPIC_BYTES
) -> Content | None:
    """A part of a topic, at most `limit` bytes; None when there is no such topic.

    Raises:
        MemoryDirError: Something that is not a plain file has its name.
        OSError: It cannot be read.
    """
    try:
        fd = os.open(_file(name), _READ, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise MemoryDirError(f"what is called {name} is not a plain file") from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise MemoryDirError(f"what is called {name} is not a plain file")
        # The host's confined process may not call pread.
        os.lseek(fd, offset, os.SEEK_SET)
        return Content(os.read(fd, limit), found.st_size)
    finally:
        os.close(fd)


def change_topic(directory: int, name: str, change: Callable[[bytes | None], bytes | None]) -> None:
    """Make a topic into what `change` makes of it, as the only one who changes anything here.

    Args:
        directory: Open.
        name: Of the topic.
        change: From what is there to what shall be, None for no topic. It may raise.

    Raises:
        MemoryDirError: Others are changing it all the time, or it is too large or no plain file.
        OSError: There is no room, or the directory cannot be written.
    """
    _publish(directory, name, lambda: change(_whole(directory, name)))


def replace_topic(directory: int, name: str, data: bytes | None) -> None:
    """Put `data` in place of a topic, whatever is there; None takes it away.

    Raises:
        MemoryDirError: Others are changing the memory all the time.
        OSError: As for `change_topic`, or a directory has its name.
    """
    _publish(directory, name, lambda: data)


def _publish(directory: int, name: str, make: Callable[[], bytes | None]) -> None:
    file = _file(name)
    deadline = time.monotonic() + _WAIT_S
    while True:
        # Also after a change that others took for dead: they may do so again and again.
        fd = _begin(directory, deadline)
        try:
            after = make()
            if after is not None:
                _write(fd, after)
            if _is_ours(directory, fd):
                _commit(directory, file, is_there=after is not None)
                return
        except BaseException:
            if _is_ours(directory, fd):
                os.unlink(_WRITING, dir_fd=directory)
            raise
        finally:
            os.close(fd)


def _file(name: str) -> str:
    if not is_topic(name):
        raise MemoryDirError("a topic is named with a-z, 0-9 and '-', at most 48 of them")
    return name + _SUFFIX


def _whole(directory: int, name: str) -> bytes | None:
    content = read_topic(directory, name)
    if content is None:
        return None
    if content.size > MAX_TOPIC_BYTES:
        raise MemoryDirError(f"{name} is longer than a topic may be; replace it")
    return content.data


def _begin(directory: int, deadline: float) -> int:
    while time.monotonic() <= deadline:
        try:
            return os.open(_WRITING, _MAKE, 0o600, dir_fd=directory)
        except FileExistsError:
            if not _clear_stale(directory):
                time.sleep(_AGAIN_S)
    raise MemoryDirError("the memory is being changed by others; try again a little later")


def _clear_stale(directory: int) -> bool:
    """Take away what a killed writer left; return whether something went."""
    try:
        found = os.stat(_WRITING, dir_fd=directory, follow_symlinks=False)
        if abs(time.time_ns() - found.st_mtime_ns) < STALE_S * 1e9:
            return False
        _put_away(directory, stat.S_IFMT(found.st_mode))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _put_away(directory: int, kind: int) -> None:
    away = f".{os.urandom(8).hex()}"
    if kind == stat.S_IFREG:
        # Only one of several that see it can move it.
        os.rename(_WRITING, away, src_dir_fd=directory, dst_dir_fd=directory)
        os.unlink(away, dir_fd=directory)
    elif kind == stat.S_IFDIR:
        # No writer makes one. It may hold anything: then it stays where it is moved to.
        os.rename(_WRITING, away, src_dir_fd=directory, dst_dir_fd=directory)
        with contextlib.suppress(OSError):
            os.rmdir(away, dir_fd=directory)
    else:
        os.unlink(_WRITING, dir_fd=directory)


def _is_ours(directory: int, fd: int) -> bool:
    """Nobody took our change for one that a killed writer left."""
    try:
        found = os.stat(_WRITING, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return found.st_ino == os.fstat(fd).st_ino


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    os.fsync(fd)


def _commit(directory: int, file: str, *, is_there: bool) -> None:
    if is_there:
        os.rename(_WRITING, file, src_dir_fd=directory, dst_dir_fd=directory)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(file, dir_fd=directory)
    os.unlink(_WRITING, dir_fd=directory)
