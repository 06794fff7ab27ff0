"""Emptying a directory that a box could write, in a confined process with the box's own uid.

Nothing is followed and no name is believed. Deep trees are flattened instead of recursed into:
what a directory holds is moved up before the directory goes, so depth costs neither stack nor
descriptors.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from ironclaw.airlock import confine, landlock

if TYPE_CHECKING:
    import socket

_RIGHTS: Final = (
    landlock.READ_DIR
    | landlock.REMOVE_FILE
    | landlock.REMOVE_DIR
    | landlock.MAKE_DIR
    | landlock.REFER
)
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
DONE: Final = b"done"


def run(path: str, uid: int, gid: int, report: socket.socket) -> None:
    """Empty `path` and report `DONE`, or the name of the error.

    Args:
        path: The directory; it stays itself.
        uid: Who wrote there.
        gid: The group through which that one may write there.
        report: Where the outcome goes.
    """
    controls = confine.Controls()
    parent, name = os.path.split(path.rstrip("/"))
    top = confine.enter(controls, parent, (name,))[name]
    confine.take_ids(controls, uid, gid)
    confine.seal(controls, {top: _RIGHTS})
    try:
        empty(top)
    except OSError as error:
        report.send(f"{type(error).__name__} {error.errno}".encode())
    else:
        report.send(DONE)


def empty(top: int) -> None:
    """Remove everything below an open directory.

    Raises:
        OSError: Something does not go.
    """
    serial = 0
    while names := os.listdir(top):
        for name in names:
            serial = _remove(top, name, serial)


def _remove(top: int, name: str, serial: int) -> int:
    if _unlink(top, name):
        return serial
    inner = _open(top, name)
    try:
        for child in os.listdir(inner):  # noqa: PTH208 - an open directory
            if _unlink(inner, child):
                continue
            # A directory can be moved to another parent only if it may be written itself.
            os.close(_open(inner, child))
            while _is_there(top, f".sweep-{serial}"):
                serial += 1
            os.rename(child, f".sweep-{serial}", src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
    return serial


def _unlink(directory: int, name: str) -> bool:
    """Remove anything but a directory; return whether it is gone."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True


def _open(directory: int, name: str) -> int:
    """Open a directory that may have no permission bits, and give it back its owner's."""
    try:
        fd = os.open(name, _OPEN, dir_fd=directory)
    except PermissionError:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            raise
        os.chmod(name, 0o700, dir_fd=directory)
        fd = os.open(name, _OPEN, dir_fd=directory)
    try:
        os.fchmod(fd, 0o700)
    except OSError:
        os.close(fd)
        raise
    return fd


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
