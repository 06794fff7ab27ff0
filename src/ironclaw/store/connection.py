"""Opening the file: cipher, durability, and the check that comes before the first write.

open_checked: look at the file -> key -> quick_check with checkpoints off -> hardened connection.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

import apsw

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.store.faults import corrupt, fault, os_fault

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES: Final = 32
_CACHE_KIB: Final = 4 * 1024
"""Of the writer: with 10,000 sessions a turn misses one page in it every fifth time."""
_READER_CACHE_KIB: Final = 2 * 1024
"""Smaller: a reader's pages are thrown away as soon as anything was written."""
_WAL_PAGES: Final = 2000
_WAL_BYTES: Final = 32 * 1024 * 1024
_STATEMENTS: Final = 200


def open_checked(path: Path, key: bytes) -> apsw.Connection:
    """Open the store for writing, made if it is not there, and check every page of it.

    A file that fails is left exactly as it was: no checkpoint, no journal, no repair.

    Raises:
        HostError: `STORE_CORRUPT`, `DISK_FULL` or `STORE_FAILED`.
    """
    _look(path)
    try:
        db = _keyed(path, key)
    except apsw.Error as error:
        raise fault(error, path) from error
    try:
        # Closing the last connection would fold the WAL into the file, a damaged one too.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        verdict = db.pragma("quick_check")
        if verdict != "ok":
            raise corrupt(path, str(verdict))
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
        _harden(db)
        db.pragma("cache_size", -_CACHE_KIB)
        db.pragma("journal_mode", "wal")
        # FULL: a commit is on the disk when it returns.
        db.pragma("synchronous", 2)
        db.pragma("wal_autocheckpoint", _WAL_PAGES)
        # The WAL keeps its size: writing over old frames syncs faster than growing the file.
        db.pragma("journal_size_limit", _WAL_BYTES)
        db.pragma("secure_delete", 1)
    except apsw.Error as error:
        db.close()
        raise fault(error, path) from error
    except HostError:
        db.close()
        raise
    return db


def open_reader(path: Path, key: bytes) -> apsw.Connection:
    """Open one more connection that cannot write. Raises HostError."""
    try:
        db = _keyed(path, key)
        _harden(db)
        db.pragma("cache_size", -_READER_CACHE_KIB)
        db.pragma("query_only", 1)
    except apsw.Error as error:
        raise fault(error, path) from error
    return db


def _keyed(path: Path, key: bytes) -> apsw.Connection:
    if len(key) != KEY_BYTES:
        raise ValueError("the store key has 32 bytes")
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOFOLLOW
    db = apsw.Connection(str(path), flags=flags, statementcachesize=_STATEMENTS)
    db.pragma("cipher", "sqlcipher")
    db.pragma("legacy", 4)
    db.execute(f"PRAGMA key = \"x'{key.hex()}'\"", can_cache=False)
    return db


def _harden(db: apsw.Connection) -> None:
    db.set_busy_timeout(5000)
    db.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    db.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    db.pragma("cell_size_check", 1)
    db.pragma("foreign_keys", 1)
    db.pragma("mmap_size", 0)
    # Temporary files would not be encrypted.
    db.pragma("temp_store", 2)


def _look(path: Path) -> None:
    try:
        info = path.lstat()
    except FileNotFoundError:
        _make(path)
        return
    except OSError as error:
        raise os_fault(error, path) from error
    if not stat.S_ISREG(info.st_mode):
        raise HostError(
            Code.STORE_FAILED,
            f"{path} is not a regular file.",
            hint="Move it away: the store is never reached through a link.",
        )
    if info.st_size == 0 and not path.with_name(path.name + "-new").exists():
        raise corrupt(path, "the file is empty")
    if stat.S_IMODE(info.st_mode) & 0o077:
        path.chmod(0o600)


def _make(path: Path) -> None:
    # The marker tells a first start that was cut short from a store that lost its content.
    marker = path.with_name(path.name + "-new")
    try:
        for name in (marker, path):
            flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(name, flags, 0o600))
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise os_fault(error, path) from error


def made(path: Path) -> None:
    """The first schema is in the file: it may never be empty again."""
    path.with_name(path.name + "-new").unlink(missing_ok=True)
