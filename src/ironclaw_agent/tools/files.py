"""`read_file`, `write_file` and `list_files`: files below a directory, mostly the workspace."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from ironclaw_agent.tools.errors import ToolError

if TYPE_CHECKING:
    from ironclaw_agent.tools.beneath import Beneath

_READ_BYTES: Final = 32 * 1024
_MAX_ENTRIES: Final = 500


class ReadFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `read_file`."""

    path: str
    offset: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 0


class WriteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `write_file`."""

    path: str
    text: str
    append: bool = False


class ListFiles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `list_files`."""

    path: str = ""


def read_file(arguments: ReadFile, files: Beneath) -> str:
    """Return a part of a text file, and where the next part begins if there is one."""
    names = files.parts(arguments.path)
    if not names:
        raise ToolError("give the path of a file; list_files shows what there is")
    fd = files.open_file(names)
    try:
        size = os.fstat(fd).st_size
        data = os.pread(fd, _READ_BYTES, arguments.offset)
    finally:
        os.close(fd)
    end = arguments.offset + len(data)
    text = data.decode("utf-8", "replace")
    if end < size:
        return f"{text}\n[{size} bytes in all; read on with offset {end}]"
    return text


def write_file(arguments: WriteFile, files: Beneath) -> str:
    """Write or append text, and say how long the file is now."""
    names = files.parts(arguments.path)
    if not names:
        raise ToolError("give the path of a file")
    size = files.replace_file(names, arguments.text.encode(), append=arguments.append)
    return f"wrote {'/'.join(names)}, now {size} bytes"


def list_files(arguments: ListFiles, files: Beneath) -> str:
    """List one directory: a line for each entry, with its kind and size."""
    fd: int = files.open_directory(files.parts(arguments.path))
    try:
        names = sorted(os.listdir(fd))
        lines = [_line(name, fd) for name in names[:_MAX_ENTRIES]]
        left = len(names) - len(lines)
    finally:
        os.close(fd)
    if left > 0:
        lines.append(f"[{left} more]")
    return "\n".join(lines) if lines else "[empty]"


def _line(name: str, parent: int) -> str:
    shown = os.fsencode(name).decode("utf-8", "replace")
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return f"{shown}  (just removed)"
    if stat.S_ISDIR(found.st_mode):
        return f"{shown}/"
    if stat.S_ISREG(found.st_mode):
        return f"{shown}  {found.st_size} bytes"
    return f"{shown}  (not a plain file)"
