"""What the host can see of greed: processor time, processes, bytes and free memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.sandbox import cgroups

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import SlotId
    from ironclaw.sandbox.cgroups import Cgroups

_ZYGOTE: Final = b"zygote import main"
"""In the command line of every zygote, weakened or not."""
_UNIFIED: Final = 2


def p99_ms(seconds: Sequence[float]) -> float:
    """The 99th percentile (nearest rank) in milliseconds. Raises ValueError for no samples."""
    if not seconds:
        raise ValueError("nothing was measured")
    ordered = sorted(seconds)
    return round(1000 * ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))], 2)


def available_bytes() -> int:
    """`MemAvailable` of the machine. Raises ValueError."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise ValueError("/proc/meminfo has no MemAvailable")


def box_cpu_s(groups: Cgroups, slot: SlotId) -> float:
    """Processor seconds that a box's cgroup has used. Raises OSError, ValueError."""
    name = f"{cgroups.PARENT}/{slot}".lstrip("/")
    if groups.version == _UNIFIED:
        text = (groups.root / name / "cpu.stat").read_text(encoding="ascii")
        return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6
    return int((groups.root / "cpuacct" / name / "cpuacct.usage").read_text(encoding="ascii")) / 1e9


def box_pids(groups: Cgroups, slot: SlotId) -> int:
    """Host threads in a box's cgroup; 0 when it is gone."""
    name = f"{cgroups.PARENT}/{slot}".lstrip("/")
    base = groups.root if groups.version == _UNIFIED else groups.root / "pids"
    try:
        return int((base / name / "pids.current").read_text(encoding="ascii"))
    except OSError:
        return 0


def airlocks() -> frozenset[int]:
    """The host pids of all airlocks that this process's zygotes have forked."""
    return frozenset(child for zygote in _children(os.getpid()) for child in _children(zygote))


def _children(parent: int) -> list[int]:
    """Children of a process that are zygotes or their airlocks."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace")
                ours = int(fields.rpartition(")")[2].split()[1]) == parent
                if ours and _ZYGOTE in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def process_cpu_s(pid: int) -> float:
    """Processor seconds that a process has used; 0 when it is gone."""
    total = 0
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


def tree_bytes(*roots: Path) -> int:
    """Bytes that our own files below some directories take; mounts are not entered."""
    total = 0
    for root in roots:
        if not root.exists():
            continue
        device = root.stat().st_dev
        for place, directories, names in os.walk(root):
            directories[:] = [
                name for name in directories if os.lstat(f"{place}/{name}").st_dev == device
            ]
            for name in names:
                with contextlib.suppress(OSError):
                    total += os.lstat(f"{place}/{name}").st_blocks * 512
    return total


async def gone_within(pids: Sequence[int], *, seconds: float) -> float | None:
    """Seconds until all of these processes have ended; None when one is still there."""
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        if not any(_is_alive(pid) for pid in pids):
            return time.perf_counter() - began
        await asyncio.sleep(0.01)
    return None


def _is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"
