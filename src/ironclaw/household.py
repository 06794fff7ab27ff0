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
from ironclaw.core.log import get_logger
from ironclaw.domain.access import Rank, rank
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.model import Engage, Partition, Role, SenderScope
from ironclaw.domain.tools import check_tools
from ironclaw.services.house import ChatEvent, Health, SessionView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ironclaw.core.ids import AgentId, ChatId, PrincipalId, SessionId, WiringId
    from ironclaw.domain.model import (
        Agent,
        Chat,
        Event,
        Ignored,
        Session,
        Standing,
        UnknownSender,
        Wiring,
    )
    from ironclaw.domain.ports import Rootfs
    from ironclaw.domain.statement import SignedReceipt
    from ironclaw.services.house import Routed
    from ironclaw.services.hub import Hub
    from ironclaw.services.router import Router
    from ironclaw.services.sessions import Sessions
    from ironclaw.services.slots import Slots
    from ironclaw.services.trail import Trail
    from ironclaw.store.chatlog import ChatLog
    from ironclaw.store.ledger import Ledger
    from ironclaw.store.registry import Registry

API_CHANNEL: Final = "api"

_log = get_logger("household")


class Machine(NamedTuple):
    """What does not change while the core runs."""

    started_ms: int
    rootless: bool
    runtime_version: str
    platform: str
    rootfs: Rootfs
    weaker: tuple[str, ...]


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
        check_model: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._log_of_chats = log_of_chats
        self._router = router
        self._sessions = sessions
        self._slots = slots
        self._audit = audit
        self._hub = hub
        self._machine = machine
        self._check_model = check_model
        self._wiring = asyncio.Lock()

    # --- talking ----------------------------------------------------------------------------------

    async def hear(self, event: Event) -> list[Routed]:
        """Take in one event from a channel; durable on return."""
        return await self._router.hear(event)

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
        if place is None or not place.wirings:
            # One at a time: two first messages at once would wire the chat twice.
            async with self._wiring:
                chat = await self._wired(found.id, platform_id, title=name)
        else:
            chat = place.chat
        standings = await self._registry.standings_of(principal)
        if rank(standings, found.id) is Rank.UNKNOWN:
            await self._registry.give(principal, Role.MEMBER, found.id)
        return chat

    async def _wired(self, agent: AgentId, platform_id: str, *, title: str) -> Chat:
        """The `api` chat of that id, made and wired unless somebody just did."""
        place = await self._registry.place(API_CHANNEL, platform_id)
        if place is not None and place.wirings:
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

    async def check_follow(self, chat: ChatId, *, principal: PrincipalId | None) -> None:
        """Whether there is such a chat, and the principal may follow it."""
        found = await self._registry.chat(chat)
        if principal is not None:
            _, _, rest = found.platform_id.partition("/")
            if found.channel != API_CHANNEL or not rest.startswith(f"{principal}/"):
                # The same words as for one that does not exist: ids of others tell nothing.
                raise UserError(
                    Code.NOT_FOUND,
                    f"There is no chat {chat[:80]!r} of this token.",
                    hint="Follow the chat that sending a message names.",
                )

    def watch(self, chat: ChatId, *, after: int | None) -> AsyncIterator[ChatEvent]:
        """Events of a chat: kept ones after `after`, then live ones without a gap."""
        return self._hub.watch(chat, after=after)

    async def transcript(self, session: SessionId, *, limit: int) -> list[ChatEvent]:
        """The newest `limit` kept events of a session, oldest first."""
        await self._registry.session(session)
        kept = await self._log_of_chats.transcript(session, limit=limit)
        return [ChatEvent(**event._asdict()) for event in kept]

    # --- agents, wirings, principals --------------------------------------------------------------

    async def agents(self) -> list[Agent]:
        """All agents that are not archived."""
        return await self._registry.agents()

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name."""
        return await self._registry.agent(ref)

    async def create_agent(
        self, *, name: str, persona: str, model: str, tools: Sequence[str], pool_size: int
    ) -> Agent:
        """Make an agent and begin to keep blank slots for it."""
        check_tools(tools)
        self._check_model(model)
        agent = await self._registry.create_agent(
            name=name, persona=persona, model=model, tools=tools, pool_size=pool_size
        )
        self._slots.keep(agent)
        return agent

    async def archive_agent(self, ref: str) -> Agent:
        """End an agent: its boxes stop, its sessions stay readable."""
        agent = await self._registry.archive_agent(ref)
        await self._slots.drop(agent.id)
        await self._sessions.stop_agent(agent)
        return agent

    async def wirings(self) -> list[tuple[Wiring, Chat, Agent]]:
        """All wirings with what they join."""
        return await self._registry.wirings()

    async def create_wiring(
        self,
        *,
        channel: str,
        platform_id: str,
        agent: str,
        engage: Engage,
        pattern: str,
        sender_scope: SenderScope,
        ignored: Ignored,
        partition: Partition,
        priority: int,
        unknown_sender: UnknownSender,
    ) -> Wiring:
        """Wire a chat (made if new) to an agent."""
        found = await self._registry.agent(agent)
        chat = await self._registry.ensure_chat(
            channel=channel, platform_id=platform_id, unknown_sender=unknown_sender
        )
        wiring = await self._registry.create_wiring(
            chat=chat.id,
            agent=found.id,
            engage=engage,
            pattern=pattern,
            sender_scope=sender_scope,
            ignored=ignored,
            partition=partition,
            priority=priority,
        )
        if chat.unknown_sender is not unknown_sender:
            await self._registry.set_unknown_sender(chat.id, unknown_sender)
        return wiring

    async def delete_wiring(self, wiring: WiringId) -> None:
        """Remove a wiring."""
        await self._registry.delete_wiring(wiring)

    async def standings(self) -> list[Standing]:
        """Who holds which role."""
        return await self._registry.standings()

    async def give(self, principal: PrincipalId, role: Role, agent: str | None) -> Standing:
        """Give a principal a role, globally or for one agent."""
        found = None if agent is None else (await self._registry.agent(agent)).id
        return await self._registry.give(principal, role, found)

    async def take(self, principal: PrincipalId, role: Role, agent: str | None) -> None:
        """Take a role away."""
        found = None if agent is None else (await self._registry.agent(agent)).id
        await self._registry.take(principal, role, found)

    # --- sessions ---------------------------------------------------------------------------------

    async def sessions(self, *, agent: str | None) -> list[SessionView]:
        """Sessions, newest activity first."""
        found = None if agent is None else (await self._registry.agent(agent)).id
        names = {one.id: one.name for one in await self._registry.agents(archived=True)}
        return [
            self._view(row.session, names[row.session.agent], row.pending)
            for row in await self._registry.sessions(agent=found)
        ]

    async def session(self, session: SessionId) -> SessionView:
        """One session."""
        row = await self._registry.session(session)
        agent = await self._registry.agent(row.agent)
        backlog = await self._ledger.backlog(session)
        view = self._view(row, agent.name, sum(message.engage for message in backlog))
        error = await self._log_of_chats.last_error(session)
        last_error = None if error is None else ChatEvent(**error._asdict())
        return msgspec.structs.replace(view, last_error=last_error)

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

    # --- audit and health -------------------------------------------------------------------------

    @property
    def trail(self) -> Trail:
        """The audit."""
        return self._audit

    async def health(self) -> Health:
        """State of the whole; a store that fails is a word, not an exception."""
        degraded = [*self._machine.weaker, *self._slots.weaker, *self._sessions.weaker]
        degraded += self._audit.degraded
        sessions = pending = dead = 0
        try:
            counts = await self._log_of_chats.counts()
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
            blank_slots=self._slots.blank,
            pending_messages=pending,
            dead_letters=dead,
            core_rss_bytes=rss_bytes(os.getpid()),
            degraded=tuple(degraded),
        )

    def _view(self, session: Session, name: str, pending: int) -> SessionView:
        return SessionView(
            session=session,
            agent_name=name,
            box=self._sessions.box_state(session.id),
            pending=pending,
        )
