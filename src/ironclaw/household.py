"""The real house: answers the edges out of the registry, the ledger and the running sessions.

Part of the composition root: it knows the store by name, so that no port repeats it.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

import ironclaw
from ironclaw.bench.stats import rss_bytes
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, UserError
from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.model import Engage, Partition, SenderScope
from ironclaw.domain.relaying import AGENT_CHANNEL, pair_of
from ironclaw.domain.schedules import FAILURES
from ironclaw.domain.taint import ordered
from ironclaw.services.files import Files
from ironclaw.services.gateway.rows import Waiting
from ironclaw.services.house import (
    ChatPlace,
    Health,
    PrincipalView,
    ProviderView,
    SessionView,
    TaskView,
    TranscriptEvent,
)
from ironclaw.services.hub import shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

    from ironclaw.core.ids import ChatId, SessionId
    from ironclaw.domain.model import Agent, Chat, Event, Session, Standing, Wiring
    from ironclaw.domain.rights import Actor
    from ironclaw.domain.routing import Place
    from ironclaw.domain.searching import Searched
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.domain.statement import SignedReceipt
    from ironclaw.domain.wall import Rootfs
    from ironclaw.services.files import Opened
    from ironclaw.services.gateway.port import Gateway
    from ironclaw.services.house import ChatEvent, FileView, Routed
    from ironclaw.services.hub import Hub
    from ironclaw.services.memory import Memories
    from ironclaw.services.questions import Questions
    from ironclaw.services.router import Router
    from ironclaw.services.schedules import Schedules, TaskBook
    from ironclaw.services.searching import Searching
    from ironclaw.services.sessions import Sessions
    from ironclaw.services.slots import Slots
    from ironclaw.services.trail import Trail
    from ironclaw.services.usage import UsageDesk
    from ironclaw.store.chatlog import ChatLog
    from ironclaw.store.ledger import Ledger
    from ironclaw.store.registry import Registry

API_CHANNEL: Final = "api"


class Machine(NamedTuple):
    """What does not change while the core runs."""

    started_ms: int
    rootless: bool
    runtime_version: str
    platform: str
    rootfs: Rootfs
    weaker: tuple[str, ...]
    providers: Callable[[], tuple[ProviderView, ...]] = tuple
    """Looks at the model providers."""


class Household:
    """Implements `ironclaw.services.house.House`."""

    def __init__(
        self,
        *,
        registry: Registry,
        ledger: Ledger,
        log_of_chats: ChatLog,
        router: Router,
        sessions: Sessions,
        slots: Slots,
        audit: Trail,
        hub: Hub,
        machine: Machine,
        gateway: Gateway,
        tasks: TaskBook,
        schedules: Schedules,
        memories: Memories,
        questions: Questions,
        past: Searching,
        usage: UsageDesk,
        kept_skills: Callable[[], tuple[KeptSkill, ...]],
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._log_of_chats = log_of_chats
        self._router = router
        self._sessions = sessions
        self._slots = slots
        self._audit = audit
        self._hub = hub
        self._files = Files(ledger.files)
        self._machine = machine
        self._gateway = gateway
        self._tasks = tasks
        self._schedules = schedules
        self._memories = memories
        self._questions = questions
        self._past = past
        self._usage = usage
        self._kept_skills = kept_skills
        self._wiring = asyncio.Lock()

    # --- talking ----------------------------------------------------------------------------------

    async def hear(self, event: Event, *, actor: Actor | None = None) -> list[Routed]:
        """Take in one event from a channel; durable on return."""
        return await self._router.hear(event, actor=actor)

    async def chat_for(self, agent: str, name: str, *, principal: PrincipalId) -> Chat:
        """The principal's own `api` chat of that name, wired to that agent at first use."""
        found = await self._registry.agent(agent)
        if found.archived:
            raise UserError(
                Code.NOT_FOUND,
                f"The agent {found.name} is archived.",
                hint="`ironclaw agent list` shows those that are not.",
            )
        platform_id = f"{found.id}/{principal}/{name}"
        place = await self._registry.place(API_CHANNEL, platform_id)
        if place is None or not _leads_to(place, found.id):
            # One at a time: two first messages at once would wire the chat twice.
            async with self._wiring:
                chat = await self._wired(found.id, platform_id, title=name)
        else:
            chat = place.chat
        return chat

    async def _wired(self, agent: AgentId, platform_id: str, *, title: str) -> Chat:
        """The `api` chat of that id, made and wired unless somebody just did."""
        place = await self._registry.place(API_CHANNEL, platform_id)
        if place is not None and _leads_to(place, agent):
            return place.chat
        chat = await self._registry.ensure_chat(
            channel=API_CHANNEL, platform_id=platform_id, title=title
        )
        await self._registry.create_wiring(
            chat=chat.id,
            agent=agent,
            engage=Engage.PATTERN,
            pattern=".",
            sender_scope=SenderScope.KNOWN,
            partition=Partition.PER_THREAD,
        )
        return chat

    async def place_of(self, chat: ChatId) -> ChatPlace:
        """Whose chat it is."""
        found = await self._registry.chat(chat)
        if found.channel == AGENT_CHANNEL and (pair := pair_of(found.platform_id)) is not None:
            # It is the other one's conversation, begun by the one that wrote.
            return ChatPlace(pair.to, None)
        # An id has no slash; a principal may have, so the chat's name is cut off from behind.
        agent, _, rest = found.platform_id.partition("/")
        principal, slash, name = rest.rpartition("/")
        if found.channel != API_CHANNEL or not slash:
            return ChatPlace(None, None)
        return ChatPlace(AgentId(agent), PrincipalId(principal), name)

    async def chat_named(
        self, agent: AgentId, name: str, *, principal: PrincipalId
    ) -> ChatId | None:
        """The principal's own `api` chat of that name, if it was ever begun; makes none."""
        place = await self._registry.place(API_CHANNEL, f"{agent}/{principal}/{name}")
        return None if place is None else place.chat.id

    async def past_of(self, chat: ChatId, *, limit: int) -> list[ChatEvent]:
        """The oldest kept events of a chat."""
        kept = await self._log_of_chats.chat_events(chat, after=0, limit=limit)
        return [shown(event) for event in kept]

    def watch(self, chat: ChatId, *, after: int | None) -> AsyncIterator[ChatEvent]:
        """Events of a chat: kept ones after `after`, then live ones without a gap."""
        return self._hub.watch(chat, after=after)

    async def transcript(self, session: SessionId, *, limit: int) -> list[TranscriptEvent]:
        """The newest `limit` kept events of a session, oldest first."""
        await self._registry.session(session)
        kept = await self._log_of_chats.transcript(session, limit=limit)
        return [TranscriptEvent(**event._asdict()) for event in kept]

    async def search(
        self, session: SessionId, query: str, *, limit: int, before_ms: int | None
    ) -> Searched:
        """Look for words in a session and the former ones of its place."""
        await self._registry.session(session)
        return await self._past.search(session, query, limit=limit, before_ms=before_ms)

    async def file(self, file: str) -> Opened:
        """A file by its id, whosever it is."""
        return await self._files.open(file)

    async def kept_files(
        self, *, agents: Collection[AgentId] | None, session: SessionId | None, limit: int
    ) -> list[FileView]:
        """The newest files of conversations that were not forgotten, newest first."""
        return await self._ledger.files.newest(agents=agents, session=session, limit=limit)

    # --- agents, wirings, principals --------------------------------------------------------------

    async def agents(self, *, archived: bool = False) -> list[Agent]:
        """All agents that are not archived; with `archived` those that are, too."""
        return await self._registry.agents(archived=archived)

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name."""
        return await self._registry.agent(ref)

    async def wirings(self) -> list[tuple[Wiring, Chat, Agent]]:
        """All wirings with what they join."""
        return await self._registry.wirings()

    async def standings(self) -> list[Standing]:
        """Who holds which role."""
        return await self._registry.standings()

    async def person_of(self, principal: PrincipalId) -> PrincipalId:
        """Who a principal is; itself unless it was linked."""
        return await self._registry.person_of(principal)

    async def principals(self) -> list[PrincipalView]:
        """Everybody who holds a role or was linked to somebody."""
        roles: dict[PrincipalId, list[Standing]] = {}
        for standing in await self._registry.standings():
            roles.setdefault(standing.principal, []).append(standing)
        persons = await self._registry.persons()
        return [
            PrincipalView(
                principal=principal,
                person=persons.get(principal, principal),
                roles=tuple(roles.get(principal, ())),
            )
            for principal in sorted(roles.keys() | persons.keys())
        ]

    async def tasks(self, agent: AgentId | None) -> list[TaskView]:
        """What agents do at times of their own."""
        names = {one.id: one.name for one in await self._registry.agents()}
        return [
            TaskView(
                task=kept.task,
                agent_name=names[kept.task.agent],
                next_ms=kept.next_ms,
                ran_ms=kept.ran_ms,
                last=kept.last,
                failures=kept.failures,
            )
            for kept in await self._tasks.tasks(agent=agent)
            if kept.task.agent in names
        ]

    async def run_task(self, agent: AgentId, name: str) -> Routed:
        """Have a task told now, beside its times; durable on return."""
        found = await self._registry.agent(agent)
        if found.archived:
            raise UserError(
                Code.CONFLICT,
                f"The agent {found.name} has ended.",
                hint=f"Ask for it to be brought back first: `ironclaw agent restore {found.id}`.",
            )
        return await self._schedules.run_now(agent, name, by=acting())

    async def _failing_tasks(self) -> list[str]:
        return [
            f"task {view.task.name} of agent {view.agent_name} is paused: it failed "
            f"{view.failures} times in a row"
            for view in await self.tasks(None)
            if view.task.paused and view.failures >= FAILURES
        ]

    @property
    def gateway(self) -> Gateway:
        """The only way in which anything about an agent changes."""
        return self._gateway

    # --- sessions ---------------------------------------------------------------------------------

    async def sessions(self, *, agent: str | None) -> list[SessionView]:
        """Sessions, newest activity first."""
        found = None if agent is None else (await self._registry.agent(agent)).id
        names = {one.id: one.name for one in await self._registry.agents(archived=True)}
        return [
            self._view(row.session, names[row.session.agent], row.place, row.pending, row.questions)
            for row in await self._registry.sessions(agent=found)
        ]

    async def session(self, session: SessionId) -> SessionView:
        """One session."""
        row = await self._registry.session(session)
        agent = await self._registry.agent(row.agent)
        backlog = await self._ledger.backlog(session)
        chat = None if row.chat is None else await self._registry.chat(row.chat)
        place = None if chat is None else (chat.channel, chat.platform_id)
        view = self._view(row, agent.name, place, sum(message.engage for message in backlog))
        error = await self._log_of_chats.last_error(session)
        last_error = None if error is None else shown(error)
        asks = await self._ledger.asks(session)
        taint = ordered(await self._ledger.taint_of(session))
        return msgspec.structs.replace(view, last_error=last_error, questions=asks, taint=taint)

    async def agent_of(self, session: SessionId) -> AgentId:
        """Whose session it is."""
        return (await self._registry.session(session)).agent

    async def receipt(self, session: SessionId) -> SignedReceipt:
        """The proof of the session's newest launch."""
        await self._registry.session(session)
        return await self._registry.receipt(session)

    async def stop_session(self, session: SessionId) -> None:
        """Kill the session's box now."""
        found = await self._registry.session(session)
        entry = AuditEntry(event=AuditEvent.SESSION_STOPPED, session=session, agent=found.agent)
        await self._audit.append(entry, by=acting())
        await self._sessions.stop(session)

    async def skills(self) -> tuple[KeptSkill, ...]:
        """Skills that were imported."""
        return await asyncio.to_thread(self._kept_skills)

    @property
    def questions(self) -> Questions:
        """What agents ask their people."""
        return self._questions

    @property
    def memories(self) -> Memories:
        """What agents have noted."""
        return self._memories

    @property
    def usage(self) -> UsageDesk:
        """What agents have used of their models."""
        return self._usage

    # --- audit and health -------------------------------------------------------------------------

    @property
    def trail(self) -> Trail:
        """The audit."""
        return self._audit

    async def providers(self) -> tuple[ProviderView, ...]:
        """The model providers."""
        return await asyncio.to_thread(self._machine.providers)

    async def health(self) -> Health:
        """State of the whole; a store that fails is a word, not an exception."""
        degraded = [*self._machine.weaker, *self._slots.weaker, *self._sessions.weaker]
        degraded += [*self._audit.degraded, *self._gateway.degraded]
        degraded += [
            f"model provider {one.name} has no key that can be used: {one.problem}"
            for one in await self.providers()
            if one.problem
        ]
        sessions = pending = dead = 0
        waiting = Waiting(0, 0)
        try:
            counts = await self._log_of_chats.counts()
            waiting = await self._gateway.waiting_changes()
            degraded += await self._failing_tasks()
        except IronClawError as error:
            degraded.append(f"store: {error.message}")
        else:
            sessions, pending, dead = counts.sessions, counts.pending_messages, counts.dead_letters
        return Health(
            ready=not any(word.startswith("store:") for word in degraded),
            version=ironclaw.__version__,
            started_ms=self._machine.started_ms,
            rootless=self._machine.rootless,
            runtime_version=self._machine.runtime_version,
            platform=self._machine.platform,
            image_digest=self._machine.rootfs.digest,
            sessions=sessions,
            boxes=self._sessions.boxes,
            frozen_boxes=self._sessions.frozen,
            blank_slots=self._slots.blank,
            pending_messages=pending,
            dead_letters=dead,
            pending_changes=waiting.pending,
            overdue_changes=waiting.overdue,
            core_rss_bytes=rss_bytes(os.getpid()),
            degraded=tuple(degraded),
        )

    def _view(
        self,
        session: Session,
        name: str,
        place: tuple[str, str] | None,
        pending: int,
        questions: int = 0,
    ) -> SessionView:
        channel, platform_id = place or (None, None)
        return SessionView(
            session=session,
            agent_name=name,
            channel=channel,
            platform_id=platform_id,
            box=self._sessions.box_state(session.id),
            frozen=self._sessions.is_frozen(session.id),
            pending=pending,
            questions=questions,
        )


def _leads_to(place: Place, agent: AgentId) -> bool:
    return any(one.agent == agent for one in place.wirings)
