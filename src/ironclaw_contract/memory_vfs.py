"""A SQLite file system that is one byte array: a segment is built and read in private memory.

There is no scratch file to clean up, no path that a box could race, and no journal: SQLite asks
this file system for anything else and is told that there is nothing. The cipher layer of the
binding wraps it under the name `CIPHER_VFS`.
"""

# ruff: noqa: N802, ARG002, FBT001 - SQLite gives these methods their names and arguments.

from __future__ import annotations

import apsw

_NAME = "ironclaw-memory"
CIPHER_VFS = f"multipleciphers-{_NAME}"
"""Give this to `apsw.Connection(vfs=…)`."""


class _File:
    """The one open file. Locks are void: nobody else can reach it."""

    def __init__(self, data: bytearray | bytes) -> None:
        self._data = data

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._data[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        target = self._data
        if not isinstance(target, bytearray):
            raise apsw.ReadOnlyError("this segment is being read")
        end = offset + len(data)
        if len(target) < end:
            target.extend(bytes(end - len(target)))
        target[offset:end] = data

    def xTruncate(self, size: int) -> None:
        if not isinstance(self._data, bytearray):
            raise apsw.ReadOnlyError("this segment is being read")
        del self._data[size:]

    def xSync(self, flags: int) -> None:
        """Memory is what it is."""

    def xFileSize(self) -> int:
        return len(self._data)

    def xLock(self, level: int) -> None:
        """Void."""

    def xUnlock(self, level: int) -> None:
        """Void."""

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 4096

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None:
        """The bytes belong to whoever passed them."""


class _MemoryVFS(apsw.VFS):
    """Opens the file that `place` put there, once, and nothing else."""

    def __init__(self) -> None:
        super().__init__(_NAME, base="", maxpathname=64)
        self.waiting: bytearray | bytes | None = None

    def xFullPathname(self, name: str) -> str:
        return name

    def xOpen(  # type: ignore[override]
        self, name: object, flags: list[int]
    ) -> _File:
        data, self.waiting = self.waiting, None
        if data is None or not flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            raise apsw.CantOpenError("a segment has no other files")
        flags[1] = flags[0]
        return _File(data)

    def xAccess(self, pathname: str, flags: int) -> bool:
        return False

    def xDelete(self, filename: str, syncdir: bool) -> None:
        raise apsw.IOError("a segment has no other files")


_vfs = _MemoryVFS()


def place(data: bytearray | bytes) -> None:
    """Make `data` the content of the next file that is opened. A bytearray may be written."""
    _vfs.waiting = data
