"""Attacks of a hostile airlock on files: what is not its own, and what it may not make."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from ironclaw_contract.limits import MAX_SEGMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.prove.airlock.hostile_prey import Prey

REACHED: Final = "reached"
_MUCH_BYTES: Final = 80 * 1024 * 1024
_MANY_FILES: Final = 5000
_CLIMB: Final = "../" * 40
_WORD: Final = 4096
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def _read(path: str, at: int | None = None) -> str:
    fd = os.open(path, os.O_RDONLY, dir_fd=at)
    try:
        os.read(fd, _WORD)
    finally:
        os.close(fd)
    return REACHED


def _list(path: str, at: int | None = None) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
    try:
        return f"{REACHED}: {len(os.listdir(fd))} entries"  # noqa: PTH208 - by descriptor
    finally:
        os.close(fd)


def _sibling(name: str) -> Callable[[Prey], str]:
    """Read of the neighbour by the shortest way: up from a directory that is open."""

    def go(prey: Prey) -> str:
        slot = prey.order.sibling.rpartition("/")[2]
        return _read(f"../../{slot}/{name}", prey.dirs["in"])

    return go


def _sibling_out(prey: Prey) -> str:
    """List instead: the neighbour sweeps away what is no segment."""
    slot = prey.order.sibling.rpartition("/")[2]
    return _list(f"../../{slot}/out", prey.dirs["in"])


def _parents(prey: Prey) -> str:
    """Open what lies above each directory that is open."""
    refusals = set()
    for fd in prey.dirs.values():
        try:
            return _list("..", fd)
        except OSError as error:
            refusals.add(errno.errorcode[error.errno or 0])
    return ",".join(sorted(refusals))


def _memory(prey: Prey) -> str:
    fd = os.open(f"/proc/{prey.order.core_pid}/mem", os.O_RDONLY)
    os.lseek(fd, prey.order.address, os.SEEK_SET)
    return f"{REACHED}: {len(os.read(fd, prey.order.length))} bytes"


def _in_core(name: str) -> Callable[[Prey], str]:
    return lambda prey: _read(f"/proc/{prey.order.core_pid}/{name}")


def _make(prey: Prey, name: str, where: str = "in") -> int:
    return os.open(name, _NEW, 0o600, dir_fd=prey.dirs[where])


def _gone(prey: Prey, *names: str, where: str = "in") -> None:
    for name in names:
        os.unlink(name, dir_fd=prey.dirs[where])


def _symlink(prey: Prey) -> None:
    os.symlink(prey.order.host_file, "link", dir_fd=prey.dirs["in"])
    _gone(prey, "link")


def _hard_link(prey: Prey) -> None:
    os.close(_make(prey, "first"))
    try:
        os.link("first", "second", src_dir_fd=prey.dirs["in"], dst_dir_fd=prey.dirs["in"])
        _gone(prey, "second")
    finally:
        _gone(prey, "first")


def _device(prey: Prey) -> None:
    mode = stat.S_IFCHR | 0o600
    os.mknod("device", mode, os.makedev(1, 3), dir_fd=prey.dirs["in"])
    _gone(prey, "device")


def _fifo(prey: Prey) -> None:
    os.mkfifo("fifo", dir_fd=prey.dirs["in"])
    _gone(prey, "fifo")


def _directory(prey: Prey) -> None:
    os.mkdir("directory", dir_fd=prey.dirs["in"])
    os.rmdir("directory", dir_fd=prey.dirs["in"])


def _forge_outbound(prey: Prey) -> None:
    """Say something in the box's name."""
    os.close(_make(prey, "forged", "out"))
    _gone(prey, "forged", where="out")


def _large_file(prey: Prey) -> None:
    fd = _make(prey, "large")
    try:
        os.lseek(fd, MAX_SEGMENT_BYTES, os.SEEK_SET)
        os.write(fd, b"x")
    finally:
        os.close(fd)
        _gone(prey, "large")


def _fill(prey: Prey, *, files: int, each: int) -> None:
    made: list[str] = []
    page = bytes(each)
    try:
        for number in range(files):
            name = f"fill-{number}"
            fd = _make(prey, name)
            made.append(name)
            try:
                written = 0
                while written < each:
                    written += os.write(fd, page[written:])
            finally:
                os.close(fd)
    finally:
        _gone(prey, *made)


ATTEMPTS: Final[dict[str, Callable[[Prey], object]]] = {
    "airlock.store": lambda prey: _read(prey.order.store),
    "airlock.master_key": lambda prey: _read(prey.order.master_key),
    "airlock.api_token": lambda prey: _read(prey.order.token),
    "airlock.state_directory": lambda prey: _list(prey.order.state_dir),
    "airlock.host_file": lambda prey: _read(prey.order.host_file),
    "airlock.climb": lambda prey: _read(_CLIMB + prey.order.host_file[1:], prey.dirs["in"]),
    "airlock.parents": _parents,
    "airlock.own_slot": lambda prey: _list(f"{prey.order.slot}/in"),
    "airlock.sibling_inbound": _sibling("in/letter"),
    "airlock.sibling_outbound": _sibling_out,
    "airlock.sibling_key": _sibling("run/key"),
    "airlock.processes": lambda _prey: _list("/proc"),
    "airlock.core_environment": _in_core("environ"),
    "airlock.core_memory_file": _memory,
    "airlock.core_root": lambda prey: _list(f"/proc/{prey.order.core_pid}/root/"),
    "airlock.symlink": _symlink,
    "airlock.hard_link": _hard_link,
    "airlock.device": _device,
    "airlock.fifo": _fifo,
    "airlock.directory": _directory,
    "airlock.forge_outbound": _forge_outbound,
    "airlock.large_file": _large_file,
    "airlock.fill_bytes": lambda prey: _fill(
        prey, files=_MUCH_BYTES // MAX_SEGMENT_BYTES, each=MAX_SEGMENT_BYTES
    ),
    "airlock.fill_inodes": lambda prey: _fill(prey, files=_MANY_FILES, each=0),
}
