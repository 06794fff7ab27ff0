"""Where a provider's key is: whether it is there (the core), and the key itself (the model host).

The core calls `missing` only, which looks at names, owners and modes and opens nothing.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.config.providers import KeySource, ProviderSettings, key_source, needs_key

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_KEY_BYTES: Final = 64 * 1024
"""A service account's JSON is the longest there is."""
KEYRING_VARIABLES: Final = (
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "PYTHON_KEYRING_BACKEND",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
)
"""Without them a user's keyring cannot be found. None of them is a secret."""
_DIRECTORY: Final = "CREDENTIALS_DIRECTORY"


class NoKeyError(Exception):
    """A key cannot be used; says why, and holds nothing of it."""


def missing(provider: ProviderSettings, environ: Mapping[str, str]) -> str:
    """Why a provider's key cannot be used, as a clause; empty when nothing stands against it.

    Trust:
        Opens nothing: whether the key is the right one is seen when it is used.
    """
    source = key_source(provider.key)
    if source is None:
        return "" if not needs_key(provider) else "it has none"
    if source.kind == "env":
        return "" if environ.get(source.name) else f"the daemon has no variable {source.name}"
    if source.kind == "keyring":
        return ""  # asking it may ask a person: that is done when the key is needed
    path = _path(source, environ)
    if path is None:
        return f"the daemon was not given systemd's credential {source.name}"
    try:
        return _wrong_with(path.lstat(), path, mine=source.kind == "file")
    except OSError as error:
        return f"{path} cannot be looked at ({error.strerror})"


def read_key(provider: ProviderSettings, environ: Mapping[str, str]) -> str:
    """Read a provider's key; empty where it needs none. For the model host only.

    Raises:
        NoKeyError: It cannot be used.
    """
    if problem := missing(provider, environ):
        raise NoKeyError(problem)
    source = key_source(provider.key)
    if source is None:
        return ""
    match source.kind:
        case "env":
            text = environ[source.name]
        case "keyring":
            text = _from_keyring(source)
        case "file" | "credential":
            text = _read(source, environ)
    text = text.strip()
    if not text:
        raise NoKeyError(f"{source.name} is empty")
    if not text.isascii() or "\0" in text:
        raise NoKeyError(f"{source.name} does not hold a key")
    return text


def _from_keyring(source: KeySource) -> str:
    # Only where somebody's key is there: it looks for desktops.
    import keyring  # noqa: PLC0415
    from keyring.errors import KeyringError  # noqa: PLC0415

    service, _, user = source.name.partition("/")
    try:
        found = keyring.get_password(service, user)
    except KeyringError as error:
        raise NoKeyError(f"the keyring cannot be read ({type(error).__name__})") from error
    except Exception as error:  # noqa: BLE001 - the edge to a backend: nothing of it is repeated
        raise NoKeyError(f"the keyring failed ({type(error).__name__})") from None
    if found is None:
        raise NoKeyError(f"the keyring has no entry {source.name}")
    if len(found) > MAX_KEY_BYTES:
        raise NoKeyError(f"the keyring's entry {source.name} is too long for a key")
    return found


def _read(source: KeySource, environ: Mapping[str, str]) -> str:
    path = _path(source, environ)
    if path is None:
        raise NoKeyError(source.name)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor
            if problem := _wrong_with(os.fstat(fd), path, mine=source.kind == "file"):
                raise NoKeyError(problem)
            raw = file.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise NoKeyError(f"{path} cannot be read ({error.strerror})") from error
    if len(raw) > MAX_KEY_BYTES:
        raise NoKeyError(f"{path} is too long for a key")
    return raw.decode("latin-1")


def _path(source: KeySource, environ: Mapping[str, str]) -> Path | None:
    if source.kind == "file":
        return Path(source.name)
    directory = environ.get(_DIRECTORY, "")
    return Path(directory, source.name) if directory.startswith("/") else None


def _wrong_with(info: os.stat_result, path: Path, *, mine: bool) -> str:
    if not stat.S_ISREG(info.st_mode):
        return f"{path} is no plain file"
    if mine and (info.st_uid != os.geteuid() or stat.S_IMODE(info.st_mode) & 0o077):
        return f"{path} is not the daemon's user's alone (chmod 600)"
    return ""
