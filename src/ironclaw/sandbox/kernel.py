"""System calls that the standard library lacks: mount, umount2, unshare, prctl. No policy here.

Numbers are those of the kernel's headers: uapi/linux/mount.h, sched.h, prctl.h.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MNT_DETACH: Final = 2
UMOUNT_NOFOLLOW: Final = 8
CLONE_NEWNS: Final = 0x0002_0000
CLONE_NEWUSER: Final = 0x1000_0000
PR_SET_PDEATHSIG: Final = 1
PR_SET_CHILD_SUBREAPER: Final = 36

SAFE: Final = MS_NOSUID | MS_NODEV | MS_NOEXEC

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.prctl.argtypes = (
    ctypes.c_int,
    ctypes.c_ulong,
    ctypes.c_ulong,
    ctypes.c_ulong,
    ctypes.c_ulong,
)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(
    source: str, target: str | os.PathLike[str], kind: str, flags: int, data: str = ""
) -> None:
    """Attach a file system or change a mount. Raises OSError."""
    _check(
        _libc.mount(source.encode(), os.fsencode(target), kind.encode(), flags, data.encode()),
        os.fspath(target),
    )


def unmount(target: str | os.PathLike[str]) -> None:
    """Detach a mount and what is mounted below it, also while it is in use. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH | UMOUNT_NOFOLLOW), os.fspath(target))


def unshare(flags: int) -> None:
    """Leave namespaces for new ones. Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def prctl(option: int, value: int) -> None:
    """Change something of this process. Raises OSError."""
    _check(_libc.prctl(option, value, 0, 0, 0), "prctl")
