"""How long the turn under way has taken, in all the boxes that worked on it.

Time runs while its box has something to do. While the turn waits for people, or for a box, it does
not. What was counted is kept with each record of the turn, so a fresh box goes on from there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ironclaw.domain.ports import Worked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import MessageId


class TurnClock:
    """Counts one turn after the other.

    Args:
        clock: Gives the time.
        over: Called when a turn has taken longer than it may.
    """

    def __init__(self, clock: Clock, over: Callable[[MessageId], None]) -> None:
        self._clock = clock
        self._over = over
        self._turn: MessageId | None = None
        self._before_s = 0.0
        self._since_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def resume(self, worked: Worked) -> None:
        """A former box has worked on this turn."""
        if self._turn != worked.turn:
            self._turn, self._before_s = worked.turn, worked.ms / 1000

    def follow(self, turn: MessageId | None, *, most_s: float | None) -> None:
        """This turn is worked on from now on, or none.

        Args:
            turn: The one that the box works on; None while it has nothing to do.
            most_s: Seconds that it may take; None: as long as it likes.
        """
        self._before_s, self._since_s = self._worked_s(), None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if turn is None:
            return
        if turn != self._turn:
            self._turn, self._before_s = turn, 0.0
        self._since_s = self._clock.monotonic_s()
        if most_s is not None:
            left_s = max(0.0, most_s - self._before_s)
            self._timer = asyncio.get_running_loop().call_later(left_s, self._over, turn)

    def stop(self) -> None:
        """Count no more."""
        self.follow(None, most_s=None)

    @property
    def worked(self) -> Worked | None:
        """How long the turn has taken up to now."""
        if self._turn is None:
            return None
        return Worked(self._turn, round(self._worked_s() * 1000))

    def _worked_s(self) -> float:
        if self._since_s is None:
            return self._before_s
        return self._before_s + self._clock.monotonic_s() - self._since_s
