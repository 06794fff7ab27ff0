"""Default directories, and the check that a directory is really ours before anything goes in.

Root lives under /var/lib and /run; everybody else under the XDG directories. When there is no
XDG_RUNTIME_DIR the runtime directory is in the temporary directory, where anybody could have made
one of that name first: `claim_directory` refuses what somebody else owns or may write.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping


def home(environ: Mapping[str, str]) -> Path:
    """The user's home directory, from HOME or the password database."""
    return Path(environ.get("HOME") or Path("~").expanduser())


def default_state_dir(environ: Mapping[str, str], uid: int) -> Path:
    """Where state lives unless a setting says otherwise."""
    if uid == 0:
        return Path("/var/lib/ironclaw")
    base = _absolute(environ.get("XDG_STATE_HOME"))
    return (base or home(environ) / ".local" / "state") / "ironclaw"


def default_runtime_dir(environ: Mapping[str, str], uid: int) -> Path:
    """Where sockets and slots live unless a setting says otherwise."""
    if uid == 0:
        return Path("/run/ironclaw")
    base = _absolute(environ.get("XDG_RUNTIME_DIR"))
    if base is not None and base.is_dir() and base.stat().st_uid == uid:
        return base / "ironclaw"
    return Path(environ.get("TMPDIR") or "/tmp") / f"ironclaw-{uid}"  # noqa: S108 - see claim_directory


def config_candidates(environ: Mapping[str, str], uid: int) -> list[Path]:
    """Configuration files that are read when none is named: the first that exists."""
    candidates = []
    if uid != 0:
        base = _absolute(environ.get("XDG_CONFIG_HOME")) or home(environ) / ".config"
        candidates.append(base / "ironclaw" / "config.toml")
    candidates.append(Path("/etc/ironclaw/config.toml"))
    return candidates


def claim_directory(path: Path) -> Path:
    """Make a private directory, or check that the one there is private and ours.

    Returns:
        The path, which is now a directory of this user with mode 0700.

    Raises:
        UserError: `CONFIG_INVALID`, when somebody else owns it or it is no directory.
        HostError: `HOST_UNSUITED`, when it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        info = path.lstat()
    except OSError as error:
        raise HostError(
            Code.DISK_FULL if error.errno == 28 else Code.HOST_UNSUITED,  # noqa: PLR2004 - ENOSPC
            f"The directory {path} cannot be made: {error.strerror}.",
            hint="Make it yourself, or name another one with IRONCLAW_PATHS_STATE_DIR or "
            "IRONCLAW_PATHS_RUNTIME_DIR.",
        ) from error
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise UserError(
            Code.CONFIG_INVALID,
            f"{path} is not a directory of this user.",
            hint="Somebody else made it. Remove it, or name another directory in [paths].",
        )
    if stat.S_IMODE(info.st_mode) & 0o077:
        path.chmod(0o700)
    return path


def check_way(path: Path) -> None:
    """Check that nobody else can put something of theirs in a private directory's place.

    Call it outside the nest: inside an ordinary user's, root's own directories look like nobody's.

    Raises:
        UserError: `CONFIG_INVALID`: a directory above it is somebody else's, or anybody's.
    """
    for above in path.absolute().parent.resolve().parents:
        _check_above(path, above)
    _check_above(path, path.absolute().parent.resolve())


def _check_above(path: Path, above: Path) -> None:
    try:
        info = above.stat()
    except OSError:
        return  # not there yet, or `claim_directory` says what is wrong with it
    is_open = bool(info.st_mode & stat.S_IWOTH) and not info.st_mode & stat.S_ISVTX
    if not is_open and info.st_uid in {0, os.geteuid()}:
        return
    whose = "can be written by anybody" if is_open else "belongs to another user"
    raise UserError(
        Code.CONFIG_INVALID,
        f"{path} is not safe where it is: {above} {whose}.",
        hint="They could put their own directory in its place: name another one in [paths], or "
        f"mend the owner and mode of {above}.",
    )


def _absolute(value: str | None) -> Path | None:
    # XDG base directory specification: relative paths are to be ignored.
    return Path(value) if value and value.startswith("/") else None
