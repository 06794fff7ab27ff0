"""`search_files`: find a text in the files below a directory, with bounds on all of the work.

A pattern is plain text where `*` stands for anything within a line. Its parts are looked for one
after the other, so no pattern takes more than one walk over a line.

    search_files -> _walk (nothing is followed) -> _look -> _matches
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from ironclaw_agent.tools.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw_agent.tools.beneath import Beneath

_MAX_HITS: Final = 100
_MAX_FILES: Final = 2000
_MAX_DEPTH: Final = 16
_MAX_FILE_BYTES: Final = 1024 * 1024
_MAX_BYTES: Final = 16 * 1024 * 1024
_TIME_S: Final = 1.5
"""Of one search; as many as one answer may ask for stay below what the watchdog allows."""
_MAX_LINE_CHARS: Final = 200
_BEFORE_CHARS: Final = 60
_SNIFF_BYTES: Final = 4096
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class SearchFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `search_files`."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    path: str = ""
    ending: Annotated[str, msgspec.Meta(max_length=100)] = ""
    ignore_case: bool = False
    stars: bool = False


class _File(NamedTuple):
    shown: str
    data: bytes
    is_whole: bool


class _Bounds:
    """What may still be done."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + _TIME_S
        self.files = _MAX_FILES
        self.bytes = _MAX_BYTES
        self.is_deep = False
        """Something was too deep to be looked at."""

    @property
    def is_over(self) -> bool:
        return self.files <= 0 or self.bytes <= 0 or time.monotonic() > self._deadline


def search_files(arguments: SearchFiles, files: Beneath) -> str:
    """List the lines that hold the text, as `path:line: text`."""
    folded = arguments.text.casefold() if arguments.ignore_case else arguments.text
    if "\n" in folded:
        raise ToolError("the text is looked for within lines: give one line")
    parts = [part for part in folded.split("*") if part] if arguments.stars else [folded]
    if not parts:
        raise ToolError("give some text besides the stars")
    names = files.parts(arguments.path)
    bounds = _Bounds()
    hits: list[str] = []
    is_whole = True
    for file in _walk(files, names, arguments.ending, bounds):
        is_whole &= file.is_whole
        for hit in _look(file, parts, ignore_case=arguments.ignore_case):
            hits.append(hit)
            if len(hits) == _MAX_HITS:
                break
        if len(hits) == _MAX_HITS:
            break
    if len(hits) == _MAX_HITS:
        hits.append(f"[only the first {_MAX_HITS} lines; look for something less common]")
    elif bounds.is_over or bounds.is_deep or not is_whole:
        hits.append("[not all was looked at: there is too much; give a path or an ending]")
    return "\n".join(hits) if hits else "[nothing found]"


def _walk(files: Beneath, names: list[str], ending: str, bounds: _Bounds) -> Iterator[_File]:
    """The files below a directory, those of the directory itself first."""
    directory = files.open_directory(names)
    waiting: list[list[str]] = []
    while True:
        inner: list[list[str]] = []
        try:
            for name in _names(directory):
                if bounds.is_over:
                    return
                bounds.files -= 1
                kind = _kind(directory, name)
                if kind == stat.S_IFDIR:
                    inner.append([*names, name])
                elif kind == stat.S_IFREG and name.endswith(ending):
                    path = files.prefix + "/".join([*names, name])
                    file = _read(directory, name, path, bounds)
                    if file is not None:
                        yield file
        finally:
            os.close(directory)
        waiting.extend(reversed(inner))
        directory = -1
        while directory < 0:
            if not waiting:
                return
            names = waiting.pop()
            if len(names) > _MAX_DEPTH:
                bounds.is_deep = True
                continue
            # One that is something else by now is passed over.
            with contextlib.suppress(OSError):
                directory = files.open_directory(names)


def _names(directory: int) -> list[str]:
    names = []
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            if len(names) > _MAX_FILES:
                break
    return sorted(names)


def _kind(directory: int, name: str) -> int:
    try:
        return stat.S_IFMT(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)
    except OSError:
        return 0


def _read(directory: int, name: str, path: str, bounds: _Bounds) -> _File | None:
    try:
        fd = os.open(name, _FILE, dir_fd=directory)
    except OSError:
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            return None
        data = os.pread(fd, _MAX_FILE_BYTES, 0)
    except OSError:
        return None
    finally:
        os.close(fd)
    bounds.bytes -= len(data)
    if b"\0" in data[:_SNIFF_BYTES]:
        return None
    shown = os.fsencode(path).decode("utf-8", "replace")
    return _File(shown, data, is_whole=found.st_size <= len(data))


def _look(file: _File, parts: list[str], *, ignore_case: bool) -> Iterator[str]:
    text = file.data.decode("utf-8", "replace")
    if not ignore_case and parts[0] not in text:
        return
    for number, line in enumerate(text.split("\n"), 1):
        place = _matches(line.casefold() if ignore_case else line, parts)
        if place >= 0:
            # Folding may have changed lengths; the place is only where to begin to show.
            begin = max(0, min(place, len(line)) - _BEFORE_CHARS)
            part = line[begin : begin + _MAX_LINE_CHARS].rstrip("\r")
            cut = "…" if begin or len(line) > begin + _MAX_LINE_CHARS else ""
            yield f"{file.shown}:{number}: {part}{cut}"


def _matches(line: str, parts: list[str]) -> int:
    """Where the first part is, if all are there in order; else -1."""
    first, place = -1, 0
    for part in parts:
        found = line.find(part, place)
        if found < 0:
            return -1
        if first < 0:
            first = found
        place = found + len(part)
    return first
