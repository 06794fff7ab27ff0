"""From SQLite's errors to ours: which code, and what the operator does next."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import apsw

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path

_LOW_BYTES = 1024 * 1024


def corrupt(path: Path, detail: str) -> HostError:
    """The file fails its check; it has not been touched."""
    return HostError(
        Code.STORE_CORRUPT,
        f"The store {path} does not pass its check.",
        hint="Nothing was changed. Stop ironclaw, copy the file away, then put back a backup of "
        "store.db together with the keys directory that belongs to it.",
        detail=detail,
    )


def edited(detail: str) -> HostError:
    """A row is not what was written there, whoever changed it."""
    return HostError(
        Code.STORE_CORRUPT,
        "A row of the store is not what was written there.",
        hint="Somebody or something changed the store. Put back a backup.",
        detail=detail,
    )


def disk_full(path: Path, detail: str) -> HostError:
    """There is no room for the transaction; none of it was kept."""
    return HostError(
        Code.DISK_FULL,
        f"There is no space left on the disk of {path}.",
        hint=f"Free some space below {path.parent}, then try again; nothing was half written.",
        detail=detail,
    )


def fault(error: apsw.Error, path: Path) -> HostError:
    """Translate what SQLite raised."""
    detail = f"{type(error).__name__}: {error}"
    match error:
        case apsw.FullError():
            return disk_full(path, detail)
        case apsw.CorruptError() | apsw.NotADBError():
            return corrupt(path, detail)
        case apsw.IOError() | apsw.CantOpenError() if _no_room(path):
            # The shared-memory file of the WAL grows outside SQLite's own check for a full disk.
            return disk_full(path, detail)
        case _:
            return HostError(
                Code.STORE_FAILED,
                f"The store {path} could not be read or written.",
                hint="Look at the detail in the log and at the disk's health (`dmesg`).",
                detail=detail,
            )


def os_fault(error: OSError, path: Path) -> HostError:
    """Translate what the file system raised."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return disk_full(path, str(error))
    return HostError(
        Code.STORE_FAILED,
        f"The store {path} could not be opened: {error.strerror}.",
        hint="Check that the state directory belongs to the user who runs ironclaw.",
        detail=str(error),
    )


def _no_room(path: Path) -> bool:
    try:
        room = os.statvfs(path.parent)
    except OSError:
        return False
    return room.f_bavail * room.f_frsize < _LOW_BYTES or room.f_favail == 0
