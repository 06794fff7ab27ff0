"""The few system calls that Python 3.11 has no name for, and their numbers by machine."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Final, NamedTuple

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWNET: Final = 0x40000000

MS_RDONLY: Final = 0x1
MS_NOSUID: Final = 0x2
MS_NODEV: Final = 0x4
MS_NOEXEC: Final = 0x8
MS_REMOUNT: Final = 0x20
MS_BIND: Final = 0x1000
MS_REC: Final = 0x4000
MS_PRIVATE: Final = 0x40000
MNT_DETACH: Final = 0x2

PR_SET_DUMPABLE: Final = 4
PR_SET_SECCOMP: Final = 22
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class Machine(NamedTuple):
    """What differs between processor families."""

    audit_arch: int
    """AUDIT_ARCH_… of linux/audit.h: what a seccomp filter sees."""
    pivot_root: int


_MACHINES: Final = {
    "x86_64": Machine(0xC000003E, 155),
    "aarch64": Machine(0xC00000B7, 41),
}


def machine() -> Machine | None:
    """The numbers of this processor family, or None when it is not in the table."""
    return _MACHINES.get(platform.machine())


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave namespaces. Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """Mount. Raises OSError."""
    _check(
        _libc.mount(
            source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
        ),
        "mount",
    )


def umount(target: str) -> None:
    """Unmount, detached. Raises OSError."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), "umount2")


def pivot_root(number: int) -> None:
    """Make the working directory the root, with the old one stacked above. Raises OSError."""
    _check(_libc.syscall(number, b".", b"."), "pivot_root")


def prctl(option: int, second: int, third: object = 0) -> None:
    """Change the process. Raises OSError."""
    _check(
        _libc.prctl(option, ctypes.c_ulong(second), third, ctypes.c_ulong(0), ctypes.c_ulong(0)),
        "prctl",
    )


def syscall(number: int, *arguments: object) -> int:
    """Any system call whose number is the same everywhere. Raises OSError."""
    return _check(int(_libc.syscall(number, *arguments)), f"syscall {number}")


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def drop_capabilities() -> None:
    """Empty the effective, permitted and inheritable sets. Raises OSError."""
    header = _CapHeader(0x20080522, 0)
    data = (_CapData * 2)()
    _check(_libc.capset(ctypes.byref(header), ctypes.byref(data)), "capset")
