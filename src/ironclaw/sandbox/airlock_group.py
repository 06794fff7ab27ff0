"""A cgroup for each airlock, beside its box's: an airlock that a box took over is bounded as well.

An airlock paces itself; this holds when it no longer wants to. runsc fills the groups of boxes, and
knows nothing of airlocks, so these are made, filled and removed here. Both hierarchies, v1 and v2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.sandbox import cgroups

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.sandbox.cgroups import Cgroups

MEMORY_BYTES: Final = 256 * 1024 * 1024
"""Beyond what its own limit on data lets it have: this only catches what that does not count."""
CPU_MILLIS: Final = 500
PIDS: Final = 8
_PERIOD_US: Final = 100_000
_QUOTA_US: Final = CPU_MILLIS * _PERIOD_US // 1000
_V2: Final = 2
_SUFFIX: Final = ".airlock"

# By controller: file and value, in the order in which they must be written.
_LIMITS: Final[dict[int, dict[str, tuple[tuple[str, int | str], ...]]]] = {
    1: {
        "memory": (("memory.limit_in_bytes", MEMORY_BYTES),),
        "cpu": (("cpu.cfs_period_us", _PERIOD_US), ("cpu.cfs_quota_us", _QUOTA_US)),
        "pids": (("pids.max", PIDS),),
    },
    _V2: {
        "memory": (("memory.max", MEMORY_BYTES),),
        "cpu": (("cpu.max", f"{_QUOTA_US} {_PERIOD_US}"),),
        "pids": (("pids.max", PIDS),),
    },
}


def path_of(box: str) -> str:
    """Return the path of the airlock's group, given its box's."""
    return box + _SUFFIX


def enclose(groups: Cgroups, path: str, pid: int) -> bool:
    """Put a process into a group of its own, with all the limits there are.

    Args:
        groups: What there is.
        path: The group's, in every hierarchy.
        pid: Whom.

    Returns:
        Whether it is in, and every limit on memory, cpu and pids holds. If not, nothing is left.
    """
    if groups.controllers != frozenset(cgroups.CONTROLLERS):
        return False
    try:
        for place, controllers in _places(groups, path).items():
            place.mkdir(parents=True, exist_ok=True)
            if groups.version == _V2:
                _delegate(groups.root, place)
            for controller in controllers:
                for name, value in _LIMITS[groups.version][controller]:
                    (place / name).write_text(str(value), encoding="ascii")
            (place / "cgroup.procs").write_text(str(pid), encoding="ascii")
    except OSError:
        cgroups.remove(groups, path)
        return False
    return True


def _places(groups: Cgroups, path: str) -> dict[Path, tuple[str, ...]]:
    name = path.lstrip("/")
    if groups.version == _V2:
        return {groups.root / name: cgroups.CONTROLLERS}
    return {groups.root / controller / name: (controller,) for controller in cgroups.CONTROLLERS}


def _delegate(root: Path, place: Path) -> None:
    # What a group may limit is what its parents pass on, from the top down.
    words = " ".join(f"+{controller}" for controller in cgroups.CONTROLLERS)
    for parent in reversed(place.relative_to(root).parents):
        (root / parent / "cgroup.subtree_control").write_text(words, encoding="ascii")
