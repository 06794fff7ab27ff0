"""Shutting the door behind an airlock: each control by itself, each failure named.

`enter` runs first, with the rights the zygote has: a root directory that holds nothing but the
slot's `in/`, `out/` and `run/`. `take_ids` gives the rights up, and sockets are bound. `seal` comes
last: Landlock and seccomp, after which nothing can be opened elsewhere, started or connected.

A control the machine does not offer is left out and named in `Controls.missing`; the core decides
what to say of it. Nothing here is fatal, but `seal` is refused if neither a root of its own nor
Landlock holds: then the airlock could read the state directory.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
from typing import TYPE_CHECKING, Final

from ironclaw.airlock import landlock, seccomp, syscalls
from ironclaw_contract.limits import MAX_SEGMENT_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NETWORK: Final = "network-namespace"
ROOT: Final = "root-directory"
UID: Final = "own-uid"
CAPABILITIES: Final = "no-capabilities"
NO_NEW_PRIVS: Final = "no-new-privs"
LANDLOCK: Final = "landlock"
SECCOMP: Final = "seccomp"
RLIMITS: Final = "rlimits"

MAX_FILES: Final = 64
_MAX_DATA_BYTES: Final = 192 * 1024 * 1024
_LAST_CAPABILITY: Final = 63
_NARROW: Final = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC


class Controls:
    """Which controls are in force, and which could not be had."""

    def __init__(self) -> None:
        self.held: list[str] = []
        self.missing: list[str] = []

    def attempt(self, name: str, control: Callable[[], None]) -> bool:
        """Try one control and note how it went; return whether it is in force."""
        try:
            control()
        except (OSError, ValueError):
            self.missing.append(name)
            return False
        self.held.append(name)
        return True


def leave_network(controls: Controls) -> None:
    """Move this process, and all it forks later, to a network namespace with nothing in it."""

    def go() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWUTS)

    controls.attempt(NETWORK, go)


def enter(controls: Controls, path: str, names: tuple[str, ...]) -> dict[str, int]:
    """Make the directories `names` below `path` the whole world, and return them open.

    Without the right to mount they are opened where they are, and Landlock has to do.

    Raises:
        OSError: A directory is missing or is a link.
    """

    def go() -> None:
        here = syscalls.machine()
        if here is None:
            raise OSError("no system call table")
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        # A directory that was opened in the former mount namespace could not be bound.
        sources = _directories(path, names)
        syscalls.mount("none", path, "tmpfs", _NARROW, "size=16k,nr_inodes=16,mode=0755")
        for name, source in sources.items():
            target = os.path.join(path, name)  # noqa: PTH118 - pathlib costs this process memory
            os.makedirs(target)  # noqa: PTH103
            syscalls.mount(f"/proc/self/fd/{source}", target, "", syscalls.MS_BIND)
            flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | _NARROW
            syscalls.mount("none", target, "", flags)
            os.close(source)
        flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY | _NARROW
        syscalls.mount("none", path, "", flags)
        os.chdir(path)
        syscalls.pivot_root(here.pivot_root)
        syscalls.umount(".")
        os.chdir("/")

    return _directories("/" if controls.attempt(ROOT, go) else path, names)


def _directories(path: str, names: tuple[str, ...]) -> dict[str, int]:
    base = _directory(path, None)
    try:
        return {name: _directory(name, base) for name in names}
    finally:
        os.close(base)


def _directory(name: str, base: int | None) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=base)


def take_ids(controls: Controls, uid: int, gid: int) -> None:
    """Become `uid`:`gid` with no other group and no capability, for good."""

    def become() -> None:
        if os.getuid() == uid:
            raise OSError("the core's own uid")
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)

    def drop() -> None:
        syscalls.drop_capabilities()

    for capability in range(_LAST_CAPABILITY):
        with contextlib.suppress(OSError):
            syscalls.prctl(syscalls.PR_CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    controls.attempt(UID, become)
    controls.attempt(CAPABILITIES, drop)
    controls.attempt(NO_NEW_PRIVS, lambda: syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1))
    os.umask(0o007)
    # Nobody of the same uid may look into this memory.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)


def seal(controls: Controls, rights: Mapping[int, int], *, files: int = MAX_FILES) -> None:
    """Give up the rest. Call it when everything that needs a name is open.

    Args:
        controls: Gets the outcome.
        rights: Landlock rights by open directory.
        files: Descriptors it may have at once.

    Raises:
        OSError: The file system could not be shut off in any way.
    """

    def limit() -> None:
        for what, most in (
            (resource.RLIMIT_NOFILE, files),
            (resource.RLIMIT_NPROC, 0),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, MAX_SEGMENT_BYTES),
            (resource.RLIMIT_DATA, _MAX_DATA_BYTES),
            (resource.RLIMIT_MEMLOCK, 0),
            (resource.RLIMIT_MSGQUEUE, 0),
        ):
            resource.setrlimit(what, (most, most))

    def lock() -> None:
        landlock.restrict(rights)

    controls.attempt(RLIMITS, limit)
    controls.attempt(LANDLOCK, lock)
    controls.attempt(SECCOMP, seccomp.install)
    if LANDLOCK not in controls.held and ROOT not in controls.held:
        raise OSError("neither a root directory of its own nor Landlock can be had")
    gc.freeze()
