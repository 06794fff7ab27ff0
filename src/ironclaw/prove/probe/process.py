"""Attacks on the kernel and on other processes: system calls that an agent never needs.

Numbers are those of the kernel's tables for x86_64 and for aarch64; -1 where a machine has none.
Arguments are chosen so that a kernel that lets the call in answers at once and harms nobody.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import signal
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.prove.probe.attempt import DONE, call, syscall

if TYPE_CHECKING:
    from ironclaw.prove.probe.attempt import Attempt, Context

_COLUMN: Final = 0 if platform.machine() == "x86_64" else 1
_WORDS: Final = bytes(256)


class Call(NamedTuple):
    """One system call and how it is tried."""

    numbers: tuple[int, int]
    args: tuple[int | bytes | None, ...] = ()


_CLONE_NEW: Final = {
    "user_namespace": 0x1000_0000,
    "net_namespace": 0x4000_0000,
    "mount_namespace": 0x0002_0000,
    "pid_namespace": 0x2000_0000,
}
CALLS: Final = {
    "ptrace": Call((101, 117), (0, 0, 0, 0)),
    "process_vm_readv": Call((310, 270), (1, _WORDS, 0, _WORDS, 0, 0)),
    "process_vm_writev": Call((311, 271), (1, _WORDS, 0, _WORDS, 0, 0)),
    "kcmp": Call((312, 272), (1, 1, 0, 0, 0)),
    "pidfd_open": Call((434, 434), (1, 0)),
    "pidfd_getfd": Call((438, 438), (0, 0, 0)),
    "keyctl": Call((250, 219), (0, -3, 0, 0, 0)),
    "add_key": Call((248, 217), (b"user", b"x", b"x", 1, -3)),
    "request_key": Call((249, 218), (b"user", b"x", None, 0)),
    "bpf": Call((321, 280), (0, _WORDS, 72)),
    "perf_event_open": Call((298, 241), (_WORDS, 0, -1, -1, 0)),
    "io_uring_setup": Call((425, 425), (1, _WORDS)),
    "userfaultfd": Call((323, 282), (0,)),
    "init_module": Call((175, 105), (b"", 0, b"")),
    "finit_module": Call((313, 273), (-1, b"", 0)),
    "delete_module": Call((176, 106), (b"none", 0)),
    "kexec_load": Call((246, 104), (0, 0, None, 0)),
    "kexec_file_load": Call((320, 294), (-1, -1, 0, b"", 0)),
    "reboot": Call((169, 142), (0, 0, 0, None)),
    "swapon": Call((167, 224), (b"/none", 0)),
    "syslog": Call((103, 116), (10, None, 0)),
    "acct": Call((163, 89), (b"/none",)),
    "quotactl": Call((179, 60), (0, b"/none", 0, None)),
    "settimeofday": Call((164, 170), (None, None)),
    "adjtimex": Call((159, 171), (_WORDS,)),
    "iopl": Call((172, -1), (3,)),
    "personality": Call((135, 92), (0x0040000,)),
    "seccomp": Call((317, 277), (2, 0, _WORDS)),
    "memfd_create": Call((319, 279), (b"x", 0)),
    "name_to_handle_at": Call((303, 264), (-100, b"/", _WORDS, _WORDS, 0)),
    "open_by_handle_at": Call((304, 265), (-100, _WORDS, 0)),
    "fanotify_init": Call((300, 262), (0, 0)),
    "fsopen": Call((430, 430), (b"tmpfs", 0)),
    "open_tree": Call((428, 428), (-100, b"/", 0)),
    "move_mount": Call((429, 429), (-1, b"", -1, b"", 0)),
    "pivot_root": Call((155, 41), (b".", b".")),
    "setns": Call((308, 268), (0, 0)),
    "shmget": Call((29, 194), (0, 4096, 0o1600)),
    "msgget": Call((68, 186), (0, 0o1600)),
    "mq_open": Call((240, 180), (b"x", 0o102, 0o600, None)),
    "fallocate": Call((285, 47), (-1, 0, 0, 4096)),
}
# Last: where they succeed, the process is another one afterwards.
_UNSHARED: Final = {name: Call((272, 97), (flag,)) for name, flag in _CLONE_NEW.items()}


def _tried(row: Call) -> Attempt:
    def go(_context: Context) -> str:
        number = row.numbers[_COLUMN]
        if number < 0:
            return "no such call on this machine"
        syscall(number, *row.args)
        return DONE

    return go


def _fork(_context: Context) -> str:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return DONE


def _clone3(_context: Context) -> str:
    """The filter cannot look into its argument, so it must answer as a kernel that has none."""
    words = (ctypes.c_uint64 * 11)(0, 0, 0, 0, signal.SIGCHLD)
    pid = syscall(435, ctypes.addressof(words), 88)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return DONE


def _execute(_context: Context) -> None:
    os.execv("/probe/missing", ["missing"])  # noqa: S606 - an attack


def _bomb(context: Context) -> str:
    """Fork until refused, but never more than the laboratory allows."""
    born: list[int] = []
    try:
        for _ in range(context["bomb"]):
            pid = os.fork()
            if pid == 0:
                signal.pause()
            born.append(pid)
    except OSError:
        return f"capped after {len(born)}"
    finally:
        for pid in born:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return f"uncapped {len(born)}"


def _processes(_context: Context) -> int:
    """Count processes, with a companion where one can be had."""
    companion = 0
    with contextlib.suppress(OSError):
        companion = os.fork()
        if companion == 0:
            signal.pause()
    try:
        return _count()
    finally:
        if companion:
            os.kill(companion, signal.SIGKILL)
            os.waitpid(companion, 0)


def _count() -> int:
    return sum(name.isdigit() for name in os.listdir("/proc"))  # noqa: PTH208 - a probe


def _signal_all(_context: Context) -> None:
    os.kill(-1, 0)


def _priority(_context: Context) -> str:
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    return DONE


def _lock_memory(_context: Context) -> None:
    call("mlockall", 3)
    call("munlockall")


ATTEMPTS: Final[dict[str, Attempt]] = {
    **{f"process.{name}": _tried(row) for name, row in CALLS.items()},
    "process.fork": _fork,
    "process.clone3": _clone3,
    "process.execute": _execute,
    "process.fork_bomb": _bomb,
    "process.processes": _processes,
    "process.signal_all": _signal_all,
    "process.priority": _priority,
    "process.lock_memory": _lock_memory,
    **{f"process.{name}": _tried(row) for name, row in _UNSHARED.items()},
}
