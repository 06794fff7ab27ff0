"""The system calls `/sandbox` may make of gVisor's kernel: an allow-list, all else is refused.

The program is one compiled process, SQLite files and unix sockets. It never starts
another program, so `execve`, `fork` and every `clone` that is not a thread are refused, as are all
sockets but `AF_UNIX`, and whatever mounts, traces, changes identity or makes namespaces.

runsc loads the program itself before the filter applies, so `execve` is not needed to start.
`fallocate` is not needed either: it takes gigabytes of the disk in a millisecond, long before the
disk guard could look.
"""

from __future__ import annotations

import errno
from typing import Final

import msgspec

ALLOW: Final = "SCMP_ACT_ALLOW"
ERRNO: Final = "SCMP_ACT_ERRNO"

# Source: Linux uapi/linux/sched.h.
_CLONE_THREAD: Final = 0x0001_0000
_CLONE_NEW: Final = 0x7E02_0080
"""NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_AF_UNIX: Final = 1


class Arg(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """A condition on one argument of a system call."""

    index: int
    value: int
    op: str
    value_two: int = 0


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What happens to the named system calls."""

    names: tuple[str, ...]
    action: str
    errno_ret: int = 0
    args: tuple[Arg, ...] = ()


class Seccomp(msgspec.Struct, frozen=True, rename="camel"):
    """`linux.seccomp` of the OCI runtime specification."""

    default_action: str
    default_errno_ret: int
    architectures: tuple[str, ...]
    syscalls: tuple[Rule, ...]


ARCHITECTURES: Final = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}

MEMORY: Final = ("brk", "madvise", "mmap", "mprotect", "mremap", "msync", "munmap")
THREADS: Final = (
    "arch_prctl",
    "exit",
    "exit_group",
    "futex",
    "get_robust_list",
    "gettid",
    "membarrier",
    "restart_syscall",
    "rseq",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
)
SIGNALS: Final = (
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "sigaltstack",
    "tgkill",
)
FILES: Final = (
    "access",
    "chdir",
    "chmod",
    "close",
    "close_range",
    "copy_file_range",
    "dup",
    "dup2",
    "dup3",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fcntl",
    "fdatasync",
    "flock",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "getcwd",
    "getdents64",
    "link",
    "linkat",
    "lseek",
    "lstat",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "open",
    "openat",
    "pread64",
    "preadv",
    "pwrite64",
    "pwritev",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "rename",
    "renameat",
    "renameat2",
    "rmdir",
    "sendfile",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "truncate",
    "umask",
    "unlink",
    "unlinkat",
    "utimensat",
    "write",
    "writev",
)
WAITING: Final = (
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_wait",
    "eventfd2",
    "gettimeofday",
    "nanosleep",
    "pipe2",
    "poll",
    "ppoll",
    "pselect6",
    "select",
    "time",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
)
SOCKETS: Final = (
    "accept4",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "shutdown",
)
ABOUT_ITSELF: Final = (
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "getrusage",
    "getuid",
    "ioctl",
    "prctl",
    "prlimit64",
    "sysinfo",
    "uname",
)


def profile(machine: str) -> Seccomp:
    """Return the profile for a machine type as `platform.machine()` names it.

    Raises:
        KeyError: gVisor does not run there.
    """
    allowed: tuple[str, ...] = MEMORY + THREADS + SIGNALS + FILES + WAITING + SOCKETS + ABOUT_ITSELF
    if machine != "x86_64":
        allowed = tuple(name for name in allowed if name not in _X86_ONLY)
    return Seccomp(
        default_action=ERRNO,
        default_errno_ret=errno.EPERM,
        architectures=(ARCHITECTURES[machine],),
        syscalls=(
            Rule(names=allowed, action=ALLOW),
            Rule(
                names=("socket", "socketpair"),
                action=ALLOW,
                args=(Arg(index=0, value=_AF_UNIX, op="SCMP_CMP_EQ"),),
            ),
            Rule(
                names=("clone",),
                action=ALLOW,
                args=(
                    Arg(
                        index=0,
                        value=_CLONE_THREAD | _CLONE_NEW,
                        op="SCMP_CMP_MASKED_EQ",
                        value_two=_CLONE_THREAD,
                    ),
                ),
            ),
            # The C library tries clone3 first and falls back to clone only on ENOSYS. A filter
            # cannot look into clone3's argument, which is a pointer. runsc of 2024 answers EPERM
            # whatever is asked for here, so there a program gets threads by `clone` alone.
            Rule(names=("clone3",), action=ERRNO, errno_ret=errno.ENOSYS),
        ),
    )


_X86_ONLY: Final = frozenset(
    {
        "access",
        "arch_prctl",
        "chmod",
        "dup2",
        "epoll_wait",
        "getpgrp",
        "link",
        "lstat",
        "mkdir",
        "open",
        "pause",
        "poll",
        "readlink",
        "rename",
        "rmdir",
        "select",
        "stat",
        "symlink",
        "time",
        "unlink",
    }
)
