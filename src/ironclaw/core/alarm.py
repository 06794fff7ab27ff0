"""One task that looks at what is due, and sleeps until the first time it found or until rung."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Alarm:
    """Wakes who sleeps until something is due. A ring is never lost: it counts from each look on.

    The bell is still before each look. So whatever was rung for earlier is seen by that look, and
    whatever is rung for during it makes another one follow at once.
    """

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    def ring(self) -> None:
        """There is something new: look again, now or after the look that is under way."""
        self._bell.set()

    @property
    def is_rung(self) -> bool:
        """Whether it was rung since the last look began."""
        return self._bell.is_set()

    async def keep(self, look: Callable[[], Awaitable[float | None]]) -> None:
        """Look, sleep, and look again, until cancelled.

        Args:
            look: Does what is due; returns how many seconds there is nothing to do, None: until
                somebody rings. What it raises ends this.
        """
        while True:
            self._bell.clear()
            wait_s = await look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._bell.wait()
