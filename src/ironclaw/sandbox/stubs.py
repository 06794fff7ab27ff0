"""The processes in which gVisor runs a box's programs: whether they run, and what they have used.

A sentry that is stopped starts nothing and answers no system call, but a program that computes at
that moment goes on until it makes one. It can do more than heat the processor: pages of a file that
is mapped already are written without any call.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.sandbox.process import cpu_ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STOPPED: Final = frozenset("Tt")
_RUNNING: Final = frozenset("RD")


def stubs(sentry: int) -> list[int]:
    """Descendants of a sentry; it starts none while it is stopped.

    Source:
        proc(5): `/proc/<pid>/task/<tid>/children`.
    """
    born = _born if _lists_children() else _born_by_scan()
    found: list[int] = []
    parents = [sentry]
    while parents:
        children = born(parents.pop())
        parents += children
        found += children
    return found


def is_still(sentry: int) -> bool:
    """Whether a sentry is stopped and nothing of its box runs, so that nothing will."""
    states = {_state(thread) for thread in _threads(sentry)}
    if not states or not states <= _STOPPED:
        return False
    inside = stubs(sentry)
    # A box has a program: where none is found, nothing is known of it.
    return bool(inside) and not any(
        _state(thread) in _RUNNING for stub in inside for thread in _threads(stub)
    )


def ticks(sentry: int) -> int:
    """Processor time of a sentry and of what runs in its box, in clock ticks; 0 when it is gone."""
    return cpu_ticks(sentry) + sum(map(cpu_ticks, stubs(sentry)))


def _threads(pid: int) -> Iterator[str]:
    try:
        names = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - hot
    except (FileNotFoundError, ProcessLookupError):
        return
    for name in names:
        yield f"/proc/{pid}/task/{name}"


@functools.cache
def _lists_children() -> bool:
    """Whether the kernel says which children a thread has (CONFIG_PROC_CHILDREN)."""
    return Path("/proc/thread-self/children").exists()


def _born(pid: int) -> list[int]:
    return [int(word) for thread in _threads(pid) for word in _read(f"{thread}/children").split()]


def _born_by_scan() -> Callable[[int], list[int]]:
    """The same from the parents that all processes name."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - hot
        fields = _read(f"/proc/{name}/stat").rpartition(")")[2].split() if name.isdigit() else ()
        if len(fields) > 1:
            children.setdefault(int(fields[1]), []).append(int(name))
    return lambda pid: children.get(pid, [])


def _state(thread: str) -> str:
    """One letter; empty when it is gone."""
    return _read(f"{thread}/stat").rpartition(")")[2].strip()[:1] or "Z"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""
