"""Files that come with messages: into the workspace, part by part, and what the model is told.

A file of the host's id `fil_…` becomes `/workspace/inbox/<id>-<name>`. It is written beside that
place and renamed when it is whole, so what is there is whole; one that comes again is not written
again. What could not be kept is said where the model would look for it.

Loaded when the first file comes.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Said
from ironclaw_contract.limits import MAX_FILE_BYTES
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw_agent.tools.beneath import Beneath
    from ironclaw_contract.entries import File
    from ironclaw_contract.records import Part

INBOX: Final = "inbox"
_NAME_CHARS: Final = 60
_NAME_BYTES: Final = 150
_ENDING_CHARS: Final = 12
_REMEMBERED: Final = 4096
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WHY: Final = {
    errno.ENOSPC: "the disk space of this agent is used up",
    errno.EDQUOT: "the disk space of this agent is used up",
    errno.EFBIG: "it is larger than this agent may write",
    errno.ENOTDIR: f"something that is no directory stands at /workspace/{INBOX}",
    errno.ELOOP: f"something that is no directory stands at /workspace/{INBOX}",
}


class _Growing:
    """A file of which more parts are to come."""

    __slots__ = ("fd", "id", "next", "parent", "size", "why")

    def __init__(self, file: str) -> None:
        self.id = file
        self.next = 0
        self.size = 0
        self.parent = -1
        self.fd = -1
        self.why = ""
        """Why it is not kept; empty while it is."""

    @property
    def temporary(self) -> str:
        """What it is called until it is whole."""
        return f".{self.id}.part"

    def close(self) -> None:
        """Let go of it, and of what is there of it."""
        if self.fd >= 0:
            os.close(self.fd)
        if self.parent >= 0:
            _remove(self.temporary, self.parent)
            os.close(self.parent)
        self.fd = self.parent = -1


class Parcels:
    """The files that came, of one workspace.

    Args:
        files: The workspace.
    """

    def __init__(self, files: Beneath) -> None:
        self._files = files
        self._growing: _Growing | None = None
        self._lost: dict[str, str] = {}
        self._lines: dict[str, str] = {}

    def take(self, part: Part) -> None:
        """Take a part; a full disk is remembered, not raised.

        Raises:
            ContractError: It is not the one that comes next.
        """
        growing = self._growing
        if part.index == 0:
            # Also when a new airlock begins from the front what a former one had begun.
            if growing is not None:
                growing.close()
            growing = self._growing = _Growing(part.file)
        if growing is None or growing.id != part.file or growing.next != part.index:
            raise ContractError(WireCode.MALFORMED, "a part of a file that does not come next")
        growing.next += 1
        growing.size += len(part.data)
        if growing.size > MAX_FILE_BYTES:
            raise ContractError(WireCode.TOO_LARGE, "a file is longer than files may be")
        self._try(growing, lambda: self._write(growing, part.data))
        if part.whole is not None:
            if part.whole.id != part.file or part.whole.size != growing.size:
                raise ContractError(WireCode.MALFORMED, "a file is not the one that was told of")
            self._end(growing, part.whole)

    def describe(self, said: Said) -> Said:
        """The message with a line for each file, as the model is told of it."""
        if not said.files:
            return said
        lines = "\n".join(map(self._line, said.files))
        text = f"{said.text}\n{lines}" if said.text else lines
        return Said(
            message=said.message,
            sender=said.sender,
            text=text,
            at_ms=said.at_ms,
            files=said.files,
            foreign=said.foreign,
        )

    @staticmethod
    def _try(growing: _Growing, do: Callable[[], None]) -> None:
        if growing.why:
            return
        try:
            do()
        except OSError as error:
            growing.why = _WHY.get(error.errno or 0, "the file system refused it")
            growing.close()

    def _write(self, growing: _Growing, data: bytes) -> None:
        if growing.fd < 0:
            growing.parent = self._files.open_directory([INBOX], make=True)
            _remove(growing.temporary, growing.parent)
            growing.fd = os.open(growing.temporary, _FLAGS, 0o600, dir_fd=growing.parent)
        view = memoryview(data)
        while view:
            view = view[os.write(growing.fd, view) :]

    def _end(self, growing: _Growing, file: File) -> None:
        name = place_of(file)
        self._growing = None
        self._lines.pop(file.id, None)
        self._try(growing, lambda: self._settle(growing, name))
        growing.close()
        # One that was kept before is there all the same.
        if growing.why and not self._is_there(name):
            if len(self._lost) >= _REMEMBERED:
                self._lost.clear()
            self._lost[file.id] = growing.why

    @staticmethod
    def _settle(growing: _Growing, name: str) -> None:
        if not _exists(name, growing.parent):
            os.rename(growing.temporary, name, src_dir_fd=growing.parent, dst_dir_fd=growing.parent)

    def _line(self, file: File) -> str:
        known = self._lines.get(file.id)
        if known is None:
            # Looked at once: what a conversation begins with must not change with each call.
            if len(self._lines) >= _REMEMBERED:
                self._lines.clear()
            known = self._lines[file.id] = self._look(file)
        return known

    def _look(self, file: File) -> str:
        name = place_of(file)
        path = f"/workspace/{INBOX}/{name}"
        if (why := self._lost.get(file.id)) is not None:
            return f"[A file came with this and could not be kept: {why}. It was {name}]"
        if not self._is_there(name):
            return f"[File {path}: it is not there any more]"
        return f"[File {path}: {file.media_type}, {file.size} bytes]"

    def _is_there(self, name: str) -> bool:
        try:
            parent = self._files.open_directory([INBOX])
        except OSError:
            return False
        try:
            return _exists(name, parent)
        finally:
            os.close(parent)


def place_of(file: File) -> str:
    """The name of a file in the inbox: its id, which nobody else has, and what may stand behind it.

    Trust:
        `file.name` is a person's: only letters, digits and `._-` of it are taken.
    """
    name = "".join(char if char.isalnum() or char in "._-" else "_" for char in file.name)
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or len(ending) > _ENDING_CHARS:
        stem, dot, ending = name, "", ""
    stem = stem.strip(".")[:_NAME_CHARS]
    while len(f"{stem}{dot}{ending}".encode()) > _NAME_BYTES and (stem or ending):
        stem, ending = (stem[:-1], ending) if stem else ("", ending[:-1])
    return f"{file.id}-{stem or 'file'}{dot}{ending}"


def _exists(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _remove(name: str, parent: int) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
