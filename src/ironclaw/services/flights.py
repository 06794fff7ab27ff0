"""Calls of one agent that are under way at once, as far as its budgets have to know.

How many tokens an input has only its provider can tell. Most texts have fewer than what is reserved
for them; a box can make one that has three times as many. One call can be wrong about itself, and
the next sees what it used. Several at once could all be wrong: so while others are under way, a
call is granted only what it could use at the very most, or waits until one of them is over.
"""

from __future__ import annotations

import asyncio
from typing import Final

WAIT_S: Final = 15.0
"""How long a call waits for what others were reserved and may not use."""


class Flight:
    """Attempts of one agent that are reserved for, or being decided."""

    def __init__(self) -> None:
        self.calls = 0
        """Calls that hold this."""
        self._up = 0
        self._bell = asyncio.Event()

    def enter(self) -> bool:
        """One more is being decided; whether it is the only one."""
        self._up += 1
        return self._up == 1

    def leave(self, *, is_over: bool) -> None:
        """One is over, or was not granted."""
        self._up -= 1
        # One that was not granted makes room for nobody, unless the next one is the only one.
        if is_over or not self._up:
            self._bell.set()
            self._bell = asyncio.Event()

    async def one_less(self) -> bool:
        """Wait until a call may get more than before; False when that takes too long."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self._bell.wait()
        except TimeoutError:
            return False
        return True
