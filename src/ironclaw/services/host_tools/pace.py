"""How often an agent may do something: so many times in a sliding window. In memory."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

from ironclaw.services.host_tools.tool import NotDoneError

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId


class Pace:
    """One limit, for each agent by itself. A restart begins anew.

    Args:
        most: Times in a window.
        window_s: Its length in seconds.
        clock: What time it is.
    """

    def __init__(self, *, most: int, window_s: float, clock: Clock) -> None:
        self._most = most
        self._window_s = window_s
        self._clock = clock
        self._times: dict[AgentId, collections.deque[float]] = {}

    def take(self, agent: AgentId, *, cost: int = 1) -> None:
        """Count so many more, at most all there are in a window.

        Raises:
            NotDoneError: There is no room for them; nothing is counted.
        """
        cost = min(cost, self._most)
        now = self._clock.monotonic_s()
        times = self._times.setdefault(agent, collections.deque())
        while times and times[0] <= now - self._window_s:
            times.popleft()
        if (over := len(times) + cost - self._most) > 0:
            wait_s = int(times[over - 1] + self._window_s - now) + 1
            raise NotDoneError(
                f"rate_limited: that was {self._most} times within {self._window_s:.0f} seconds. "
                f"Try again in {wait_s} seconds, and do it less often"
            )
        times.extend([now] * cost)
