"""Percentiles and memory figures. Pure, but for reading /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable


class Spread(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float
    n: int


def spread(seconds: list[float]) -> Spread:
    """Median and 99th percentile (nearest rank) of durations in seconds, as milliseconds.

    Raises:
        ValueError: There are no samples.
    """
    if not seconds:
        raise ValueError("nothing was measured")
    ordered = sorted(seconds)

    def rank(share: float) -> float:
        index = min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))
        return round(ordered[index] * 1000, 3)

    return Spread(p50=rank(0.50), p99=rank(0.99), n=len(ordered))


def mem_available_bytes() -> int:
    """`MemAvailable` of the machine."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise ValueError("/proc/meminfo has no MemAvailable")


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time used so far by the threads that exist, in nanosecond steps.

    The ticks of `stat` would round an idle process's few microseconds to nothing, or up to 10 ms.

    Source:
        proc(5), schedstat: the first field is the time spent on the CPU in nanoseconds.
    """
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_text().split()[0])
            except OSError:
                continue
    return total / 1e9


def family(root: int) -> set[int]:
    """`root` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = {root}, [root]
    while queue:
        for child in children.get(queue.pop(), []):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found
