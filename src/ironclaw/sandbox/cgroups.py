"""What this host offers of cgroups, and what they say of one box. Both hierarchies, v1 and v2.

runsc makes and fills the groups; this module only finds out, reads back and removes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from ironclaw.sandbox.spec import Resources

MOUNT: Final = Path("/sys/fs/cgroup")
CONTROLLERS: Final = ("memory", "cpu", "pids")
PARENT: Final = "/ironclaw"
"""The parent of all boxes' groups, in every hierarchy."""
_TRIES: Final = 400
_TRY_S: Final = 0.005


class Cgroups(NamedTuple):
    """What there is."""

    version: int
    """2, 1, or 0 for none that we may use."""
    controllers: frozenset[str]
    root: Path = MOUNT

    @property
    def usable(self) -> bool:
        """Tell whether runsc can be asked to use them."""
        return self.version > 0

    @property
    def weaker(self) -> tuple[str, ...]:
        """What is not enforced, in words."""
        missing = [name for name in CONTROLLERS if name not in self.controllers]
        return (f"no cgroup limit on {', '.join(missing)}",) if missing else ()


def detect(root: Path = MOUNT) -> Cgroups:
    """Find out what this process may use."""
    unified = root / "cgroup.controllers"
    if unified.is_file():
        offered = unified.read_text(encoding="ascii").split()
        writable = os.access(root, os.W_OK) and os.access(root / "cgroup.subtree_control", os.W_OK)
        return (
            Cgroups(2, frozenset(CONTROLLERS) & frozenset(offered), root)
            if writable and "memory" in offered
            else Cgroups(0, frozenset(), root)
        )
    # Version 1: a hierarchy counts only where it is a real mount that we may write to.
    found = frozenset(
        name
        for name in CONTROLLERS
        if (root / name / "cgroup.procs").is_file() and os.access(root / name, os.W_OK)
    )
    return Cgroups(1 if "memory" in found else 0, found, root)


def directories(groups: Cgroups, path: str) -> list[Path]:
    """Return where a box's group is, in each hierarchy that has it."""
    if groups.version == 2:  # noqa: PLR2004 - the version's number
        found = [groups.root / path.lstrip("/")]
    else:
        found = [entry / path.lstrip("/") for entry in groups.root.iterdir() if entry.is_dir()]
    return [directory for directory in found if directory.is_dir()]


def read_limits(groups: Cgroups, path: str) -> dict[str, str]:
    """Read back what is enforced for a box, by controller, as text. Missing files are left out."""
    name = path.lstrip("/")
    files = (
        {
            "memory": groups.root / name / "memory.max",
            "cpu": groups.root / name / "cpu.max",
            "pids": groups.root / name / "pids.max",
        }
        if groups.version == 2  # noqa: PLR2004 - the version's number
        else {
            "memory": groups.root / "memory" / name / "memory.limit_in_bytes",
            "cpu": groups.root / "cpu" / name / "cpu.cfs_quota_us",
            "pids": groups.root / "pids" / name / "pids.max",
        }
    )
    limits: dict[str, str] = {}
    for controller, file in files.items():
        with contextlib.suppress(OSError):
            limits[controller] = file.read_text(encoding="ascii").strip()
    return limits


def wanted_limits(groups: Cgroups, resources: Resources) -> dict[str, str]:
    """Say what `read_limits` must return for a box with these resources."""
    quota = str(resources.cpu.quota)
    wanted = {
        # The kernel rounds down to whole pages.
        "memory": str(resources.memory.limit // 4096 * 4096),
        "cpu": f"{quota} {resources.cpu.period}" if groups.version == 2 else quota,  # noqa: PLR2004
        "pids": str(resources.pids.limit),
    }
    return {name: wanted[name] for name in CONTROLLERS if name in groups.controllers}


def members(groups: Cgroups, path: str) -> frozenset[int]:
    """Return the pids in a box's memory group."""
    name = path.lstrip("/")
    base = groups.root if groups.version == 2 else groups.root / "memory"  # noqa: PLR2004
    try:
        text = (base / name / "cgroup.procs").read_text(encoding="ascii")
    except OSError:
        return frozenset()
    return frozenset(int(line) for line in text.split())


def oom_kills(groups: Cgroups, path: str) -> int:
    """Return how often the kernel killed something of a box for its memory limit."""
    name = path.lstrip("/")
    file = (
        groups.root / name / "memory.events"
        if groups.version == 2  # noqa: PLR2004 - the version's number
        else groups.root / "memory" / name / "memory.oom_control"
    )
    try:
        lines = file.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.split()[0] == "oom_kill")


def remove(groups: Cgroups, path: str) -> None:
    """Remove a box's empty groups, and the parents that are empty then. Never raises OSError."""
    if not groups.usable:
        return
    for directory in directories(groups, path):
        with contextlib.suppress(OSError):
            directory.rmdir()
            directory.parent.rmdir()


def end(groups: Cgroups, path: str) -> bool:
    """Kill whoever is in a group and remove it. Blocks for a moment; never raises OSError.

    A process that was killed leaves its group a while after it is gone from `/proc`, and a launch
    that was broken off may have left some.

    Returns:
        Whether it is gone.
    """
    if not groups.usable:
        return True
    for _ in range(_TRIES):
        for pid in members(groups, path):
            _kill(groups, path, pid)
        remove(groups, path)
        if not directories(groups, path):
            return True
        time.sleep(_TRY_S)
    return False


def _kill(groups: Cgroups, path: str, pid: int) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            # The descriptor pins the process: what is asked again is what is killed.
            if pid in members(groups, path):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        finally:
            os.close(descriptor)


def remove_parent(groups: Cgroups) -> None:
    """Remove the group of all boxes where it is empty. Never raises OSError.

    For the end of a house or of a probe: `runsc delete` removes a box's own group and leaves this.
    """
    if not groups.usable:
        return
    for directory in directories(groups, PARENT):
        with contextlib.suppress(OSError):
            directory.rmdir()
