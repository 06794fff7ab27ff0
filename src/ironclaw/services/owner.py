"""The owner of one session: brings boxes for it, one after the other, while there is work.

run: backlog? -> room -> slot (adopted, warm or cold) -> epoch, receipt -> Life.run -> what next?

Whatever a person sent stays pending in the ledger until it is answered or failed with a word; an
owner that ends while something waits leaves `woken` set, and the table starts another one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, assert_never

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, PeerError, PolicyError
from ironclaw.core.log import get_logger
from ironclaw.domain.lifecycle import MAX_DELAY_S, Park, Rest, Retry, after_end
from ironclaw.domain.model import SessionState
from ironclaw.services.ends import End, note_failures
from ironclaw.services.inbox import is_work
from ironclaw.services.life import Life

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Agent, Message, Session
    from ironclaw.domain.wall import Box
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

STORE_RETRY_S: Final = 1.0
"""Before the ledger is tried again after it failed; doubles."""

_log = get_logger("owner")


class Owner:
    """Runs a session until there is nothing left to do.

    Args:
        session: Whose owner.
        parts: What it works with.
        adopted: A box of this session that a former core left running.
        make_room: Waits until one more box may run.
        changed: Called when this box becomes idle or is gone: somebody may wait for its place.
    """

    def __init__(
        self,
        session: SessionId,
        parts: SessionParts,
        *,
        adopted: Box | None,
        make_room: Callable[[], Awaitable[None]],
        changed: Callable[[], None],
    ) -> None:
        self._id = session
        self._parts = parts
        self._adopted = adopted
        self._make_room = make_room
        self._changed = changed
        self._life: Life | None = None
        self._done = asyncio.Event()
        self._leaving = False
        self._stopped = False
        self._delay = asyncio.Event()
        self._starting: asyncio.Timeout | None = None
        """While a box is being made: what ends that at once."""
        self._has_place = False
        self._agent: Agent | None = None
        """As it was last heard of."""
        self._refreshes = 0
        self._is_over = asyncio.Event()
        """Set when the slot of the last life is gone."""
        self.agent_id: AgentId | None = None
        self.woken = False

    @property
    def state(self) -> BoxState:
        """What the box does now."""
        if self._life is None:
            return "none" if self._starting is None else "starting"
        if self._leaving:
            return "stopping"
        return "busy" if self._life.busy else "ready"

    @property
    def is_frozen(self) -> bool:
        """Whether the box is known to stand still, as it has nothing to do."""
        # One that is being ended is not waiting for anything any more.
        return self.state == "ready" and self._life is not None and self._life.is_frozen

    @property
    def has_box(self) -> bool:
        """Whether a box is there or under way; one that waits for room is not."""
        return self._has_place

    @property
    def idle_since(self) -> float:
        """Monotonic seconds at which the box last had work."""
        return 0.0 if self._life is None else self._life.idle_since

    def wake(self, message: Message | None) -> None:
        """The ledger has something new: `message`, or whatever it is."""
        self.woken = True
        if self._life is not None:
            self._life.wake(message)

    def resize(self) -> None:
        """Models read more, or less, than before."""
        if self._life is not None:
            self._life.resize()

    async def refresh(self, agent: Agent) -> None:
        """An agent has changed: tell the box, or replace one that would be launched otherwise now.

        A turn that was under way goes on in the fresh box, from its transcript. Returns when no box
        is left that does not know, or that is what it should not be.
        """
        # Whatever is read of the registry at this moment is read once more.
        self._refreshes += 1
        if self.agent_id != agent.id:
            return
        self._agent = agent
        if agent.archived:
            # Whoever waits is told why by the next owner, which looks at the agent first.
            await self.retire()
            return
        # One that is still being made is looked at before it gets its key.
        if (life := self._life) is None:
            return
        if self._parts.slots.fits(life.slot, agent):
            await life.update(agent)
        else:
            over = self._is_over
            life.end("replaced")
            await over.wait()

    def is_at(self, agent: Agent) -> bool:
        """Whether no box is left that `refresh` would change."""
        life = self._life
        return life is None or (life.knows(agent) and self._parts.slots.fits(life.slot, agent))

    async def stop(self) -> None:
        """Kill the box now and fail what it was working on; returns when it is dead."""
        self._stopped = True
        await self.retire()

    async def retire(self) -> None:
        """Let the box go; what it was working on stays pending."""
        self._leaving = True
        # Something may wait that no wake has told of; the next owner looks.
        self.woken = True
        self._delay.set()
        if self._life is not None:
            self._life.end("stopped" if self._stopped else "retired")
        elif self._starting is not None:
            self._starting.reschedule(0)
        await self._done.wait()

    async def run(self) -> None:
        """Work until nothing is left; a ledger that fails is tried again after a while."""
        delay_s = STORE_RETRY_S
        try:
            while True:
                try:
                    return await self._run()
                except HostError as error:
                    _log.error("session_stuck", session=self._id, code=error.code)
                    if self._leaving:
                        return None
                    await self._wait(delay_s)
                    delay_s = min(delay_s * 2, MAX_DELAY_S)
        finally:
            await self._give_up_adopted()
            self._done.set()

    async def _run(self) -> None:
        failures = 0
        while not self._leaving:
            self.woken = False
            if (work := await self._look()) is None:
                break
            end = await self._one_life(*work)
            if end is None:
                break
            _log.info("box_ended", session=self._id, reason=end.reason, detail=end.detail)
            if end.reason in {"idle", "retired", "replaced", "stopped"}:
                # No failure of the box; a message may have come at this very moment.
                failures = 0
                continue
            if end.words:
                # The same message would only do the same to a fresh box.
                failures = 0
                await self._tell(end)
                continue
            pending = await self._has_pending()
            match after_end(failures=failures, progressed=end.progressed, pending=pending):
                case Rest():
                    failures = 0
                case Retry(delay_s, failures):
                    await self._wait(delay_s)
                case Park(failures):
                    await self._fail(
                        f"The agent's sandbox failed {failures} times in a row ({end.reason}). "
                        "It starts again with your next message.",
                        end.code,
                    )
                    break
                case other:
                    assert_never(other)
        if self._stopped:
            await self._fail("Stopped on request.", Code.STOPPED)

    async def _look(self) -> tuple[Session, Agent] | None:
        """What there is to work on; None when there is nothing, or nothing may be done."""
        session = await self._parts.registry.session(self._id)
        self.agent_id = session.agent
        agent = await self._look_at_agent(session.agent)
        if session.state is SessionState.FORGOTTEN:
            # Nothing of it can be read, and nobody is told anything.
            return None
        if session.state is not SessionState.ACTIVE:
            await self._fail(f"This conversation is closed: {session.reason}.", Code.QUARANTINED)
            return None
        if agent.archived:
            await self._fail(f"The agent {agent.name} is archived.", Code.NOT_FOUND)
            return None
        has_work = self._adopted is not None or await self._has_pending()
        return (session, agent) if has_work else None

    async def _look_at_agent(self, agent_id: AgentId) -> Agent:
        while True:
            refreshes = self._refreshes
            agent = await self._parts.registry.agent(agent_id)
            if refreshes == self._refreshes:
                self._agent = agent
                return agent

    async def _one_life(self, session: Session, agent: Agent) -> End | None:
        """One box from start to end; None when a failure has been told to people already."""
        slot: Slot | None = None
        if self._leaving:
            return None
        adopted, self._adopted = self._adopted, None
        try:
            # `retire` ends this at once: making a box may take long, and undoes itself.
            async with asyncio.timeout(None) as self._starting:
                if adopted is not None:
                    self._has_place = True
                    workspace = session.workspace
                    slot = await self._parts.slots.adopt(adopted, agent, workspace=workspace)
                else:
                    await self._make_room()
                    self._has_place = True
                    slot = await self._parts.slots.take(agent, workspace=session.workspace)
                    session = await self._bind(session, slot)
            self._starting = None
            if self._is_let_go():
                # Let go at the very moment at which it was made: too late for the timeout.
                return None
            agent = self._agent or agent
            if agent.archived or not self._parts.slots.fits(slot, agent):
                # The agent changed while it was made: nothing was given to it yet.
                return End("replaced", "the agent changed", progressed=False)
            self._is_over = asyncio.Event()
            self._life = Life(
                slot=slot,
                session=session,
                agent=agent,
                parts=self._parts,
                changed=self._changed,
            )
            return await self._life.run(adopted=adopted is not None)
        except TimeoutError:
            # Let go while it was starting.
            return None
        except (HostError, PeerError, PolicyError) as error:
            return await self._explain(error)
        finally:
            self._starting = None
            try:
                if slot is not None:
                    await self._parts.slots.release(slot)
            finally:
                self._life = None
                self._is_over.set()
                self._has_place = False
                self._changed()

    def _is_let_go(self) -> bool:
        """Whether `retire` was called: a question, as the answer may change with every await."""
        return self._leaving

    async def _give_up_adopted(self) -> None:
        """An adopted box that was never looked at has nobody else who would end it."""
        adopted, self._adopted = self._adopted, None
        if adopted is not None:
            await self._parts.isolator.discard(adopted.slot)

    async def _bind(self, session: Session, slot: Slot) -> Session:
        # The epoch first: after a crash in between nobody adopts the slot, so no box of an old
        # epoch is taken for one of the new. Both before the claim: no key without a stored proof.
        session = await self._parts.ledger.begin_epoch(session.id, workspace=slot.workspace)
        if slot.receipt is not None:
            await self._parts.receipts.bind(session, slot.receipt)
        return session

    async def _explain(self, error: IronClawError) -> End | None:
        _log.error(
            "box_start_failed",
            session=self._id,
            code=error.code,
            message=error.message,
            detail=error.detail,
        )
        if error.code in _FINAL:
            # Of what an agent was given people can take something back: they are told how.
            step = f" {error.hint}" if error.code is Code.HOST_UNSUITED else ""
            words = f"The agent cannot start: {error.message} ({error.code}).{step}"
            await self._fail(words, error.code)
            return None
        return End("gone", error.message, progressed=False, code=error.code)

    async def _has_pending(self) -> bool:
        return is_work(await self._parts.ledger.backlog(self._id))

    async def _tell(self, end: End) -> None:
        """Tell people how a box ended: whoever waits, else whoever spoke to it last."""
        if end.message is not None:
            failed = await self._parts.ledger.fail_message(
                end.message, text=end.words, code=end.code
            )
            note_failures(failed.deliveries)
            self._parts.announce.due()
            return
        if await self._has_pending():
            await self._fail(end.words, end.code)
            return
        # It had answered everything: what it did after that is nobody's failure, but news to them.
        text = f"After its last reply: {end.words}"
        await self._parts.ledger.notify(self._id, text=text, code=end.code)
        self._parts.announce.due()

    async def _fail(self, text: str, code: Code) -> None:
        session = await self._parts.registry.session(self._id)
        if session.state is SessionState.FORGOTTEN:
            return
        for message in await self._parts.ledger.backlog(self._id):
            if message.engage:
                failed = await self._parts.ledger.fail_message(message.id, text=text, code=code)
                note_failures(failed.deliveries)
        self._parts.announce.due()

    async def _wait(self, delay_s: float) -> None:
        if delay_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._delay.wait()
