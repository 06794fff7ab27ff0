"""The pulse of a sibling session: messages one after the other while something else goes on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ironclaw.prove.house.private import House

SIBLING: Final = "sibling"
"""The agent, and its chat, that runs the real image."""
PAUSE_S: Final = 0.02
"""Between an answer and the next message."""
LATE_S: Final = 5.0
"""A sibling that waits longer was harmed, however slow the machine."""


class Pulse:
    """Round trips of a sibling's messages, in seconds."""

    def __init__(self, house: House, *, pause_s: float = PAUSE_S) -> None:
        self._house = house
        self._pause_s = pause_s
        self.taken: list[float] = []
        self.lost = 0

    async def beat(self) -> None:
        """Send one message and wait for its answer."""
        sent = await self._house.send(SIBLING, "measure")
        try:
            async with asyncio.timeout(LATE_S):
                handed, delivery = await self._house.voice.wait(sent.message)
        except TimeoutError:
            self.lost += 1
        else:
            self.lost += delivery.is_error
            self.taken.append(handed - sent.at)

    async def run(self, *, least: int = 0, until: Callable[[], bool] = lambda: True) -> None:
        """Beat until there were enough and `until` says so."""
        while len(self.taken) + self.lost < least or not until():
            await self.beat()
            await asyncio.sleep(self._pause_s)

    @property
    def harm(self) -> str:
        """What became of the sibling, in words; empty when it is well."""
        return f"the sibling lost {self.lost} messages" if self.lost else ""


@contextlib.asynccontextmanager
async def felt(house: House) -> AsyncIterator[Pulse]:
    """Feel the sibling's pulse until left."""
    pulse, over = Pulse(house), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(pulse.run(least=1, until=over.is_set), name="prove/pulse")
        try:
            yield pulse
        finally:
            over.set()
