"""An in-memory house for tests of the edges: same rules at its surface, no boxes behind it.

Its gateway is the real one, over tables in memory. What its agent says is `fake_talk`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import msgspec

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChatId, MessageId, PrincipalId, SessionId, new_id
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import (
    Agent,
    Chat,
    Event,
    Role,
    Session,
    SessionState,
    Standing,
    Wiring,
)
from ironclaw.domain.receipts import shown
from ironclaw.domain.searching import Found, Searched
from ironclaw.domain.tools import TOOLS
from ironclaw.services.gateway.service import GatewayService, Parts
from ironclaw.services.house import (
    ChatEvent,
    ChatPlace,
    FileView,
    Health,
    PrincipalView,
    ProviderView,
    Routed,
    SessionView,
    TaskView,
    TranscriptEvent,
)
from ironclaw.services.usage import UsageDesk
from ironclaw.testing.fake_talk import NOW_MS, FakeTalk
from ironclaw.testing.fake_trail import FakeTrail
from ironclaw.testing.fakes_gateway import MemoryChanges
from ironclaw.testing.fakes_memory import Shelf, memories
from ironclaw.testing.fakes_running import MemoryLooks, MemoryReach, MemoryTell
from ironclaw.testing.fakes_usage import FakeBook
from ironclaw.testing.receipts import sealed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection
    from typing import Literal

    from ironclaw.core.clock import Clock
    from ironclaw.domain.changes.base import House
    from ironclaw.domain.rights import Actor
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.domain.statement import SignedReceipt
    from ironclaw.services.files import Opened
    from ironclaw.services.gateway.port import Gateway
    from ironclaw.services.house import Live


class _Looks(MemoryLooks):
    """With the models and tools that people can really name."""

    def house(self) -> House:
        """The house now."""
        return super().house()._replace(models=("scripted",), tools=tuple(TOOLS))


class FakeHouse:
    """Implements `ironclaw.services.house.House`."""

    def __init__(self, tasks: Tasks, clock: Clock | None = None) -> None:
        clock = clock or ManualClock()
        self.ready = True
        self.heard: list[Event] = []
        self.hearing = asyncio.Event()
        """Set once there is something in `heard`."""
        self.acted: list[Actor | None] = []
        """Who said it, as the edge has made sure of."""
        self.stopped: list[SessionId] = []
        self.frozen: set[SessionId] = set()
        self.weaker: tuple[str, ...] = ()
        """What its health says in words."""
        self.trail = FakeTrail()
        self.boom: Exception | None = None
        """Raised by every method when set."""
        self.kept = MemoryChanges(clock)
        self.setting = self.kept.setting
        self.reach = MemoryReach()
        self.looks = _Looks(clock)
        self.shelf = Shelf()
        self.memories = memories(self.shelf, record=self.trail.append, agent=self.agent)
        self.usage = UsageDesk(
            book=FakeBook(self.setting.agents), agents=self, clock=clock, currency="USD"
        )
        self.gateway: Gateway = GatewayService(
            Parts(
                store=self.kept,
                reach=self.reach,
                tell=MemoryTell(),
                looks=self.looks,
                names=self,
                record=self.trail.append,
                clock=clock,
                tasks=tasks,
            )
        )
        self.talk = FakeTalk(self.setting, clock)
        self.questions = self.talk.questions
        self.files = self.talk.files

    def add_agent(self, name: str) -> Agent:
        """Put an agent in."""
        agent = Agent(id=AgentId(new_id("agt")), name=name, created_ms=NOW_MS)
        self.setting.agents[agent.id] = agent
        return agent

    def give(self, principal: str, role: Role, agent: Agent | None = None) -> None:
        """Let somebody hold a role."""
        held = Standing(
            principal=PrincipalId(principal), role=role, agent=None if agent is None else agent.id
        )
        if held not in self.setting.standings:
            self.setting.standings.append(held)

    def say(
        self, chat: ChatId, message: MessageId, kind: Literal["reply"] | Live, text: str
    ) -> None:
        """Let an event happen in a chat."""
        self.talk.say(chat, message, kind, "agent", text)

    @property
    def watchers(self) -> int:
        """Subscriptions open now."""
        return self.talk.watchers

    def _check(self) -> None:
        if self.boom is not None:
            raise self.boom

    async def hear(self, event: Event, *, actor: Actor | None = None) -> list[Routed]:
        """Take a message in and answer it on the next round of the loop."""
        self._check()
        self.heard.append(event)
        self.hearing.set()
        self.acted.append(actor)
        chat = self.setting.chats.get((event.channel, event.platform_id))
        if chat is None or event.channel != "api":
            return []
        return [await self.talk.hear(event, chat)]

    async def chat_for(self, agent: str, name: str, *, principal: PrincipalId) -> Chat:
        """The principal's own chat of that name."""
        found = await self.agent(agent)
        place = ("api", f"{found.id}/{principal}/{name}")
        chat = Chat(id=ChatId(new_id("cht")), channel="api", platform_id=place[1])
        return self.setting.chats.setdefault(place, chat)

    async def place_of(self, chat: ChatId) -> ChatPlace:
        """Whose chat it is."""
        self._check()
        for known in self.setting.chats.values():
            if known.id == chat:
                agent, _, rest = known.platform_id.partition("/")
                principal, slash, name = rest.rpartition("/")
                if known.channel != "api" or not slash:
                    return ChatPlace(None, None)
                return ChatPlace(AgentId(agent), PrincipalId(principal), name)
        raise UserError(Code.NOT_FOUND, "There is no such chat.", hint="Send it a message.")

    async def chat_named(
        self, agent: AgentId, name: str, *, principal: PrincipalId
    ) -> ChatId | None:
        """The principal's own chat of that name, if there is one."""
        self._check()
        chat = self.setting.chats.get(("api", f"{agent}/{principal}/{name}"))
        return None if chat is None else chat.id

    async def past_of(self, chat: ChatId, *, limit: int) -> list[ChatEvent]:
        """The oldest kept events."""
        self._check()
        return self.talk.kept(chat)[:limit]

    def watch(self, chat: ChatId, *, after: int | None) -> AsyncIterator[ChatEvent]:
        """Kept events, then live ones."""
        return self.talk.watch(chat, after=after, check=self._check)

    async def transcript(self, session: SessionId, *, limit: int) -> list[TranscriptEvent]:
        """The newest kept events."""
        view = await self.session(session)
        return [
            event
            if isinstance(event, TranscriptEvent)
            else TranscriptEvent(**msgspec.structs.asdict(event))
            for event in self.talk.kept(view.session.chat)[-limit:]
        ]

    async def search(
        self, session: SessionId, query: str, *, limit: int, before_ms: int | None
    ) -> Searched:
        """What was said in it that has the first word of the query."""
        view = await self.session(session)
        word = query.split(maxsplit=1)[0]
        found = [
            Found(
                session=session,
                kind="reply" if event.kind == "reply" else "message",
                sender=event.sender,
                at_ms=event.at_ms,
                excerpt=event.text,
                score=1.0,
            )
            for event in self.talk.kept(view.session.chat)
            if word in event.text and (before_ms is None or event.at_ms < before_ms)
        ]
        return Searched(found=found[:limit], whole=True)

    async def file(self, file: str) -> Opened:
        """A file that came with a message."""
        self._check()
        return self.files.open(file)

    async def kept_files(
        self, *, agents: Collection[AgentId] | None, session: SessionId | None, limit: int
    ) -> list[FileView]:
        """The files of conversations, newest first."""
        self._check()
        found = [
            FileView(
                **msgspec.structs.asdict(file),
                is_out=event.kind != "message",
                sender=event.sender,
                agent=one.agent,
                agent_name=self.setting.agents[one.agent].name,
                session=one.id,
                message=event.message,
                at_ms=event.at_ms,
            )
            for one in self.setting.sessions.values()
            if session in {None, one.id} and (agents is None or one.agent in agents)
            if one.state is not SessionState.FORGOTTEN
            for event in self.talk.kept(one.chat)
            for file in event.files
        ]
        return found[::-1][:limit]

    async def agents(self, *, archived: bool = False) -> list[Agent]:
        """All agents that are not archived; with `archived` those that are, too."""
        self._check()
        return [one for one in self.setting.agents.values() if archived or not one.archived]

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name."""
        self._check()
        for agent in self.setting.agents.values():
            if ref == agent.id or (ref == agent.name and not agent.archived):
                return agent
        raise UserError(
            Code.NOT_FOUND,
            f"There is no agent {ref[:64]!r}.",
            hint="`ironclaw agent list` shows them.",
        )

    async def wirings(self) -> list[tuple[Wiring, Chat, Agent]]:
        """All wirings."""
        self._check()
        chats = {chat.id: chat for chat in self.setting.chats.values()}
        return [
            (wiring, chats[wiring.chat], self.setting.agents[wiring.agent])
            for wiring in self.setting.wirings.values()
        ]

    async def standings(self) -> list[Standing]:
        """Who holds which role."""
        self._check()
        return list(self.setting.standings)

    async def person_of(self, principal: PrincipalId) -> PrincipalId:
        """Who a principal is."""
        return self.setting.person(principal)

    async def principals(self) -> list[PrincipalView]:
        """Everybody who holds a role or was linked."""
        self._check()
        known = {one.principal for one in self.setting.standings} | set(self.setting.persons)
        return [
            PrincipalView(
                principal=one, person=self.setting.person(one), roles=self.setting.of(one)
            )
            for one in sorted(known)
        ]

    async def tasks(self, agent: AgentId | None) -> list[TaskView]:
        """What agents do at times of their own."""
        self._check()
        return [
            TaskView(
                task=task,
                agent_name=self.setting.agents[task.agent].name,
                next_ms=task.at_ms or NOW_MS,
            )
            for task in self.setting.tasks.values()
            if agent in {None, task.agent}
        ]

    async def run_task(self, agent: AgentId, name: str) -> Routed:
        """Tell it, to nobody."""
        self._check()
        if not any((one.agent, one.name) == (agent, name) for one in self.setting.tasks.values()):
            raise UserError(
                Code.NOT_FOUND, "The agent has no such task.", hint="`ironclaw task list`."
            )
        session, message = SessionId(new_id("ses")), MessageId(new_id("msg"))
        return Routed(agent, session, message, True, False, "engaged")

    async def sessions(self, *, agent: str | None) -> list[SessionView]:
        """Sessions."""
        self._check()
        wanted = None if agent is None else (await self.agent(agent)).id
        return [
            self._view(session)
            for session in self.setting.sessions.values()
            if wanted in (None, session.agent)
        ]

    async def session(self, session: SessionId) -> SessionView:
        """One session."""
        self._check()
        one = await self._session(session)
        errors = [event for event in self.talk.kept(one.chat) if event.kind == "error"]
        last_error = errors[-1] if errors else None
        return msgspec.structs.replace(self._view(one), last_error=last_error)

    async def agent_of(self, session: SessionId) -> AgentId:
        """Whose session it is."""
        self._check()
        return (await self._session(session)).agent

    async def _session(self, session: SessionId) -> Session:
        if session not in self.setting.sessions:
            raise UserError(
                Code.NOT_FOUND, "There is no such session.", hint="`ironclaw session list`."
            )
        return self.setting.sessions[session]

    def _view(self, session: Session) -> SessionView:
        name = self.setting.agents[session.agent].name
        chats = [one for one in self.setting.chats.values() if one.id == session.chat]
        return SessionView(
            session=session,
            agent_name=name,
            channel=chats[0].channel if chats else None,
            platform_id=chats[0].platform_id if chats else None,
            box="ready",
            frozen=session.id in self.frozen,
            pending=0,
        )

    async def receipt(self, session: SessionId) -> SignedReceipt:
        """A receipt as a full host would give it."""
        await self.session(session)
        return shown(sealed(session).envelope)

    async def stop_session(self, session: SessionId) -> None:
        """Note the stop."""
        await self.session(session)
        self.stopped.append(session)

    async def skills(self) -> tuple[KeptSkill, ...]:
        """Skills that were imported."""
        self._check()
        return self.looks.kept_skills

    async def providers(self) -> tuple[ProviderView, ...]:
        """One with all there is to show, and one without its key."""
        self._check()
        return (
            ProviderView(name="scripted", kind="scripted", key="not needed"),
            ProviderView(
                name="home",
                kind="openai-compatible",
                key="not needed",
                context_tokens=4096,
                models={"tiny": 8192},
            ),
            ProviderView(name="away", kind="openai", key="missing", problem="it has none"),
        )

    async def health(self) -> Health:
        """State of the whole."""
        waiting = await self.gateway.waiting_changes()
        return Health(
            ready=self.ready,
            version="0.0.0",
            started_ms=NOW_MS,
            rootless=False,
            runtime_version="fake",
            platform="systrap",
            image_digest="sha256:" + "0" * 64,
            sessions=len(self.setting.sessions),
            boxes=len(self.setting.sessions),
            frozen_boxes=len(self.frozen),
            blank_slots=1,
            pending_messages=0,
            dead_letters=0,
            pending_changes=waiting.pending,
            overdue_changes=waiting.overdue,
            core_rss_bytes=1,
            degraded=self.weaker,
        )


@contextlib.asynccontextmanager
async def open_fake_house(clock: Clock | None = None) -> AsyncIterator[FakeHouse]:
    """A house with nothing in it; what its gateway does without a caller ends with it."""
    async with Tasks("fake house", on_failure=_failed) as tasks:
        yield FakeHouse(tasks, clock)


def _failed(name: str, error: BaseException) -> None:
    raise AssertionError(f"{name} of the fake house failed") from error
