"""How much one person may ask for in an hour: what is asked for is kept for good. In memory.

Far more than anybody reads. It keeps a token that somebody else got hold of from filling the disk
with requests that are taken back at once, and so never are too many that wait.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import PrincipalId

WINDOW_S: Final = 3600.0
MOST: Final = 600
"""Requests of one principal in a window."""
ONE_BYTES: Final = 4096
"""Of a request that counts as one; a longer one counts as several."""


class Flood:
    """Counts requests of each principal. A restart begins anew."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[PrincipalId, collections.deque[tuple[float, int]]] = {}

    def take(self, principal: PrincipalId, size: int) -> None:
        """Count a request of so many bytes.

        Raises:
            PolicyError: `RATE_LIMITED`; nothing is counted.
        """
        now_s = self._clock.monotonic_s()
        asked = self._asked.setdefault(principal, collections.deque())
        while asked and asked[0][0] <= now_s - WINDOW_S:
            asked.popleft()
        cost = 1 + size // ONE_BYTES
        if sum(one for _, one in asked) + cost > MOST:
            raise PolicyError(
                Code.RATE_LIMITED,
                f"{principal} has asked for very much within the hour.",
                hint="Wait, and ask for less, or in shorter texts.",
            )
        asked.append((now_s, cost))
