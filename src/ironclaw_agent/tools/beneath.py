"""Paths below one directory, resolved without ever leaving it.

Every part of a path is opened by itself, from the directory before it, and never through a link:
nothing that is swapped in between can lead out. A part `..` is refused, not resolved.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final

from ironclaw_agent.tools.errors import ToolError

_MAX_CHARS: Final = 1024
_MAX_DEPTH: Final = 32
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Beneath:
    """One directory and what is below it.

    Args:
        root: The directory.
        shown: What the model calls it, for example `/workspace`.
        prefix: What stands before a path below it where the model is told one; the model can give
            such a path back. Empty where paths without a leading slash are of this directory.
    """

    def __init__(self, root: str, shown: str, *, prefix: str = "") -> None:
        self._root = root
        self._shown = shown
        self.prefix = prefix

    def has(self, path: str) -> bool:
        """Whether an absolute path that the model wrote is of this directory."""
        return path == self._shown or path.startswith(f"{self._shown}/")

    def parts(self, path: str) -> list[str]:
        """Cut a path that the model wrote into names.

        Raises:
            ToolError: It leads out, is too long, or holds what no name may.

        Trust:
            `path` is a model's.
        """
        if len(path) > _MAX_CHARS:
            raise ToolError(f"the path is longer than {_MAX_CHARS} characters")
        if "\0" in path or not path.isprintable():
            raise ToolError("the path holds characters that no file name may have")
        if self.has(path):
            path = path[len(self._shown) :]
        elif path.startswith("/"):
            raise ToolError(f"only files below {self._shown} can be reached")
        names = [name for name in path.split("/") if name not in ("", ".")]
        if ".." in names:
            raise ToolError(f"'..' is not allowed; give the path from {self._shown}")
        if len(names) > _MAX_DEPTH:
            raise ToolError(f"the path is deeper than {_MAX_DEPTH} directories")
        return names

    def open_directory(self, names: list[str], *, make: bool = False) -> int:
        """Open the directory that `names` lead to; with `make`, make what is missing.

        Raises:
            OSError: A part is missing, is a link or is no directory.
        """
        fd = os.open(self._root, _DIRECTORY)
        try:
            for name in names:
                if make:
                    _make_directory(name, fd)
                inner = os.open(name, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = inner
        except OSError:
            os.close(fd)
            raise
        return fd

    def open_file(self, names: list[str]) -> int:
        """Open a plain file for reading.

        Raises:
            OSError: It is not there, or is a link.
            ToolError: It is not a plain file.
        """
        parent = self.open_directory(names[:-1])
        try:
            # Without O_NONBLOCK a named pipe would hold the whole agent up.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(names[-1], flags, dir_fd=parent)
        finally:
            os.close(parent)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise ToolError("this is not a file; use list_files to look into a directory")
        return fd

    def replace_file(self, names: list[str], data: bytes, *, append: bool) -> int:
        """Put `data` into a plain file, all of it or nothing; return the file's new size in bytes.

        Raises:
            OSError: There is no room, or a part of the path is a link or no directory.
            ToolError: Something else than a plain file stands there.
        """
        parent = self.open_directory(names[:-1], make=True)
        name = names[-1]
        # Not longer than the name: that may use all the bytes a name can have.
        temporary = f".{os.getpid()}.tmp"
        try:
            before = self._read_plain(name, parent) if append else _check_plain(name, parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = os.open(temporary, flags, 0o600, dir_fd=parent)
            try:
                view = memoryview(before + data)
                size = len(view)
                while view:
                    view = view[os.write(fd, view) :]
                os.fsync(fd)
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except OSError:
                os.unlink(temporary, dir_fd=parent)
                raise
            finally:
                os.close(fd)
        finally:
            os.close(parent)
        return size

    @staticmethod
    def _read_plain(name: str, parent: int) -> bytes:
        _check_plain(name, parent)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except FileNotFoundError:
            return b""
        try:
            parts = []
            while part := os.read(fd, 1024 * 1024):
                parts.append(part)
                if len(parts) > 8:  # noqa: PLR2004 - MiB
                    raise ToolError("the file is too large to append to; write a new one")
            return b"".join(parts)
        finally:
            os.close(fd)


def _make_directory(name: str, parent: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)


def _check_plain(name: str, parent: int) -> bytes:
    try:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return b""
    if not stat.S_ISREG(mode):
        raise ToolError("something that is not a plain file stands at that path")
    return b""
