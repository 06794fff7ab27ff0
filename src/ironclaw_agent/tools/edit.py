"""`edit_file`: put one text in place of another that is in a file exactly once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from ironclaw_agent.tools.errors import ToolError

if TYPE_CHECKING:
    from ironclaw_agent.tools.beneath import Beneath

_MAX_BYTES: Final = 1024 * 1024
_MAX_LINES: Final = 5
"""Of those named in an error."""


class EditFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `edit_file`."""

    path: str
    old: Annotated[str, msgspec.Meta(min_length=1)]
    new: str


def edit_file(arguments: EditFile, files: Beneath) -> str:
    """Replace `old` by `new`; say in which line, and how long the file is now.

    Raises:
        ToolError: `old` is not there, or not only once: the words say what is there instead.
    """
    names = files.parts(arguments.path)
    if not names:
        raise ToolError("give the path of a file")
    old, new = arguments.old.encode(), arguments.new.encode()
    if old == new:
        raise ToolError("the old text and the new one are the same")
    before = _read(names, files)
    place = before.find(old)
    if place < 0:
        raise ToolError(_why_not(before, old))
    if before.find(old, place + 1) >= 0:
        raise ToolError(_too_often(before, old))
    after = before[:place] + new + before[place + len(old) :]
    size = files.replace_file(names, after, append=False)
    return f"changed {'/'.join(names)} in line {_line(before, place)}, now {size} bytes"


def _read(names: list[str], files: Beneath) -> bytes:
    fd = files.open_file(names)
    try:
        if os.fstat(fd).st_size > _MAX_BYTES:
            raise ToolError("the file is longer than 1 MiB; write the part that changes anew")
        return os.read(fd, _MAX_BYTES)
    finally:
        os.close(fd)


def _line(data: bytes, place: int) -> int:
    return data.count(b"\n", 0, place) + 1


def _too_often(data: bytes, old: bytes) -> str:
    lines: list[str] = []
    place = data.find(old)
    while place >= 0 and len(lines) <= _MAX_LINES:
        lines.append(str(_line(data, place)))
        place = data.find(old, place + 1)
    more = " and more" if len(lines) > _MAX_LINES else ""
    shown = ", ".join(lines[:_MAX_LINES])
    return (
        f"the old text is there more than once, in lines {shown}{more}; "
        "give more of what stands around it"
    )


def _why_not(data: bytes, old: bytes) -> str:
    # What models most often get wrong, cheap to find: space at both ends, then the first line.
    core = old.strip()
    place = data.find(core) if core else -1
    if place >= 0:
        return (
            "the old text is not there exactly: only the white space around it differs, "
            f"in line {_line(data, place)}"
        )
    first = core.split(b"\n", 1)[0].strip()
    place = data.find(first) if first else -1
    if place >= 0:
        return (
            f"the old text is not there, but its first line is, in line {_line(data, place)}: "
            "read the file and copy the text exactly"
        )
    return "the old text is not there: read the file and copy the text exactly"
