"""Attacks of a hostile airlock with system calls: sockets, processes, rights, memory, kernel.

Numbers are those of the kernel's tables for x86_64 and for aarch64. Arguments are chosen so that a
kernel that lets the call in answers at once and harms nobody.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import signal
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.prove.airlock.hostile_files import REACHED
from ironclaw.prove.probe.attempt import DONE, call, syscall

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.prove.airlock.hostile_prey import Prey

_COLUMN: Final = 0 if platform.machine() == "x86_64" else 1
_WORDS: Final = bytes(256)
_PTRACE: Final = (101, 117)
_VM_READV: Final = (310, 270)
_CAPSET: Final = (126, 91)
_PIDFD_OPEN: Final = 434
_PIDFD_GETFD: Final = 438
_PTRACE_SEIZE: Final = 0x4206
_CAP_VERSION_3: Final = 0x2008_0522
_CAP_SYS_ADMIN: Final = 1 << 21
_WINDOW_SIZE: Final = 0x5413
_MUCH_BYTES: Final = 256 * 1024 * 1024
_MANY_FILES: Final = 200
_CLONE_NEWUSER: Final = 0x1000_0000
_CLONE_NEWNET: Final = 0x4000_0000


class Call(NamedTuple):
    """One system call and how it is tried."""

    numbers: tuple[int, int]
    args: tuple[int | bytes | None, ...] = ()


CALLS: Final = {
    "execute": Call((59, 221), (b"/in/missing", None, None)),
    "execveat": Call((322, 281), (-1, b"", None, None, 0)),
    "unshare_user": Call((272, 97), (_CLONE_NEWUSER,)),
    "unshare_network": Call((272, 97), (_CLONE_NEWNET,)),
    "setns": Call((308, 268), (-1, 0)),
    "mount": Call((165, 40), (b"none", b"/in", b"tmpfs", 0, None)),
    "pivot_root": Call((155, 41), (b"/", b"/")),
    "chroot": Call((161, 51), (b"/",)),
    "new_mount": Call((430, 430), (b"tmpfs", 0)),
    "open_by_handle": Call((304, 265), (-1, _WORDS, 0)),
    "setuid": Call((105, 146), (0,)),
    "setresuid": Call((117, 147), (0, 0, 0)),
    "pidfd_getfd": Call((438, 438), (-1, 0, 0)),
    "bpf": Call((321, 280), (0, _WORDS, 72)),
    "io_uring": Call((425, 425), (1, _WORDS)),
    "userfaultfd": Call((323, 282), (0,)),
    "keyring": Call((250, 219), (0, -3, 0, 0, 0)),
    "perf": Call((298, 241), (_WORDS, 0, -1, -1, 0)),
    "module": Call((175, 105), (b"", 0, b"")),
    "kexec": Call((246, 104), (0, 0, None, 0)),
}


def _tried(row: Call) -> Callable[[Prey], None]:
    def go(_prey: Prey) -> None:
        syscall(row.numbers[_COLUMN], *row.args)

    return go


def _socket(family: int, kind: int) -> Callable[[Prey], None]:
    return lambda _prey: socket.socket(family, kind).close()


def _greeted(sock: socket.socket, prey: Prey) -> str:
    return REACHED if sock.recv(64).decode() == prey.order.greeting else "another's service"


def _tcp(prey: Prey, host: str, port: int) -> str:
    with socket.socket(socket.AF_INET) as sock:
        sock.connect((host, port))
        return _greeted(sock, prey)


def _local(prey: Prey, path: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        return _greeted(sock, prey)


def _sibling_bell(prey: Prey) -> str:
    """Open another session's bell: the working directory is this one's run/."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(_beside(prey, "bell.sock"))
    return REACHED


def _spare_connect(prey: Prey) -> str:
    prey.spares[0].connect(_beside(prey, "bell.sock"))
    return REACHED


def _beside(prey: Prey, name: str) -> str:
    return f"../../{prey.order.sibling.rpartition('/')[2]}/run/{name}"


def _bind_spare(prey: Prey, path: str) -> None:
    prey.spares[0].bind(path)
    # All its directories lie side by side.
    os.unlink(path, dir_fd=prey.dirs["run"])


def _trace(prey: Prey) -> str:
    syscall(_PTRACE[_COLUMN], _PTRACE_SEIZE, prey.order.core_pid, 0, 0)
    return REACHED


def _read_core(prey: Prey) -> str:
    length = prey.order.length
    buffer = ctypes.create_string_buffer(length)
    ours = struct.pack("QQ", ctypes.addressof(buffer), length)
    theirs = struct.pack("QQ", prey.order.address, length)
    read = syscall(_VM_READV[_COLUMN], prey.order.core_pid, ours, 1, theirs, 1, 0)
    return f"{REACHED}: {read} bytes"


def _steal_descriptor(prey: Prey) -> str:
    syscall(_PIDFD_GETFD, syscall(_PIDFD_OPEN, prey.order.core_pid, 0), 0, 0)
    return REACHED


def _signal(pid: int) -> str:
    os.kill(pid, 0)
    return REACHED


def _signal_by_descriptor(prey: Prey) -> None:
    """Have the kernel send SIGKILL in one's stead when something comes on a descriptor."""
    fcntl.fcntl(prey.dirs["in"], fcntl.F_SETOWN, prey.order.neighbour_pid)
    fcntl.fcntl(prey.dirs["in"], fcntl.F_SETSIG, signal.SIGKILL)


def _fork(_prey: Prey) -> str:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return DONE


def _threads(_prey: Prey) -> str:
    hold = threading.Event()
    crowd = [threading.Thread(target=hold.wait) for _ in range(8)]
    for thread in crowd:
        thread.start()
    hold.set()
    return f"started {len(crowd)}"


def _regain(_prey: Prey) -> None:
    words = (_CAP_SYS_ADMIN, _CAP_SYS_ADMIN, 0, 0, 0, 0)
    syscall(_CAPSET[_COLUMN], struct.pack("Ii", _CAP_VERSION_3, 0), struct.pack("6I", *words))


def _map(size: int, flags: int, prot: int) -> None:
    mmap.mmap(-1, size, flags=flags | mmap.MAP_ANONYMOUS, prot=prot).close()


def _protect(_prey: Prey) -> None:
    with mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        view = ctypes.c_char.from_buffer(page)
        address = ctypes.c_void_p(ctypes.addressof(view))
        del view
        call("mprotect", address, ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_EXEC)


def _many_files(prey: Prey) -> str:
    for _ in range(_MANY_FILES):
        os.dup(prey.dirs["in"])
    return f"opened {_MANY_FILES}"


_RW: Final = mmap.PROT_READ | mmap.PROT_WRITE
ATTEMPTS: Final[dict[str, Callable[[Prey], object]]] = {
    **{f"airlock.{name}": _tried(row) for name, row in CALLS.items()},
    "airlock.socket_inet": _socket(socket.AF_INET, socket.SOCK_DGRAM),
    "airlock.socket_inet6": _socket(socket.AF_INET6, socket.SOCK_STREAM),
    "airlock.socket_netlink": _socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "airlock.socket_unix": _socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "airlock.tcp_connect": lambda prey: _tcp(prey, prey.order.loopback, prey.order.service_port),
    "airlock.metadata": lambda prey: _tcp(prey, prey.order.metadata, prey.order.http_port),
    "airlock.abstract_socket": lambda prey: _local(prey, "\0" + prey.order.abstract),
    "airlock.core_socket": lambda prey: _local(prey, prey.order.core_socket),
    "airlock.sibling_bell": _sibling_bell,
    "airlock.spare_connect": _spare_connect,
    "airlock.spare_elsewhere": lambda prey: _bind_spare(prey, "../in/planted"),
    "airlock.sibling_tools": lambda prey: _bind_spare(prey, _beside(prey, "tools.sock")),
    "airlock.trace_core": _trace,
    "airlock.read_core": _read_core,
    "airlock.steal_descriptor": _steal_descriptor,
    "airlock.signal_core": lambda prey: _signal(prey.order.core_pid),
    "airlock.signal_zygote": lambda prey: _signal(prey.order.zygote_pid),
    "airlock.signal_by_descriptor": _signal_by_descriptor,
    "airlock.fork": _fork,
    "airlock.threads": _threads,
    "airlock.regain_capabilities": _regain,
    "airlock.executable_memory": lambda _prey: _map(
        4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC
    ),
    "airlock.protect_memory": _protect,
    "airlock.shared_memory": lambda _prey: _map(4096, mmap.MAP_SHARED, _RW),
    "airlock.much_memory": lambda _prey: _map(_MUCH_BYTES, mmap.MAP_PRIVATE, _RW),
    "airlock.many_files": _many_files,
    "airlock.device_control": lambda _prey: fcntl.ioctl(0, _WINDOW_SIZE, bytes(8)) and None,
}
