"""The processes in which gVisor runs a box's programs: whether they run, and what they have used.

A sentry that is stopped starts nothing and answers no system call, but a program that computes at
that moment goes on until it makes one. It can do more than heat the processor: pages of a file that
is mapped already are written without any call.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ironclaw.sandbox.process import cpu_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator

_STOPPED: Final = frozenset("Tt")
_RUNNING: Final = frozenset("RD")


def stubs(sentry: int) -> list[int]:
    """Descendants of a sentry; it starts none while it is stopped.

    Source:
        proc(5): `/proc/<pid>/task/<tid>/children`.
    """
    found: list[int] = []
    parents = [sentry]
    while parents:
        born = [child for thread in _threads(parents.pop()) for child in _children(thread)]
        parents += born
        found += born
    return found


def is_still(sentry: int) -> bool:
    """Whether a sentry is stopped and nothing of its box runs, so that nothing will."""
    states = {_state(thread) for thread in _threads(sentry)}
    if not states or not states <= _STOPPED:
        return False
    return not any(
        _state(thread) in _RUNNING for stub in stubs(sentry) for thread in _threads(stub)
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


def _children(thread: str) -> list[int]:
    return [int(word) for word in _read(f"{thread}/children").split()]


def _state(thread: str) -> str:
    """One letter; empty when it is gone."""
    return _read(f"{thread}/stat").rpartition(")")[2].strip()[:1] or "Z"


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - hot
            return file.read()
    except (FileNotFoundError, ProcessLookupError):
        return ""
