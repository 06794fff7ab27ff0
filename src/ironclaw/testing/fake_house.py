"""An in-memory house for tests of the edges: same rules at its surface, no boxes behind it.

The agent says `echo: <text>`, after one `progress` event; a text that begins with `fail` ends in an
error event, and one that begins with `silent` is never answered.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import (
    AgentId,
    ChatId,
    MessageId,
    PrincipalId,
    SessionId,
    WiringId,
    new_id,
)
from ironclaw.domain.model import (
    Agent,
    Chat,
    Engage,
    Event,
    Ignored,
    Partition,
    Role,
    SenderScope,
    Session,
    Standing,
    UnknownSender,
    Wiring,
)
from ironclaw.domain.receipts import shown
from ironclaw.domain.tools import check_tools
from ironclaw.models.provider import Registry as Providers
from ironclaw.models.scripted import Scripted
from ironclaw.services.house import ChatEvent, Health, Routed, SessionView
from ironclaw.testing.fake_trail import FakeTrail
from ironclaw.testing.receipts import sealed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import Literal

    from ironclaw.domain.statement import SignedReceipt

NOW_MS = 1_800_000_000_000


class FakeHouse:
    """Implements `ironclaw.services.house.House`."""

    def __init__(self) -> None:
        self.ready = True
        self.heard: list[Event] = []
        self.stopped: list[SessionId] = []
        self.trail = FakeTrail()
        self.boom: Exception | None = None
        """Raised by every method when set."""
        self._agents: dict[AgentId, Agent] = {}
        self._chats: dict[tuple[AgentId, str], Chat] = {}
        self._wirings: dict[WiringId, Wiring] = {}
        self._standings: list[Standing] = []
        self._sessions: dict[ChatId, Session] = {}
        self._seen: dict[tuple[str, str], Routed] = {}
        self._events: dict[ChatId, list[ChatEvent]] = {}
        self._watchers: dict[ChatId, list[asyncio.Queue[ChatEvent]]] = {}

    def add_agent(self, name: str) -> Agent:
        """Put an agent in."""
        agent = Agent(id=AgentId(new_id("agt")), name=name, created_ms=NOW_MS)
        self._agents[agent.id] = agent
        return agent

    def say(
        self, chat: ChatId, message: MessageId, kind: Literal["progress", "reply"], text: str
    ) -> None:
        """Let an event happen in a chat."""
        self._publish(chat, message, kind, "agent", text)

    @property
    def watchers(self) -> int:
        """Subscriptions open now."""
        return sum(map(len, self._watchers.values()))

    def _check(self) -> None:
        if self.boom is not None:
            raise self.boom

    async def hear(self, event: Event) -> list[Routed]:
        """Take a message in and answer it on the next round of the loop."""
        self._check()
        self.heard.append(event)
        for (agent, _name), chat in self._chats.items():
            if chat.platform_id == event.platform_id:
                return [self._accept(agent, chat, event)]
        return []

    def _accept(self, agent: AgentId, chat: Chat, event: Event) -> Routed:
        if before := self._seen.get((event.platform_id, event.external_id)):
            return before._replace(duplicate=True)
        session = self._sessions.setdefault(
            chat.id,
            Session(
                id=SessionId(new_id("ses")),
                agent=agent,
                chat=chat.id,
                thread=None,
                partition=Partition.SHARED,
                created_ms=NOW_MS,
            ),
        )
        message = MessageId(new_id("msg"))
        routed = Routed(agent, session.id, message, engaged=True, duplicate=False, reason="engaged")
        self._seen[event.platform_id, event.external_id] = routed
        self._publish(chat.id, message, "message", event.sender, event.text)
        if not event.text.startswith("silent"):
            asyncio.get_running_loop().call_soon(self._answer, chat.id, message, event.text)
        return routed

    def _answer(self, chat: ChatId, message: MessageId, text: str) -> None:
        if text.startswith("fail"):
            self._publish(chat, message, "error", "ironclaw", "The model refused.")
            return
        self._publish(chat, message, "progress", "agent", "echo")
        self._publish(chat, message, "reply", "agent", f"echo: {text}")
        if text.startswith("grow"):
            self._publish(chat, message, "error", "ironclaw", "After its last reply: it grew.")

    def _publish(
        self,
        chat: ChatId,
        message: MessageId,
        kind: Literal["message", "progress", "reply", "error"],
        sender: str,
        text: str,
    ) -> None:
        kept = self._events.setdefault(chat, [])
        event = ChatEvent(
            id=0 if kind == "progress" else len(kept) + 1,
            kind=kind,
            chat=chat,
            thread=None,
            session=self._sessions[chat].id,
            message=message,
            sender=sender,
            text=text,
            at_ms=NOW_MS,
            code=Code.MODEL_FAILED if kind == "error" else "",
        )
        if event.id:
            kept.append(event)
        for queue in self._watchers.get(chat, []):
            queue.put_nowait(event)

    async def chat_for(self, agent: str, name: str, *, principal: PrincipalId) -> Chat:
        """The chat of that name; the principal becomes a member."""
        found = await self.agent(agent)
        standing = Standing(principal=principal, role=Role.MEMBER, agent=found.id)
        if standing not in self._standings:
            self._standings.append(standing)
        name = f"{principal}/{name}"
        chat = Chat(id=ChatId(new_id("cht")), channel="api", platform_id=f"{found.id}/{name}")
        return self._chats.setdefault((found.id, name), chat)

    async def check_follow(self, chat: ChatId, *, principal: PrincipalId | None) -> None:
        """Known chats; with a principal its own only."""
        self._check()
        for (_agent, name), known in self._chats.items():
            if known.id == chat and (principal is None or name.startswith(f"{principal}/")):
                return
        raise UserError(Code.NOT_FOUND, "There is no such chat.", hint="Send it a message.")

    async def watch(self, chat: ChatId, *, after: int | None) -> AsyncIterator[ChatEvent]:
        """Kept events, then live ones."""
        self._check()
        if all(known.id != chat for known in self._chats.values()):
            raise UserError(Code.NOT_FOUND, "There is no such chat.", hint="Send it a message.")
        queue: asyncio.Queue[ChatEvent] = asyncio.Queue()
        self._watchers.setdefault(chat, []).append(queue)
        try:
            if after is not None:
                for event in list(self._events.get(chat, [])):
                    if event.id > after:
                        yield event
            while True:
                yield await queue.get()
        finally:
            self._watchers[chat].remove(queue)

    async def transcript(self, session: SessionId, *, limit: int) -> list[ChatEvent]:
        """The newest kept events."""
        view = await self.session(session)
        return (await self._kept(view.session))[-limit:]

    async def _kept(self, session: Session) -> list[ChatEvent]:
        return self._events.get(session.chat or ChatId(""), [])

    async def agents(self) -> list[Agent]:
        """All agents that are not archived."""
        self._check()
        return [agent for agent in self._agents.values() if not agent.archived]

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name."""
        self._check()
        for agent in self._agents.values():
            if ref in (agent.id, agent.name):
                return agent
        raise UserError(
            Code.NOT_FOUND,
            f"There is no agent {ref[:64]!r}.",
            hint="`ironclaw agent list` shows them.",
        )

    async def create_agent(
        self, *, name: str, persona: str, model: str, tools: Sequence[str], pool_size: int
    ) -> Agent:
        """Make an agent."""
        self._check()
        check_tools(tools)
        Providers({"scripted": Scripted()}).check(model)
        if any(agent.name == name for agent in self._agents.values()):
            raise UserError(Code.CONFLICT, "There is such an agent.", hint="Choose another name.")
        agent = Agent(
            id=AgentId(new_id("agt")),
            name=name,
            persona=persona,
            model=model,
            tools=tuple(tools),
            pool_size=pool_size,
            created_ms=NOW_MS,
        )
        self._agents[agent.id] = agent
        return agent

    async def archive_agent(self, ref: str) -> Agent:
        """End an agent."""
        agent = msgspec.structs.replace(await self.agent(ref), archived=True)
        self._agents[agent.id] = agent
        return agent

    async def wirings(self) -> list[tuple[Wiring, Chat, Agent]]:
        """All wirings."""
        self._check()
        return [
            (
                wiring,
                Chat(id=wiring.chat, channel="test", platform_id="place"),
                self._agents[wiring.agent],
            )
            for wiring in self._wirings.values()
        ]

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
        """Join a chat to an agent."""
        found = await self.agent(agent)
        del channel, platform_id, unknown_sender
        wiring = Wiring(
            id=WiringId(new_id("wir")),
            chat=ChatId(new_id("cht")),
            agent=found.id,
            engage=engage,
            pattern=pattern,
            sender_scope=sender_scope,
            ignored=ignored,
            partition=partition,
            priority=priority,
        )
        self._wirings[wiring.id] = wiring
        return wiring

    async def delete_wiring(self, wiring: WiringId) -> None:
        """Remove a wiring."""
        self._check()
        if self._wirings.pop(wiring, None) is None:
            raise UserError(
                Code.NOT_FOUND, "There is no such wiring.", hint="`ironclaw wiring list`."
            )

    async def standings(self) -> list[Standing]:
        """Who holds which role."""
        self._check()
        return list(self._standings)

    async def give(self, principal: PrincipalId, role: Role, agent: str | None) -> Standing:
        """Give a role."""
        found = None if agent is None else (await self.agent(agent)).id
        standing = Standing(principal=principal, role=role, agent=found)
        if standing not in self._standings:
            self._standings.append(standing)
        return standing

    async def take(self, principal: PrincipalId, role: Role, agent: str | None) -> None:
        """Take a role away."""
        found = None if agent is None else (await self.agent(agent)).id
        standing = Standing(principal=principal, role=role, agent=found)
        if standing not in self._standings:
            raise UserError(Code.NOT_FOUND, "Nobody has that role.", hint="`ironclaw role list`.")
        self._standings.remove(standing)

    async def sessions(self, *, agent: str | None) -> list[SessionView]:
        """Sessions."""
        self._check()
        wanted = None if agent is None else (await self.agent(agent)).id
        return [
            self._view(session)
            for session in self._sessions.values()
            if wanted in (None, session.agent)
        ]

    async def session(self, session: SessionId) -> SessionView:
        """One session."""
        self._check()
        for one in self._sessions.values():
            if one.id == session:
                errors = [e for e in await self._kept(one) if e.kind == "error"]
                last_error = errors[-1] if errors else None
                return msgspec.structs.replace(self._view(one), last_error=last_error)
        raise UserError(
            Code.NOT_FOUND, "There is no such session.", hint="`ironclaw session list`."
        )

    def _view(self, session: Session) -> SessionView:
        name = self._agents[session.agent].name
        return SessionView(session=session, agent_name=name, box="ready", pending=0)

    async def receipt(self, session: SessionId) -> SignedReceipt:
        """A receipt as a full host would give it."""
        await self.session(session)
        return shown(sealed(session).envelope)

    async def stop_session(self, session: SessionId) -> None:
        """Note the stop."""
        await self.session(session)
        self.stopped.append(session)

    async def health(self) -> Health:
        """State of the whole."""
        return Health(
            ready=self.ready,
            version="0.0.0",
            started_ms=NOW_MS,
            rootless=False,
            runtime_version="fake",
            platform="systrap",
            image_digest="sha256:" + "0" * 64,
            sessions=len(self._sessions),
            boxes=len(self._sessions),
            blank_slots=1,
            pending_messages=0,
            dead_letters=0,
            core_rss_bytes=1,
            degraded=(),
        )
