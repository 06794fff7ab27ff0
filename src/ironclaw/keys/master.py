"""Where the master key comes from: a file of ours, or a credential that systemd hands over.

A source gives the key or says what is wrong; it never makes a second one where one was expected.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Mapping

MASTER_BYTES: Final = 32
CREDENTIAL: Final = "ironclaw-master"
"""Name for `LoadCredential=` or `LoadCredentialEncrypted=`."""


class MasterSource(Protocol):
    """One place a master key can come from."""

    def load(self) -> list[bytes]:
        """Keys to try, the expected one first; empty when there is none yet.

        Raises:
            HostError: `KEY_UNUSABLE`.
        """
        ...

    def make(self) -> bytes:
        """Make the first key, durable on return. Raises HostError."""
        ...

    def stage(self, key: bytes) -> None:
        """Keep a second key beside the first, before the ring is sealed with it. Raises HostError.

        Raises HostError (`KEY_UNUSABLE`) too when this source cannot be written.
        """
        ...

    def settle(self, key: bytes) -> None:
        """The ring is sealed with `key`: make it the only one. Idempotent. Raises HostError."""
        ...


class FileMaster:
    """`keys/master.key`: 32 raw bytes, mode 0600, made at the first start."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "master.key"
        self._next = directory / "master.key.next"

    def load(self) -> list[bytes]:
        """The key, then the one a rotation that was cut short may have left."""
        return [
            key for path in (self._path, self._next) if (key := read_private(path, MASTER_BYTES))
        ]

    def make(self) -> bytes:
        """Make the key with O_EXCL; the file and its name are on the disk on return."""
        key = secrets.token_bytes(MASTER_BYTES)
        write_new(self._path, key)
        return key

    def stage(self, key: bytes) -> None:
        """Write `master.key.next`."""
        self._next.unlink(missing_ok=True)
        write_new(self._next, key)

    def settle(self, key: bytes) -> None:
        """Rename or remove `master.key.next`."""
        if read_private(self._next, MASTER_BYTES) == key:
            self._next.replace(self._path)
        else:
            self._next.unlink(missing_ok=True)
        sync_directory(self._path.parent)


class CredentialMaster:
    """A systemd credential: the key never lies on the disk in the clear."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> list[bytes]:
        """The credential's bytes."""
        key = read_private(self._path, MASTER_BYTES)
        return [] if key is None else [key]

    def make(self) -> bytes:
        """Refuse: whoever runs the service makes it."""
        raise unusable(
            f"The credential {CREDENTIAL} is not there.",
            f"Make 32 random bytes and hand them over with LoadCredential={CREDENTIAL}:<file>.",
        )

    def stage(self, key: bytes) -> None:
        """Refuse, unless the unit hands over this key already."""
        if self.load() != [key]:
            raise unusable(
                "The master key comes from a systemd credential, which ironclaw cannot write.",
                "Rotate to a key file, or give the unit the new credential first.",
            )

    def settle(self, key: bytes) -> None:
        """Nothing to do."""


def find_master(directory: Path, environ: Mapping[str, str]) -> MasterSource:
    """The credential when the unit hands one over, else the file below `directory`."""
    handed = environ.get("CREDENTIALS_DIRECTORY")
    if handed and (path := Path(handed) / CREDENTIAL).exists():
        return CredentialMaster(path)
    return FileMaster(directory)


def unusable(message: str, hint: str, detail: str = "") -> HostError:
    """`KEY_UNUSABLE` with its next step."""
    return HostError(Code.KEY_UNUSABLE, message, hint=hint, detail=detail)


def read_private(path: Path, size: int | None = None, *, limit: int = 1024 * 1024) -> bytes | None:
    """Read a file that only we may read; None when it is not there.

    Args:
        path: Not followed when it is a link.
        size: Bytes it must have exactly.
        limit: Bytes it may have at most.

    Raises:
        HostError: `KEY_UNUSABLE`: it is readable by others, foreign, or of the wrong size.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(
            f"The key file {path} cannot be read: {error.strerror}.",
            "It must be a plain file of the user who runs ironclaw.",
        ) from error
    with os.fdopen(descriptor, "rb") as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_uid not in {os.geteuid(), 0}:
            raise unusable(
                f"The key file {path} is not a plain file of this user.",
                f"Look at it, then `chown` it to the user who runs ironclaw: {path}",
            )
        if stat.S_IMODE(info.st_mode) & 0o077:
            raise unusable(
                f"The key file {path} can be read by others (mode {info.st_mode & 0o777:04o}).",
                f"`chmod 600 {path}`. If anybody else may have read it, rotate the key afterwards.",
            )
        data = file.read(limit + 1)
    if len(data) > limit or (size is not None and len(data) != size):
        raise unusable(
            f"The key file {path} has the wrong size ({len(data)} bytes).",
            "It was cut short or replaced. Put back the copy from your backup.",
        )
    return data


def write_new(path: Path, data: bytes) -> None:
    """Make a private file that must not exist; it is on the disk on return. Raises HostError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            sync_directory(path.parent)
        except OSError:
            # Half a key would be refused at every later start.
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise write_failed(path, error) from error


def make_directory(path: Path) -> None:
    """Make the private keys directory, if it is not there. Raises HostError."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise write_failed(path, error) from error


def write_failed(path: Path, error: OSError) -> HostError:
    """Say that something below the keys directory cannot be written, and what to do."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return HostError(
        Code.DISK_FULL if full else Code.KEY_UNUSABLE,
        f"{path} cannot be written: {error.strerror}.",
        hint="Free some space and try again." if full else f"Look at {path.parent}.",
    )


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
