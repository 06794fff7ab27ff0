"""Attacks on the file system: what is read-only, what is capped, what must not be reachable."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import resource
import signal
import stat
import struct
import threading
from typing import TYPE_CHECKING, Final

from ironclaw.prove.probe.attempt import DONE, call, read, write

if TYPE_CHECKING:
    from ironclaw.prove.probe.attempt import Attempt, Context

_MIB: Final = 1024 * 1024
_READ_ONLY: Final = ("/queue/in", "/run/ironclaw", "/shared")
_MAX_ENTRIES: Final = 200_000


def _write_in(place: str) -> Attempt:
    def go(_context: Context) -> None:
        path = f"{place}/.attack"
        write(path)
        os.unlink(path)  # noqa: PTH108 - no pathlib here

    return go


def _flags(place: str) -> Attempt:
    """How a mount is mounted, as the box's kernel has it."""

    def go(_context: Context) -> str:
        for line in reversed(read("/proc/mounts").splitlines()):
            fields = line.split()
            if fields[1] == place:
                words = set(fields[3].split(","))
                return ",".join(word for word in ("ro", "rw") if word in words)
        return "not mounted"

    return go


def _run_file(place: str) -> Attempt:
    """Run a program of one's own: this interpreter, copied to where the agent may write."""

    def go(_context: Context) -> str:
        path = f"{place}/.program"
        with open("/probe/ld.so", "rb") as source, open(path, "wb") as target:  # noqa: PTH123 - no pathlib here
            target.write(source.read())
        os.chmod(path, 0o755)  # noqa: PTH101, S103 - no pathlib here; an attack
        try:
            return _ran(path)
        finally:
            os.unlink(path)  # noqa: PTH108 - no pathlib here

    return go


def _ran(path: str) -> str:
    """Whether a program runs, told by a child where children can be had."""
    try:
        pid = os.fork()
    except OSError:
        os.execv(path, [path, "--version"])  # noqa: S606 - an attack
    if pid == 0:
        try:
            os.execv(path, [path, "--version"])  # noqa: S606 - an attack
        except OSError as error:
            os._exit(error.errno or 1)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    if status:
        raise OSError(status, os.strerror(status))
    return DONE


def _fill(place: str, size: int, count: int, most: int) -> Attempt:
    """Write files until refused; `capped` when at most `most` units went in."""

    def go(_context: Context) -> str:
        done = 0
        made: list[str] = []
        try:
            for number in range(count):
                name = f"{place}/.fill{number}"
                with open(name, "wb", buffering=0) as file:  # noqa: PTH123 - no pathlib here
                    made.append(name)
                    done += _write_all(file, size) if size else 1
        except OSError as error:
            return f"capped {os.strerror(error.errno or 0)}" if done <= most else f"{done}"
        finally:
            for name in made:
                os.unlink(name)  # noqa: PTH108 - no pathlib here
        return f"uncapped {done}"

    return go


def _write_all(file: io.FileIO, size: int) -> int:
    """Write zeros; a kernel that takes fewer is asked again, until it says why."""
    left = size
    while left:
        left -= file.write(bytes(left))
    return size


def _sparse(place: str) -> Attempt:
    def go(_context: Context) -> None:
        path = f"{place}/.sparse"
        try:
            with open(path, "wb") as file:  # noqa: PTH123 - no pathlib here
                file.truncate(1 << 40)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - no pathlib here

    return go


def _open_many(context: Context) -> str:
    most = context["files"]
    held: list[int] = []
    try:
        held.extend(os.open("/proc/version", os.O_RDONLY) for _ in range(most + 64))
    except OSError as error:
        return "capped " + os.strerror(error.errno or 0)
    finally:
        for fd in held:
            os.close(fd)
    return f"uncapped {len(held)}"


def _threads(context: Context) -> str:
    most = context["pids"]
    end = threading.Event()
    held = []
    try:
        for _ in range(most * 4):
            thread = threading.Thread(target=end.wait)
            thread.start()
            held.append(thread)
    except RuntimeError:
        return "capped" if held else "no thread at all"
    finally:
        end.set()
        for thread in held:
            thread.join()
    return f"uncapped {len(held)}"


def _raise_limit(which: int) -> Attempt:
    def go(_context: Context) -> str:
        try:
            resource.setrlimit(which, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except ValueError:  # what Python makes of EPERM
            return "EPERM"
        return DONE

    return go


def _core_limit(_context: Context) -> str:
    return "/".join(map(str, resource.getrlimit(resource.RLIMIT_CORE)))


def _make_device(_context: Context) -> None:
    os.mknod("/tmp/.device", stat.S_IFBLK | 0o666, os.makedev(8, 0))  # noqa: S108 - the box's own
    os.unlink("/tmp/.device")  # noqa: PTH108, S108 - no pathlib here


def _sys_write(_context: Context) -> str:
    """Find a file of /sys that can be written."""
    for folder, _, files in os.walk("/sys"):
        for name in files:
            if os.access(f"{folder}/{name}", os.W_OK):
                return f"writable: {folder}/{name}"
    return "none"


def _tunnel(_context: Context) -> None:
    """Make a network interface of one's own."""
    tun = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH14x", b"attack0", 0x1 | 0x1000))
    finally:
        os.close(tun)


def _through_link(context: Context) -> str:
    """Follow a symbolic link of one's own to a file of the host."""
    link = "/workspace/.link"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)  # noqa: PTH108 - no pathlib here
    os.symlink(context["host_file"], link)  # noqa: PTH211 - no pathlib here
    try:
        return "read: " + read(link)[:32]
    finally:
        os.unlink(link)  # noqa: PTH108 - no pathlib here


def _climb(context: Context) -> str:
    """Open a host path by climbing out of a mount."""
    return "read: " + read("/workspace/" + "../" * 40 + context["host_file"].lstrip("/"))[:32]


def _hunt(context: Context) -> str:
    """Look for a mark that only other sessions' and the host's files bear, everywhere."""
    mark = "".join(context["mark_parts"])
    seen = 0
    for folder, names, files in os.walk("/"):
        if folder.startswith(("/proc/", "/sys")) or folder == "/probe/lib":
            names.clear()
            continue
        for name in files:
            seen += 1
            path = f"{folder}/{name}"
            if mark in path or (seen < _MAX_ENTRIES and _bears(path, mark)):
                return f"found: {path[:80]}"
    return "nothing"


def _bears(path: str, mark: str) -> bool:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with open(path, "rb") as file:  # noqa: PTH123 - no pathlib here
            return mark.encode() in file.read(4 * _MIB)
    except OSError:
        return False


def _mounts(context: Context) -> str:
    """Look for the host's own paths in what the kernel says of mounts."""
    for path in ("/proc/mounts", "/proc/self/mountinfo", "/proc/self/maps", "/proc/self/cgroup"):
        with contextlib.suppress(OSError):
            if any(word in read(path) for word in context["host_words"]):
                return f"found in {path}"
    return "nothing"


def _mount(_context: Context) -> None:
    call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
    call("umount2", b"/tmp", 2)


def _umount(_context: Context) -> None:
    call("umount2", b"/queue/in", 2)


def _chroot(_context: Context) -> None:
    root = os.open("/", os.O_RDONLY)
    try:
        os.chroot("/tmp")  # noqa: S108 - the box's own
        os.fchdir(root)
        os.chroot(".")
    finally:
        os.close(root)


_NAMES: Final = {"/queue/in": "in", "/run/ironclaw": "run", "/shared": "shared"}
ATTEMPTS: Final[dict[str, Attempt]] = {
    "files.root_write": _write_in("/probe/open"),
    "files.root_flag": _flags("/"),
    **{f"files.{_NAMES[place]}_write": _write_in(place) for place in _READ_ONLY},
    **{f"files.{_NAMES[place]}_flag": _flags(place) for place in _READ_ONLY},
    "files.workspace_program": _run_file("/workspace"),
    "files.memory_program": _run_file("/memory"),
    "files.out_program": _run_file("/queue/out"),
    "files.tmp_program": _run_file("/tmp"),  # noqa: S108 - the box's own
    "files.mount": _mount,
    "files.umount": _umount,
    "files.chroot": _chroot,
    "files.device": _make_device,
    "files.sys_write": _sys_write,
    "files.tunnel": _tunnel,
    "files.sysctl": lambda _context: write("/proc/sys/kernel/hostname", "attacker"),
    "files.sysrq": lambda _context: write("/proc/sysrq-trigger", "h"),
    "files.symlink": _through_link,
    "files.climb": _climb,
    "files.others": _hunt,
    "files.host_paths": _mounts,
    "files.core_dump": _core_limit,
    "resources.out_bytes": _fill("/queue/out", _MIB, 48, 33 * _MIB),
    "resources.out_inodes": _fill("/queue/out", 0, 1024, 512),
    "resources.tmp_bytes": _fill("/tmp", _MIB, 80, 65 * _MIB),  # noqa: S108 - the box's own
    "resources.file_bytes": _fill("/workspace", 72 * _MIB, 1, 64 * _MIB),
    "resources.sparse_file": _sparse("/workspace"),
    "resources.open_files": _open_many,
    "resources.threads": _threads,
    "resources.raise_file_bytes": _raise_limit(resource.RLIMIT_FSIZE),
    "resources.raise_core": _raise_limit(resource.RLIMIT_CORE),
}
