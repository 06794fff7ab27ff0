"""The processes in which gVisor runs a box's programs: whether they run, and what they have used.

A sentry that is stopped starts nothing and answers no system call, but a program that computes at
that moment goes on until it makes one. It can do more than heat the processor: pages of a file that
is mapped already are written without any call.
"""

from __future__ import annotations

from typing import Final

from ironclaw.sandbox.children import descendants, read, threads
from ironclaw.sandbox.process import cpu_ticks

_STOPPED: Final = frozenset("Tt")
_RUNNING: Final = frozenset("RD")


def is_still(sentry: int) -> bool:
    """Whether a sentry is stopped and nothing of its box runs, so that nothing will."""
    states = {_state(thread) for thread in threads(sentry)}
    if not states or not states <= _STOPPED:
        return False
    inside = descendants(sentry)
    # A box has a program: where none is found, nothing is known of it.
    return bool(inside) and not any(
        _state(thread) in _RUNNING for stub in inside for thread in threads(stub)
    )


def ticks(sentry: int) -> int:
    """Processor time of a sentry and of what runs in its box, in clock ticks; 0 when it is gone."""
    return cpu_ticks(sentry) + sum(map(cpu_ticks, descendants(sentry)))


def _state(thread: str) -> str:
    """One letter; empty when it is gone."""
    return read(f"{thread}/stat").rpartition(")")[2].strip()[:1] or "Z"
