"""The owner of one session: brings boxes for it, one after the other, while there is work.

run: backlog? -> slot (adopted, warm or cold) -> epoch, receipt -> Life.run -> what next?
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, assert_never

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, PeerError, PolicyError
from ironclaw.core.log import get_logger
from ironclaw.domain.lifecycle import Park, Rest, Retry, after_end
from ironclaw.domain.model import SessionState
from ironclaw.services.life import End, Life

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Message, Session
    from ironclaw.domain.ports import Box
    from ironclaw.services.parts import SessionParts
    from ironclaw.services.sessions import BoxState
    from ironclaw.services.slots import Slot

# Trying again cannot help with these: a person has to act first.
_FINAL: Final = frozenset(
    {
        Code.RUNTIME_MISSING,
        Code.RUNTIME_TOO_OLD,
        Code.IMAGE_MISSING,
        Code.IMAGE_BROKEN,
        Code.IMAGE_UNTRUSTED,
        Code.HOST_UNSUITED,
        Code.KEY_UNUSABLE,
        Code.POSTURE_FAILED,
        Code.SPEC_TOO_WEAK,
    }
)

_log = get_logger("owner")


class Owner:
    """Runs a session until there is nothing left to do."""

    def __init__(
        self,
        session: SessionId,
        parts: SessionParts,
        *,
        adopted: Box | None,
        make_room: Callable[[], Awaitable[None]],
    ) -> None:
        self._id = session
        self._parts = parts
        self._adopted = adopted
        self._make_room = make_room
        self._life: Life | None = None
        self._done = asyncio.Event()
        self._leaving = False
        self._stopped = False
        self._delay = asyncio.Event()
        self._starting = False
        self.agent_id: AgentId | None = None
        self.woken = False

    @property
    def state(self) -> BoxState:
        """What the box does now."""
        if self._life is None:
            return "starting" if self._starting else "none"
        if self._leaving:
            return "stopping"
        return "busy" if self._life.busy else "ready"

    @property
    def has_box(self) -> bool:
        """Whether a box is there or under way."""
        return self._life is not None or self._starting

    @property
    def idle_since(self) -> float:
        """Monotonic seconds at which the box last had work."""
        return 0.0 if self._life is None else self._life.idle_since

    def wake(self, message: Message | None) -> None:
        """The ledger has something new: `message`, or whatever it is."""
        self.woken = True
        if self._life is not None:
            self._life.wake(message)

    async def stop(self) -> None:
        """Kill the box now and fail what it was working on; returns when it is dead."""
        self._stopped = True
        await self.retire()

    async def retire(self) -> None:
        """Let the box go; what it was working on stays pending."""
        self._leaving = True
        self._delay.set()
        if self._life is not None:
            self._life.end("stopped" if self._stopped else "retired")
        await self._done.wait()

    async def run(self) -> None:
        """Work until nothing is left. Raises IronClawError when the ledger itself fails."""
        try:
            await self._run()
        finally:
            self._done.set()

    async def _run(self) -> None:
        failures = 0
        while not self._leaving:
            self.woken = False
            session = await self._parts.registry.session(self._id)
            if session.state is not SessionState.ACTIVE:
                await self._fail(f"This conversation is closed: {session.reason}.")
                break
            if self._adopted is None and not await self._has_pending():
                return
            end = await self._one_life(session)
            if end is None or self._leaving:
                break
            _log.info("box_ended", session=self._id, reason=end.reason, detail=end.detail)
            pending = await self._has_pending()
            match after_end(failures=failures, progressed=end.progressed, pending=pending):
                case Rest():
                    failures = 0
                case Retry(delay_s, failures):
                    await self._wait(delay_s)
                case Park(failures):
                    await self._fail(
                        f"The agent's sandbox failed {failures} times in a row ({end.reason}). "
                        "It starts again with your next message."
                    )
                    return
                case other:
                    assert_never(other)
        if self._stopped:
            await self._fail("Stopped on request.")

    async def _one_life(self, session: Session) -> End | None:
        """One box from start to end; None when a failure has been told to people already."""
        slot: Slot | None = None
        self._starting = True
        try:
            agent = await self._parts.registry.agent(session.agent)
            self.agent_id = agent.id
            adopted, self._adopted = self._adopted, None
            if adopted is not None:
                slot = await self._parts.slots.adopt(adopted, workspace=session.workspace)
            else:
                await self._make_room()
                slot = await self._parts.slots.take(agent, workspace=session.workspace)
                session = await self._bind(session, slot)
            if self._leaving:
                return None
            life = Life(slot=slot, session=session, agent=agent, parts=self._parts)
            self._life = life
            self._starting = False
            return await life.run(adopted=adopted is not None)
        except (HostError, PeerError, PolicyError) as error:
            return await self._explain(error)
        finally:
            self._starting = False
            if slot is not None:
                await self._parts.slots.release(slot)
            self._life = None

    async def _bind(self, session: Session, slot: Slot) -> Session:
        # The receipt first: no key enters a slot whose proof is not stored.
        if slot.receipt is not None:
            await self._parts.registry.save_receipt(session.id, slot.receipt)
        return await self._parts.ledger.begin_epoch(session.id, workspace=slot.workspace)

    async def _explain(self, error: IronClawError) -> End | None:
        _log.error(
            "box_start_failed",
            session=self._id,
            code=error.code,
            message=error.message,
            detail=error.detail,
        )
        if error.code in _FINAL:
            await self._fail(f"The agent cannot start: {error.message} ({error.code}).")
            return None
        return End("gone", error.message, progressed=False)

    async def _has_pending(self) -> bool:
        return any(message.engage for message in await self._parts.ledger.backlog(self._id))

    async def _fail(self, text: str) -> None:
        for message in await self._parts.ledger.backlog(self._id):
            if message.engage:
                await self._parts.ledger.fail_message(message.id, text=text)
        self._parts.announce.due()

    async def _wait(self, delay_s: float) -> None:
        if delay_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._delay.wait()
