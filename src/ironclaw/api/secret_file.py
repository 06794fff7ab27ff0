"""Small files that only their owner may read: written as a whole, durably; read with suspicion."""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

if TYPE_CHECKING:
    from pathlib import Path


def read_private(path: Path) -> str | None:
    """The stripped text of a small secret file, None when there is none.

    Raises:
        HostError: `KEY_UNUSABLE`, when others can read it or it is no small text file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error.strerror or "error") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _unusable(path, "it is no plain file")
        if mode & 0o077:
            raise _unusable(path, "others than its owner can read it")
        raw = os.read(descriptor, 4097)
    finally:
        os.close(descriptor)
    try:
        return raw[:4096].decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise _unusable(path, "it is not text") from error


def write_private(path: Path, raw: bytes) -> None:
    """Replace a 0600 file as a whole, durably. Raises HostError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        full = error.errno == 28  # noqa: PLR2004 - ENOSPC
        raise HostError(
            Code.DISK_FULL if full else Code.STORE_FAILED,
            f"{path} could not be written: {error.strerror}.",
            hint="Free some space, then try again." if full else "Check the directory's owner.",
        ) from error


def _unusable(path: Path, why: str) -> HostError:
    return HostError(
        Code.KEY_UNUSABLE,
        f"{path} is not usable: {why}.",
        hint=f"It must be yours alone: `chmod 600 {path}`; or remove it and run `ironclaw up`.",
    )
