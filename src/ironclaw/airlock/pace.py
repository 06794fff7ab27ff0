"""How much processor time an airlock spends on its box: a share of one core, with a burst.

An airlock runs outside its box's cgroup, so a box that keeps it busy would have more of the machine
than it may. What is spent on the core's own wishes does not count, and every message that the core
publishes gives some back: an honest box is never made to wait.

    spent -> is the burst used up? -> pause_s until a part of it is there again
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.2
"""Of one core, on average."""
BURST_S: Final = 0.15
"""Seconds of processor time that may be used at once."""
MESSAGE_S: Final = 0.05
"""Seconds that come with each message of the core: many times what its turn takes."""
_RESUME: Final = 0.25
"""Part of the burst that is waited for once it is used up."""


class Pace:
    """The account of one airlock.

    Args:
        now_s: The time, in monotonic seconds.
    """

    def __init__(self, now_s: float) -> None:
        self._left_s = BURST_S
        self._at_s = now_s
        self._is_pausing = False

    def spent(self, cpu_s: float) -> None:
        """So much processor time went into what the box wanted."""
        self._left_s -= cpu_s

    def message(self) -> None:
        """The core has published something."""
        self._left_s = min(BURST_S, self._left_s + MESSAGE_S)

    def pause_s(self, now_s: float) -> float:
        """Seconds for which the box must not be read; 0 when it may be."""
        self._left_s = min(BURST_S, self._left_s + (now_s - self._at_s) * SHARE)
        self._at_s = now_s
        if self._left_s <= 0:
            self._is_pausing = True
        missing_s = BURST_S * _RESUME - self._left_s
        if missing_s <= 0:
            self._is_pausing = False
        return missing_s / SHARE if self._is_pausing else 0.0
