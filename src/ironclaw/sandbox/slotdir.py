"""The host side of a slot: its tmpfs in the view, and the durable directories of an agent.

    <view>/slots/<slot>/        tmpfs, capped
      in/   airlock:group 0750   run/  airlock:group 0750
      out/  tmpfs of its own, capped in bytes and inodes, airlock:group 0770
      log/  tmpfs of its own, 1 MiB, ours 0700: what runsc says of the box
      box/  in/ and run/ once more, read-only: what the box is given

The gofer itself refuses writes to read-only mounts, but does not mount them so (measured); the
binds in `box/` make the kernel refuse them too, whatever becomes of the gofer.

`group` is the box's gid. Nothing here opens, lists or follows what a box could write: a slot is
removed by detaching its mounts, and a durable directory is made but never walked.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.domain.wall import Durable, SlotDir
from ironclaw.sandbox import kernel
from ironclaw_contract.limits import OUT_DIR_BYTES, OUT_DIR_INODES

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.core.ids import SlotId
    from ironclaw.sandbox.ids import IdRange

SLOT_BYTES: Final = 64 * 1024 * 1024
SLOT_INODES: Final = 4096
"""What `in/` and `run/` of a slot may hold: an airlock that went bad cannot fill the memory."""
LOG_BYTES: Final = 1024 * 1024
"""What runsc may say of one box, should a box find a way to make it say much."""
READ_ONLY: Final = ("in", "run")
_SEALED: Final = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.SAFE
_NAME: Final = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")


def slot_path(view: Path, slot: SlotId) -> Path:
    """Return where a slot's directories are."""
    return view / "slots" / checked_name(slot)


def slot_dir(view: Path, slot: SlotId, ids: IdRange) -> SlotDir:
    """Describe a slot without touching it."""
    return SlotDir(slot, slot_path(view, slot), ids.box_uid, ids.airlock_uid, ids.box_gid)


def make_slot(directory: SlotDir) -> None:
    """Make and mount a slot's directories.

    Raises:
        HostError: They could not be made; nothing is left then.
    """
    path = directory.path
    owner = (directory.airlock_uid, directory.group)
    try:
        path.parent.mkdir(mode=0o711, exist_ok=True)
        path.mkdir(mode=0o711)
        try:
            kernel.mount(
                "ironclaw-slot",
                path,
                "tmpfs",
                kernel.SAFE,
                f"mode=0711,size={SLOT_BYTES},nr_inodes={SLOT_INODES}",
            )
            for name in ("in", "run", "out"):
                (path / name).mkdir(mode=0o750)
                os.chown(path / name, *owner)
            kernel.mount(
                "ironclaw-out",
                path / "out",
                "tmpfs",
                kernel.SAFE,
                f"mode=0770,uid={owner[0]},gid={owner[1]},"
                f"size={OUT_DIR_BYTES},nr_inodes={OUT_DIR_INODES}",
            )
            (path / "log").mkdir(mode=0o700)
            kernel.mount(
                "ironclaw-log",
                path / "log",
                "tmpfs",
                kernel.SAFE,
                f"mode=0700,size={LOG_BYTES},nr_inodes=16",
            )
            (path / "box").mkdir(mode=0o711)
            for name in READ_ONLY:
                place = path / "box" / name
                place.mkdir(mode=0o711)
                kernel.mount(str(path / name), place, "", kernel.MS_BIND)
                kernel.mount("none", place, "", _SEALED)
        except OSError:
            remove_slot(path)
            raise
    except OSError as error:
        raise _error(error, "The directories of a sandbox could not be made") from error


def is_slot(path: Path) -> bool:
    """Tell whether a slot is there and mounted, `out/` included."""
    try:
        devices = {os.lstat(each).st_dev for each in (path.parent, path, path / "out")}
    except OSError:
        return False
    return len(devices) == 3  # noqa: PLR2004 - view, slot and out are three file systems


def log_file(path: Path) -> Path:
    """Return where runsc writes what it has to say of a slot's box."""
    return path / "log" / "runsc.log"


def remove_slot(path: Path) -> None:
    """Detach a slot's mounts and remove its mount point. Nothing in them is looked at."""
    with contextlib.suppress(OSError):
        kernel.unmount(path)
    with contextlib.suppress(FileNotFoundError):
        path.rmdir()


def make_durable(parent: Path, kind: Durable, name: str, ids: IdRange) -> Path:
    """Make a durable directory with the right owner, or check that it has it.

    A workspace and a memory are the box's alone (0700). `shared` is ours and readable by the box.

    Args:
        parent: The directory of that kind; only the core can write to it.
        kind: What it is for.
        name: One path component.
        ids: The agent's range.

    Raises:
        HostError: It could not be made, or something else is in its place.
    """
    path = parent / checked_name(name)
    shared = kind is Durable.SHARED
    owner = (os.geteuid(), os.getegid()) if shared else (ids.box_uid, ids.box_gid)
    mode = 0o755 if shared else 0o700
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(mode)
            os.chown(path, *owner, follow_symlinks=False)
        found = os.lstat(path)
    except OSError as error:
        raise _error(error, f"The {kind} directory could not be made") from error
    if not stat.S_ISDIR(found.st_mode) or (found.st_uid, found.st_gid) != owner:
        raise HostError(
            Code.HOST_UNSUITED,
            f"The {kind} directory {name} belongs to other ids than this agent's.",
            hint="It was made by another user or by root: move it away, or start as that user.",
            detail=f"{path}: {found.st_uid}:{found.st_gid}, wanted {owner[0]}:{owner[1]}",
        )
    return path


def checked_name(name: str) -> str:
    """Return a slot id or a directory name if it is one safe path component. Raises ValueError."""
    if _NAME.match(name) is None:
        raise ValueError(f"not a name of ours: {name!r}")
    return name


def _error(error: OSError, what: str) -> HostError:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return HostError(
        Code.DISK_FULL if full else Code.HOST_UNSUITED,
        f"{what}: {error.strerror}.",
        hint="Free space or memory, then try again." if full else "`ironclaw doctor` says more.",
        detail=str(error),
    )
