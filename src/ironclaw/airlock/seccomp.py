"""The airlock's seccomp filter: an allow-list; what an attacker would try kills the process.

Anything else answers EPERM, so that a libc that tries something harmless and new gets an error
that it can live with. The filter is installed after sockets are made: there is no `socket`, and
no `connect`. A socket that was left unbound may be bound and listened on; Landlock says where.

Source:
    linux/seccomp.h, linux/filter.h; numbers from the kernel's tables for both machines.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from typing import Final

from ironclaw.airlock.syscalls import PR_SET_SECCOMP, machine, prctl

_MODE_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_KILL: Final = 0x80000000
_ERRNO: Final = 0x00050000
_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JEQ: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JGE: Final = 0x35
_JSET: Final = 0x45
_RET: Final = 0x06
_NUMBER: Final = 0
_ARCH: Final = 4
_ARG1: Final = 24
_ARG2: Final = 32
_ARG3: Final = 40
_X32_BIT: Final = 0x40000000
_FIONBIO: Final = 0x5421
_PROT_EXEC: Final = 4
_MAP_SHARED: Final = 1

# name: (x86_64, aarch64); -1 where the machine has none.
_ALLOWED: Final = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "futex": (202, 98),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "getrandom": (318, 278),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, -1),
    "epoll_pwait": (281, 22),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "bind": (49, 200),
    "listen": (50, 201),
    "accept4": (288, 242),
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "openat": (257, 56),
    "unlinkat": (263, 35),
    "renameat": (264, 38),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fsync": (74, 82),
    "getdents64": (217, 61),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_MMAP: Final = (9, 222)
_MPROTECT: Final = (10, 226)
_IOCTL: Final = (16, 29)
_FCNTL: Final = (72, 25)
_F_SETOWN: Final = 8
_F_SETSIG: Final = 10
_F_SETOWN_EX: Final = 15
_KILLED: Final = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, -1),
    "vfork": (58, -1),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "unshare": (272, 97),
    "setns": (308, 268),
    "chroot": (161, 51),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "pidfd_getfd": (438, 438),
    "open_by_handle_at": (304, 265),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "mknodat": (259, 33),
    "setuid": (105, 146),
    "setresuid": (117, 147),
}


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def program(audit_arch: int, column: int) -> bytes:
    """Assemble the filter.

    Args:
        audit_arch: AUDIT_ARCH_… of the machine; calls of another one are killed.
        column: 0 for x86_64, 1 for aarch64.
    """
    allow, deny, kill = (_step(_RET, word) for word in (_ALLOW, _ERRNO | errno.EPERM, _KILL))
    steps = [
        _step(_LOAD, _ARCH),
        _step(_JEQ, audit_arch, 1, 0),
        kill,
        _step(_LOAD, _NUMBER),
        # Numbers of the x32 table would slip past comparisons with ours.
        _step(_JGE, _X32_BIT, 0, 1),
        kill,
    ]
    for row in _ALLOWED.values():
        if row[column] >= 0:
            steps += [_step(_JEQ, row[column], 0, 1), allow]
    for row in _KILLED.values():
        if row[column] >= 0:
            steps += [_step(_JEQ, row[column], 0, 1), kill]
    steps += [
        _step(_JEQ, _MMAP[column], 0, 6),
        _step(_LOAD, _ARG2),
        _step(_JSET, _PROT_EXEC, 2, 0),
        # Shared memory is nobody's data: RLIMIT_DATA would not count it.
        _step(_LOAD, _ARG3),
        _step(_JSET, _MAP_SHARED, 0, 1),
        deny,
        allow,
        _step(_JEQ, _MPROTECT[column], 0, 4),
        _step(_LOAD, _ARG2),
        _step(_JSET, _PROT_EXEC, 0, 1),
        deny,
        allow,
        # Whom a descriptor signals, and how: else it would kill whoever has the same uid.
        _step(_JEQ, _FCNTL[column], 0, 6),
        _step(_LOAD, _ARG1),
        _step(_JEQ, _F_SETOWN, 2, 0),
        _step(_JEQ, _F_SETSIG, 1, 0),
        _step(_JEQ, _F_SETOWN_EX, 0, 1),
        kill,
        allow,
        _step(_JEQ, _IOCTL[column], 0, 3),
        _step(_LOAD, _ARG1),
        _step(_JEQ, _FIONBIO, 0, 1),
        allow,
        deny,
    ]
    return b"".join(steps)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def install() -> None:
    """Install the filter for this process, for good. Needs `no_new_privs`.

    Raises:
        OSError: The kernel or the machine has no filter for us.
    """
    here = machine()
    if here is None:
        raise OSError(errno.ENOSYS, f"no system call table for {platform.machine()}")
    steps = program(here.audit_arch, 0 if platform.machine() == "x86_64" else 1)
    prctl(PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(_Program(len(steps) // 8, steps)))
