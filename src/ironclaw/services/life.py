"""One life of a session's box: claim, feed, take in what comes back, until it ends.

    run: _claim -> (_pump | _feed | _watch) until _end(reason)

A life also survives the death of its airlock: another is started on the same directories and told
where the ledger stands. Everything published may repeat; the box ignores message ids it knows.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, PeerError
from ironclaw.core.ids import MessageId
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks
from ironclaw.domain import disk
from ironclaw.domain.ports import Worked
from ironclaw.domain.wall import (
    Asked,
    AskedTool,
    BoxArrived,
    BoxGone,
    BoxHung,
    Claim,
    KeyRead,
    Outbound,
    Tampered,
)
from ironclaw.services.briefing import message_record, place_of, publish
from ironclaw.services.calls import ModelCalls
from ironclaw.services.ends import NO_MEMORY, End, note_failures
from ironclaw.services.inbox import Inbox
from ironclaw.services.loads import Load
from ironclaw.services.pace import Pace
from ironclaw.services.setups import Setups
from ironclaw.services.tool_calls import ToolCalls
from ironclaw_contract.records import Part, Step, Trouble, TurnEnd
from ironclaw_contract.rpc import Cancel, Generate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.domain.disk import Over
    from ironclaw.domain.model import Agent, Message, Session
    from ironclaw.domain.wall import LinkEvent
    from ironclaw.services.ends import Reason
    from ironclaw.services.parts import SessionParts
    from ironclaw.services.slots import Slot
    from ironclaw_contract import records
    from ironclaw_contract.records import Answer

RECONNECT_S: Final = 15.0
"""How long a box may be without a bell before it counts as gone."""
MAX_RELINKS: Final = 5
"""Airlocks that may die in one life; over it the box is replaced as well."""

_log = get_logger("life")


class Life:
    """One claimed slot. `run` once; `wake` whenever the ledger has something new.

    Args:
        slot: Proven, and of this session alone.
        session: As it is in the ledger now.
        agent: Whose session it is.
        parts: What it works with.
        changed: Called when nothing is with the box any more.
    """

    def __init__(
        self,
        *,
        slot: Slot,
        session: Session,
        agent: Agent,
        parts: SessionParts,
        changed: Callable[[], None],
    ) -> None:
        self._slot = slot
        self._session = session
        self._news = asyncio.Event()
        """Pulsed when the box was briefed, and at the end: who waits for either looks again."""
        self._setups = Setups(slot, agent, parts.limits, parts.rooms)
        self._parts = parts
        self._changed = changed
        self._ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._fed = asyncio.Event()
        """Set while the box has its setup, so that messages may follow."""
        self._inbox = Inbox(parts.ledger, session.id)
        self._load = Load()
        self._gone: asyncio.TimerHandle | None = None
        self._progressed = False
        self._relinks = 0
        self._pace = Pace(self, parts.limits, parts.clock)

    @property
    def busy(self) -> bool:
        """Whether the box is being briefed or messages that want an answer are with it."""
        return not self._fed.is_set() or self._inbox.is_owed

    @property
    def is_frozen(self) -> bool:
        """Whether the box is known to stand still."""
        return self._slot.freezer.is_frozen

    @property
    def _is_working(self) -> bool:
        """Whether the box may have something to do, such as to come back or to sum up."""
        return self.busy or self._gone is not None or self._calls.are_running

    @property
    def agent(self) -> Agent:
        """Whose session it is, as it is now."""
        return self._setups.agent

    @property
    def turn(self) -> MessageId | None:
        """The turn that the box works on."""
        return self._inbox.turn

    @property
    def idle_since(self) -> float:
        """When anything happened last, in seconds of the monotonic clock."""
        return self._pace.idle_since

    def rests(self) -> None:
        """Nothing is with the box any more."""
        self._changed()

    @property
    def slot(self) -> Slot:
        """The slot that it lives in."""
        return self._slot

    def knows(self, agent: Agent) -> bool:
        """Whether the box was told that the agent is this, or will never ask again."""
        return self._setups.told == agent or self._ended.done()

    async def update(self, agent: Agent) -> None:
        """The agent is this from now on. Returns when the box has been told, or has ended.

        Model calls, host tools and the time of a turn go by the new one at once.
        """
        former, self._setups.agent = self._setups.agent, agent
        self._pace.agent_changed(former)
        while not self.knows(self._setups.agent):
            if self._fed.is_set():
                await self._setups.tell()
            else:
                # It is being briefed, or its airlock is being replaced: that ends, or the life.
                await self._news.wait()

    def resize(self) -> None:
        """Models turned out to read more, or less: tell the box, if that is news to it."""
        if self._setups.is_stale and self._fed.is_set() and not self._ended.done():
            self._tasks.start(self._setups.tell(), name="resize")

    def wake(self, message: Message | None) -> None:
        """The ledger has something new for this session.

        Args:
            message: What it is, so that nobody need read it again; None when that is not known.
        """
        self._inbox.wake(message)

    def end(
        self,
        reason: Reason,
        detail: str = "",
        *,
        words: str = "",
        code: Code = Code.BOX_BROKEN,
        message: MessageId | None = None,
    ) -> None:
        """End this life; the first reason counts."""
        if not self._ended.done():
            # What a box did before it hung is no reason to think that the next one will not.
            progressed = self._progressed and reason != "hung"
            self._ended.set_result(End(reason, detail, progressed, words, code, message))
            self._pulse()

    async def run(self, *, adopted: bool) -> End:
        """Live until something ends it.

        Args:
            adopted: The box ran before this core: ask it where it is before briefing it.

        Raises:
            HostError: The session's key or its directories cannot be had.
        """
        try:
            return await self._run(adopted=adopted)
        finally:
            self._ended.cancel()
            self._pulse()

    async def _run(self, *, adopted: bool) -> End:
        self._parts.custodian.key(self._session.id)
        async with (
            self._parts.guard.watching(self._slot, self._setups.agent, self._over_disk),
            Tasks(f"life {self._session.id}", on_failure=self._broken) as tasks,
        ):
            self._tasks = tasks
            self._calls = ModelCalls(
                slot=self._slot,
                session=self._session.id,
                agent=lambda: self._setups.agent,
                parts=self._parts,
                tasks=tasks,
                inbox=self._inbox,
                researched=self._pace.researched,
            )
            self._uses = ToolCalls(
                slot=self._slot,
                session=self._session.id,
                agent=lambda: self._setups.agent,
                tools=self._parts.tools,
                tasks=tasks,
            )
            self._slot.freezer.belong(lambda: self._is_working)
            tasks.start(self._watch(), name="watch")
            # A task of its own: an airlock that hangs must not hold up the end.
            tasks.start(self._begin(adopted=adopted), name="begin")
            try:
                return await self._ended
            finally:
                await self._note_time()
                self._pace.stop()
                if self._gone is not None:
                    self._gone.cancel()

    async def _begin(self, *, adopted: bool) -> None:
        await self._claim()
        if adopted:
            self._await_bell()
        else:
            await self._brief()
            self._parts.meters.claim(self._parts.clock.monotonic_s() - self._pace.idle_since)
        self._tasks.start(self._pump(), name="pump")
        self._tasks.start(self._feed(), name="feed")

    # --- towards the box --------------------------------------------------------------------------

    async def _claim(self) -> None:
        session = self._session
        await self._slot.link.claim(
            Claim(
                session=session.id,
                epoch=session.epoch,
                key=self._parts.custodian.key(session.id),
                out_seq=session.out_seq,
                out_hash=session.out_hash,
            )
        )

    async def _brief(self) -> None:
        """Publish setup, history and backlog: the box starts from here."""
        # The first box too: messages may have failed before there was one.
        past = await self._parts.ledger.resume(
            self._session.id, limit_bytes=self._setups.limits.context_bytes
        )
        if past.turn is not None:
            self._inbox.begin(past.turn)
            self._pace.resume(Worked(past.turn, past.worked_ms))
        messages = self._admit(await self._inbox.backlog())
        answers = self._inbox.answers
        has_files = any(message.files for message in messages)
        first = [] if has_files else self._records(messages)
        await self._setups.brief(past, [*answers, *first])
        self._mark(messages, answers)
        if has_files:
            await self._send(messages, told=past.turn)
        self._now_fed()

    async def _feed(self) -> None:
        while True:
            await self._inbox.work.wait()
            await self._fed.wait()
            link = self._slot.link
            was_busy = self.busy
            messages = self._admit(await self._inbox.take())
            answers = self._inbox.answers
            if link is not self._slot.link or not self._fed.is_set():
                # The airlock died meanwhile: look again once its successor has been told.
                self.wake(None)
            elif messages or answers:
                # Marked first: the answer may be back before `_publish` returns.
                self._mark(messages, answers)
                if any(message.files for message in messages):
                    await publish(link, answers)
                    await self._send(messages)
                else:
                    await publish(link, [*answers, *self._records(messages)])
            elif was_busy != self.busy:
                # Its turn waits for people from now on, or no longer.
                self._pace.rest()

    def _records(self, messages: list[Message]) -> list[records.Message]:
        key = self._parts.custodian.key(self._session.id)
        return [message_record(message, place=place_of(message, key)) for message in messages]

    def _admit(self, messages: list[Message]) -> list[Message]:
        """Those that may go to the box now: what waits in its queue is memory of the host."""
        admitted = self._load.admit(messages)
        if self._load.holds:
            self._inbox.hold()
        return admitted

    async def _send(self, messages: list[Message], *, told: MessageId | None = None) -> None:
        """Publish messages with the files that came with them.

        Args:
            messages: In order.
            told: One that a former box worked on: its files are there.
        """
        for message, record in zip(messages, self._records(messages), strict=True):
            is_told = message.id == told
            await self._parts.files.send(self._slot.link, message, record, is_told=is_told)

    def _mark(self, messages: list[Message], answers: list[Answer]) -> None:
        self._inbox.mark(messages, answers)
        self._pace.rest()

    def _now_fed(self) -> None:
        self._fed.set()
        self._pace.rest()
        self._pulse()

    def _pulse(self) -> None:
        self._news.set()
        self._news.clear()

    # --- from the box -----------------------------------------------------------------------------

    async def _watch(self) -> None:
        why = await self._parts.isolator.ended(self._slot.box)
        if why == "oom":
            allowed = self._setups.agent.limits.memory_bytes // 1024**2
            self.end("memory", why, words=NO_MEMORY.format(allowed), code=Code.BOX_OUT_OF_MEMORY)
        else:
            self.end("ended", why)

    def _over_disk(self, over: Over) -> None:
        detail = f"{over.where}: {disk.amount(over)}"
        self.end("disk", detail, words=disk.words(over), code=disk.code(over))

    async def _pump(self) -> None:
        while True:
            event = await self._slot.link.receive()
            if event is None:
                await self._relink()
            else:
                await self._handle(event)

    async def _handle(self, event: LinkEvent) -> None:
        match event:
            case Outbound():
                await self._take_in(event)
            case Asked(Generate() as ask):
                self._calls.ask(ask)
            case Asked(Cancel(call)):
                self._calls.cancel(call)
            case AskedTool(use):
                self._uses.ask(use)
            case BoxArrived(hello):
                await self._arrived(claimed=hello.claimed, in_seq=hello.in_seq)
            case KeyRead():
                pass
            case BoxGone():
                self._lost_bell()
            case BoxHung():
                self.end("hung", code=Code.BOX_HUNG)
            case Tampered(reason):
                await self._quarantine(reason)

    def _lost_bell(self) -> None:
        self._calls.drop()
        self._await_bell()

    def _await_bell(self) -> None:
        if self._gone is None:
            self._gone = asyncio.get_running_loop().call_later(
                RECONNECT_S, self.end, "gone", "the bell stayed closed"
            )

    async def _take_in(self, out: Outbound) -> None:
        try:
            committed = await self._parts.ledger.commit(
                self._session.id, self._session.epoch, out, worked=self._pace.worked(out)
            )
        except PeerError as error:
            await self._quarantine(error.detail or error.message)
            return
        # A box that only says that it cannot go on has got nothing done.
        self._progressed |= any(not isinstance(body, Trouble) for body in out.bodies)
        self._parts.announce.committed(committed.deliveries)
        note_failures(committed.deliveries)
        if any(isinstance(body, Step) and (body.asks or _sends(body)) for body in out.bodies):
            # The ledger says what became of them: questions may be closed, files left out.
            self.wake(None)
        self._follow(out)
        if self._load.settle(committed.answered):
            self.wake(None)
        if committed.answered:
            self._calls.turn_ended()
        for message in self._inbox.settle(committed.answered):
            taken_ms = self._parts.clock.now_ms() - message.at_ms
            self._parts.meters.round_trip(max(0, taken_ms) / 1000)
        self._pace.got_on(out)
        await self._slot.link.ack(out.last_seq)
        for body in out.bodies:
            if isinstance(body, Trouble):
                self.end("trouble", f"{body.code}: {body.text}")

    def _follow(self, out: Outbound) -> None:
        """Know which turn the box works on, what joined it, and which files have come."""
        for body in out.bodies:
            if isinstance(body, Step):
                self._inbox.begin(MessageId(body.turn))
            if isinstance(body, Step | TurnEnd) and body.heard:
                self._inbox.join(MessageId(body.turn), map(MessageId, body.heard))
        if any(isinstance(body, Part) for body in out.bodies):
            self._parts.files.came(self._session.id)

    async def _note_time(self) -> None:
        """Keep how long the turn took since its last record: a box may end without one."""
        if (worked := self._pace.unnoted) is None:
            return
        try:
            await self._parts.ledger.note_worked(self._session.id, worked)
        except HostError as error:
            # A box more is the most that it gets out of it.
            _log.error("time_not_noted", session=self._session.id, code=error.code)

    async def _quarantine(self, reason: str) -> None:
        _log.warning("session_quarantined", session=self._session.id, reason=reason)
        await self._parts.ledger.quarantine(self._session.id, reason=reason)
        # People go on in a new session; nothing of this one reaches it.
        await self._parts.registry.unseat(self._session.id)
        self._parts.announce.due()
        self.end("tamper", reason)

    async def _arrived(self, *, claimed: bool, in_seq: int) -> None:
        if self._gone is not None:
            self._gone.cancel()
            self._gone = None
        if self._fed.is_set():
            return
        if not claimed:
            await self._brief()
        elif in_seq == 0:
            # It has a key, but nobody can say whether its briefing was ever published.
            self.end("gone", "the box was lost between claim and briefing")
        else:
            await self._go_on()
            await self._setups.tell()
            self._now_fed()
            self.wake(None)

    async def _go_on(self) -> None:
        """The box has worked on its turn before this core, or this airlock, was there."""
        if (worked := await self._parts.ledger.worked(self._session.id)) is not None:
            self._inbox.begin(worked.turn)
            self._pace.resume(worked)

    async def _relink(self) -> None:
        """The airlock died: start another where the ledger stands."""
        self._calls.drop()
        self._relinks += 1
        if self._relinks > MAX_RELINKS:
            self.end("gone", "its airlocks keep dying")
            await asyncio.Future()
        _log.warning("airlock_replaced", session=self._session.id, slot=self._slot.id)
        self._fed.clear()
        self._inbox.lose()
        self._load.lose()
        session = await self._parts.registry.session(self._session.id)
        self._session = session
        await self._parts.slots.relink(self._slot)
        self._setups.lose()
        await self._claim()
        self._await_bell()

    def _broken(self, name: str, error: BaseException) -> None:
        if isinstance(error, IronClawError):
            _log.warning("life_failed", task=name, code=error.code, detail=error.detail)
            self.end("gone", error.message, code=error.code)
        else:
            _log.error("life_bug", task=name, exc_info=error)
            self.end("bug", type(error).__name__, code=Code.BUG)


def _sends(step: Step) -> bool:
    return any(say.files for say in step.says)
