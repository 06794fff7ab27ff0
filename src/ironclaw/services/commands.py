"""Commands in a chat: the host answers them itself, and the agent never sees them.

answer: given before? -> a session to keep it in -> act -> row, effect and answer in one transaction
-> shown and delivered

What is done before the transaction may be repeated (a dead box is dead, the same wish is the same
change), so a core that ends anywhere leaves a command that may be given again, or one that is done.
"""

from __future__ import annotations

import asyncio
import weakref
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, assert_never

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.core.log import get_logger
from ironclaw.domain import commands as words
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent, By, Via
from ironclaw.domain.change import Asker, Status
from ironclaw.domain.changes.model import SetModel
from ironclaw.domain.commands import Effect, Word
from ironclaw.services.house import Routed
from ironclaw.services.hub import message_shown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ironclaw.core.ids import ChatId, SessionId
    from ironclaw.domain.commands import Command, Handled, Heard, Outcome, Words
    from ironclaw.domain.model import Agent
    from ironclaw.domain.rights import Actor
    from ironclaw.domain.schedules import KeptTask
    from ironclaw.domain.spending import Spent
    from ironclaw.domain.taint import Taints
    from ironclaw.services.gateway.port import ChangeView, Gateway
    from ironclaw.services.hub import Hub
    from ironclaw.services.parts import Announce
    from ironclaw.services.schedules import TaskBook
    from ironclaw.services.sessions import Sessions

HANDLED: Final = "handled"
"""The router's word for a command."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REASON: Final = "Asked for with /model in a chat."

_log = get_logger("commands")


class Ledger(Protocol):
    """Where commands become durable: `ironclaw.store.ledger.Ledger`. Methods raise HostError."""

    async def handled(self, heard: Heard) -> Handled | None:
        """What became of a command, when it was given before."""
        ...

    async def handle(
        self, heard: Heard, *, session: SessionId, effect: Effect, words: Words
    ) -> Handled:
        """Keep it, what it does and the answer, once. Raises UserError (`CONFLICT`)."""
        ...

    async def waits(self, session: SessionId) -> int:
        """How many messages of a session wait for an answer."""
        ...

    async def asks(self, session: SessionId) -> int:
        """How many questions a session waits for people to answer."""
        ...

    async def taint_of(self, session: SessionId, turn: str = "") -> Taints:
        """What foreign content its turn has before it."""
        ...


class Directory(Protocol):
    """Agents and seats: `ironclaw.store.registry.Registry`."""

    async def agent(self, ref: str) -> Agent:
        """One agent. Raises UserError (`NOT_FOUND`)."""
        ...

    def look_again(self) -> None:
        """A session was unseated."""
        ...


class Usages(Protocol):
    """How budgets stand: `ironclaw.services.usage.UsageDesk`."""

    currency: str

    async def standing(self, agent: Agent, session: SessionId) -> Sequence[Spent]:
        """How each budget of an agent stands in a conversation. Raises HostError."""
        ...


class Record(Protocol):
    """Adds to the audit: `services.auditing.Auditing.append`."""

    async def __call__(self, entry: AuditEntry, by: By) -> None:
        """Durable on return. Raises HostError."""
        ...


class Parts(NamedTuple):
    """What commands work with."""

    ledger: Ledger
    directory: Directory
    sessions: Sessions
    gateway: Gateway
    usages: Usages
    tasks: TaskBook
    record: Record
    announce: Announce
    hub: Hub


class Given(NamedTuple):
    """A command that somebody who may talk to the agent gave."""

    command: Command
    heard: Heard
    actor: Actor
    seat: Callable[[], Awaitable[SessionId]]
    """The session of that chat (and thread); begun where there is none."""


class CommandDesk(Protocol):
    """Who answers commands, as the router knows it."""

    async def answer(self, given: Given) -> Routed:
        """Do it, once, and say what came of it; durable on return."""
        ...


class LateCommands:
    """The desk for a router that is there before the gateway is."""

    def __init__(self) -> None:
        self.real: CommandDesk | None = None

    async def answer(self, given: Given) -> Routed:
        """As `CommandDesk.answer`. Raises HostError (`UNAVAILABLE`) until somebody is there."""
        if self.real is None:
            raise HostError(Code.UNAVAILABLE, "The core is starting.", hint="Say it again.")
        return await self.real.answer(given)


class Commands:
    """Implements `CommandDesk`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._turns: weakref.WeakValueDictionary[ChatId, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )
        """One command at a time in a chat: the same one, sent twice at once, is done once."""

    async def answer(self, given: Given) -> Routed:
        """Do what a command says, once, and answer it in its chat; durable on return.

        Raises:
            UserError: `CONFLICT`: its conversation was forgotten meanwhile; it may be sent again.
            HostError: Nothing of it was kept; it may be sent again.
        """
        heard = given.heard
        turn = self._turns.setdefault(heard.chat, asyncio.Lock())
        async with turn:
            done = await self._parts.ledger.handled(heard)
            if done is None:
                done = await self._do(given, await given.seat())
        if done.new:
            self._show(done)
            _log.info("command", session=done.message.session, word=given.command.word)
        return Routed(
            agent=heard.agent,
            session=done.message.session,
            message=done.message.id,
            engaged=False,
            duplicate=not done.new,
            reason=HANDLED,
            event=done.event,
            answer=done.answer,
        )

    async def _do(self, given: Given, session: SessionId) -> Handled:
        keep = partial(self._parts.ledger.handle, given.heard, session=session)
        match given.command.word:
            case Word.STOP:
                return await self._stop(given, session)
            case Word.NEW:
                try:
                    done = await keep(effect=Effect.BEGIN, words=words.new_words)
                    if done.outcome.waiting:
                        # A question that it waited with has been closed.
                        self._parts.sessions.wake(session)
                    return done
                finally:
                    # Also when nobody can say whether it was kept: looking again is never wrong.
                    self._parts.directory.look_again()
            case Word.STATUS:
                text = await self._status(given, session)
            case Word.HELP:
                text = words.help_words(await self._agent(given))
            case Word.MODEL:
                text = await self._model(given)
            case other:
                assert_never(other)
        return await keep(effect=Effect.NOTHING, words=_just(text))

    async def _agent(self, given: Given) -> Agent:
        return await self._parts.directory.agent(given.heard.agent)

    async def _stop(self, given: Given, session: SessionId) -> Handled:
        keep = partial(
            self._parts.ledger.handle, given.heard, session=session, words=words.stop_words
        )
        if not await self._parts.ledger.waits(session):
            return await keep(effect=Effect.NOTHING)
        entry = AuditEntry(
            event=AuditEvent.SESSION_STOPPED, session=session, agent=given.heard.agent
        )
        await self._parts.record(entry, _who(given.actor))
        # The box first: whatever it said of a turn that has ended would break the rules.
        return await self._parts.sessions.interrupt(session, partial(keep, effect=Effect.STOP))

    async def _status(self, given: Given, session: SessionId) -> str:
        parts = self._parts
        agent = await self._agent(given)
        waiting = await parts.gateway.changes(actor=given.actor, agent=agent.id)
        # Strangers may ask in a public chat: what the agent costs and does elsewhere is not theirs.
        is_known = bool(await parts.gateway.rights(given.actor, agent.id))
        tasks = await parts.tasks.tasks(agent=agent.id) if is_known else ()
        return words.status_words(
            words.Status(
                agent=agent,
                session=session,
                box=parts.sessions.box_state(session),
                waiting=await parts.ledger.waits(session),
                asks=await parts.ledger.asks(session),
                budgets=await parts.usages.standing(agent, session) if is_known else (),
                changes=[view.row.change.id for view in waiting],
                tasks=[_task(kept) for kept in tasks],
                currency=parts.usages.currency,
                taint=await parts.ledger.taint_of(session),
            )
        )

    async def _model(self, given: Given) -> str:
        agent = await self._agent(given)
        name = given.command.argument
        if not name:
            return words.model_words(agent)
        try:
            view = await self._parts.gateway.submit(
                SetModel(agent=agent.id, model=name),
                asker=Asker(principal=given.actor.principal),
                actor=given.actor,
                reason=_REASON,
            )
        except (UserError, PolicyError) as error:
            # It is an answer: the command was understood, and sending it again changes nothing.
            return f"{error.message} {error.hint}".strip()
        return _asked(view)

    def _show(self, done: Handled) -> None:
        message = done.message
        self._parts.hub.publish(message_shown(message, done.event))
        self._parts.announce.committed(done.deliveries)


def _who(actor: Actor) -> By:
    """Who acts, for the audit: the edge may know more, a channel knows the sender."""
    by = acting()
    return By(actor.principal, Via.CHAT) if by == CORE else by


def _just(text: str) -> Words:
    def say(outcome: Outcome) -> str:
        del outcome
        return text

    return say


def _task(kept: KeptTask) -> str:
    if kept.task.paused:
        return f"{kept.task.name} (paused)"
    if kept.next_ms is None:
        return kept.task.name
    when = _EPOCH + timedelta(milliseconds=kept.next_ms)
    return f"{kept.task.name} ({when:%Y-%m-%d %H:%M} UTC)"


def _asked(view: ChangeView) -> str:
    """What became of a request, with where its card is."""
    id_, status = view.row.change.id, view.row.status
    if status in {Status.APPLIED, Status.DONE}:
        return f"Done: {view.card.title} ({id_})."
    if status is not Status.PENDING:
        return f"The change {id_} is {status}. Card: {view.link}"
    roles = " or ".join(view.deciders) or "nobody"
    return (
        f"Asked for: the change {id_} waits for a decision ({roles}). Card: {view.link}, or "
        f"`ironclaw approve {id_}`."
    )
