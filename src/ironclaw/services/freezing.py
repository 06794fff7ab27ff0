"""A box that has nothing to do is frozen, and goes on before anything is said to it.

gVisor's sentry wakes up once a second for its own clocks, whether the program in it does anything
or not: 3 % of a core for a hundred boxes that wait. A frozen one costs none, and no watchdog asks
it anything. Everything that is said passes `Freezer.guard`, so nobody can forget to thaw a box.

    said or heard -> stirred -> (after_s) -> busy? -> freeze -> still? -> is_frozen
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.domain.wall import AirlockLink, Box, Claim, Isolator, LinkEvent
    from ironclaw_contract.records import InboundBody
    from ironclaw_contract.rpc import ModelTell, Used

_log = get_logger("freezing")
STILL_AFTER_S: Final = 0.1
"""For a box that is told to stand still to do so."""
AGAIN: Final = 10
"""Times `after_s` until one that could not be frozen is looked at again."""


class Freezer:
    """Freezes one box between two things that happen.

    Args:
        isolator: Whose box it is.
        box: The box.
        after_s: For how long nothing was said or heard before it is frozen.
        is_frozen: Whether it may be frozen now: a former core may have left it so.
    """

    def __init__(
        self, isolator: Isolator, box: Box, *, after_s: float, is_frozen: bool = False
    ) -> None:
        self._isolator = isolator
        self._box = box
        self._after_s = after_s
        self._link: AirlockLink | None = None
        self._is_busy: Callable[[], bool] = _at_rest
        self._timer: asyncio.TimerHandle | None = None
        self._is_put_off = False
        self._stirred_s = 0.0
        self._on_thaw: Callable[[], None] = _nothing
        self._is_told = is_frozen
        """Whether it was told to stand still, or may have been."""
        self.is_frozen = False
        """Whether it is known to stand still."""
        self.freezes = 0
        """How often it has come to stand still."""

    def guard(self, link: AirlockLink) -> AirlockLink:
        """Return the link of the box's airlock so that who speaks through it is heard at once."""
        self._link = link
        return _Guarded(link, self)

    def belong(self, is_busy: Callable[[], bool]) -> None:
        """From now on the box has work as long as this says so."""
        self._is_busy = is_busy

    def watch(self, on_thaw: Callable[[], None]) -> None:
        """Call this whenever the box goes on; one watcher."""
        self._on_thaw = on_thaw

    def stirred(self) -> None:
        """Something happens: let the box go on, for a while at least."""
        self.thaw()
        loop = asyncio.get_running_loop()
        self._stirred_s = loop.time()
        if self._timer is None or self._is_put_off:
            self._arm(self._after_s)

    def thaw(self) -> None:
        """Let the box go on.

        Raises:
            OSError: The host is out of descriptors; the box stands still as before.
        """
        if not self._is_told:
            return
        self._isolator.thaw(self._box)
        self._is_told = self.is_frozen = False
        self._rest()
        self._say()
        self._on_thaw()

    def stop(self) -> None:
        """The box is being ended: freeze it no more."""
        self._is_busy = _busy
        self._rest()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        left_s = self._stirred_s + self._after_s - loop.time()
        if left_s <= 0 and self._is_busy():
            # What it does may end without a word.
            left_s = self._after_s
        if left_s > 0:
            self._arm(left_s)
            return
        self._timer = None
        try:
            self._isolator.freeze(self._box)
        except OSError as error:
            self._failed(error)
            self._arm(AGAIN * self._after_s, put_off=True)
            return
        self._is_told = True
        self._say()
        self._timer = loop.call_later(STILL_AFTER_S, self._settle)

    def _settle(self) -> None:
        self._timer = None
        try:
            if self._isolator.is_still(self._box):
                self.is_frozen = True
                self.freezes += 1
                return
            # Nobody has asked it to compute, and it may be up to something: it stays under watch.
            _log.info("box_not_still", slot=self._box.slot)
            self.thaw()
        except OSError as error:
            self._failed(error)
        self._arm(AGAIN * self._after_s, put_off=True)

    def _failed(self, error: OSError) -> None:
        # The host is out of something: nothing is known of the box, so nothing is said of it.
        _log.warning("box_not_frozen", slot=self._box.slot, error=error.strerror)

    def _arm(self, seconds: float, *, put_off: bool = False) -> None:
        self._rest()
        self._is_put_off = put_off
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _say(self) -> None:
        if self._link is not None:
            self._link.stands_still(self._is_told)


class _Guarded:
    """Implements `domain.wall.AirlockLink`: what the box must act on thaws it first."""

    def __init__(self, link: AirlockLink, freezer: Freezer) -> None:
        self._link = link
        self._freezer = freezer
        self.pid = link.pid
        self.controls = link.controls
        self.missing = link.missing

    async def claim(self, claim: Claim) -> None:
        self._freezer.stirred()
        await self._link.claim(claim)

    async def publish(self, bodies: Sequence[InboundBody]) -> None:
        self._freezer.stirred()
        await self._link.publish(bodies)

    async def tell(self, event: ModelTell) -> None:
        self._freezer.stirred()
        await self._link.tell(event)

    async def tell_tool(self, used: Used) -> None:
        self._freezer.stirred()
        await self._link.tell_tool(used)

    async def ack(self, seq: int) -> None:
        """The airlock's business alone."""
        await self._link.ack(seq)

    async def offer_tools(self, offered: bool) -> None:  # noqa: FBT001 - as the port has it
        """A socket comes or goes; the box learns of it when it is told its setup."""
        await self._link.offer_tools(offered)

    def stands_still(self, frozen: bool) -> None:  # noqa: FBT001 - as the port has it
        self._link.stands_still(frozen)

    async def receive(self) -> LinkEvent | None:
        event = await self._link.receive()
        if event is not None:
            # It had something to say: it was not done yet.
            self._freezer.stirred()
        return event

    async def close(self) -> None:
        await self._link.close()


def _at_rest() -> bool:
    return False


def _busy() -> bool:
    return True


def _nothing() -> None:
    pass
