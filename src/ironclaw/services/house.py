"""The house: everything the edges (API, CLI) may ask of the core, as one Protocol.

`ironclaw.composition` builds the real one; `ironclaw.testing.fake_house` is the one for tests of
edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, get_args

import msgspec

from ironclaw.core.ids import AgentId, ChatId, MessageId, PrincipalId, QuestionId, SessionId
from ironclaw.domain.model import Agent, Chat, Session, Standing, Task, Wiring
from ironclaw.domain.taint import Taint
from ironclaw_contract.entries import Files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from ironclaw.domain.model import Event
    from ironclaw.domain.rights import Actor
    from ironclaw.domain.searching import Searched
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.domain.statement import SignedReceipt
    from ironclaw.services.files import Opened
    from ironclaw.services.gateway.port import Gateway
    from ironclaw.services.memory import Memories
    from ironclaw.services.questions import Questions
    from ironclaw.services.trail import Trail
    from ironclaw.services.usage import UsageDesk


class Routed(NamedTuple):
    """What became of an event for one wiring."""

    agent: AgentId
    session: SessionId | None
    message: MessageId | None
    engaged: bool
    duplicate: bool
    reason: str
    """Why, in a closed set of words: `engaged`, `accumulated`, `not_engaged`, `no_access`, …"""
    event: int = 0
    """Id of the message's own event in its chat; 0 when it was not taken."""
    answer: str | None = None
    """What the host answered to a command; None for a message to the agent."""


Live = Literal["progress", "doing", "thinking"]
"""Kinds of events that only those see who watch at that moment."""
LIVE: Final = frozenset(get_args(Live))


class ChatEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a chat, as shown to people."""

    id: int
    """Grows within one chat and survives restarts for all that is kept; 0 for
    what is `Live`, which is not kept."""
    kind: Literal["message", "progress", "doing", "thinking", "said", "reply", "question", "error"]
    """`progress`: a piece of the answer as it is made. `doing`: what the agent does meanwhile, in a
    few words. `thinking`: a piece of what its model thinks. `said`: words or files that it sends
    before it has answered. `question`: the turn waits until people answer."""
    chat: ChatId
    thread: str | None
    session: SessionId
    message: MessageId
    """The inbound message it belongs to."""
    answers: tuple[MessageId, ...] = ()
    """Messages that joined the same turn: it belongs to each of them as well."""
    sender: str
    text: str
    at_ms: int
    code: str = ""
    """Why, for an `error`: one of the error codes."""
    question: QuestionId | None = None
    """For a `question`: its id, by which it can be answered."""
    files: Files = ()
    """What came or goes with it; each can be had by its id."""
    options: tuple[str, ...] = ()
    """What people may choose from; a plain message with one of them, or its number, answers."""
    free_text: bool = True
    """Whether words of their own are an answer too."""

    def is_of(self, message: MessageId) -> bool:
        """Whether it belongs to that message."""
        return self.message == message or message in self.answers


class SentTo(msgspec.Struct, frozen=True, kw_only=True):
    """A place that something was sent to beside the chat in which it was asked for."""

    name: str
    """What the agent calls it now; empty when it is none of its destinations any more."""
    channel: str
    """`agent` for another agent."""
    platform_id: str
    """Of the chat on its channel, or the other agent's id."""


class TranscriptEvent(ChatEvent, frozen=True, kw_only=True):
    """Something that happened in a conversation, wherever it was said."""

    sent_to: SentTo | None = None
    """Where it went, if not to the chat in which it was asked for."""


class FileView(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a conversation, without its bytes."""

    id: str
    name: str
    media_type: str
    """What it was found to be."""
    size: int
    """In bytes."""
    is_out: bool
    """Whether the agent sent it; else it came with a message."""
    sender: str
    """Who sent it: the name of a person, or of the agent."""
    agent: AgentId
    agent_name: str
    session: SessionId
    message: MessageId
    """What it came with, or the message whose turn sent it."""
    at_ms: int


class ChatPlace(NamedTuple):
    """Whose chat it is."""

    agent: AgentId | None
    """The one agent of an `api` chat; None for a chat of another channel: it can have several."""
    principal: PrincipalId | None
    """Whose own `api` chat it is."""
    name: str = ""
    """What they call it; empty for a chat of another channel."""


class PrincipalView(msgspec.Struct, frozen=True, kw_only=True):
    """A principal, and what it holds."""

    principal: PrincipalId
    person: PrincipalId
    roles: tuple[Standing, ...]


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task, and when it is due next."""

    task: Task
    agent_name: str
    next_ms: int | None
    """None when it will not happen again, or is paused."""
    ran_ms: int | None = None
    """When it was told last."""
    last: str = ""
    """What came of its last time: `answered`, `failed`, `pending`, or why it was not told."""
    failures: int = 0
    """Turns of it that failed, one after the other, up to now."""


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session and its box, now."""

    session: Session
    agent_name: str
    channel: str | None = None
    """Of its chat; None for a session that several chats have in common."""
    platform_id: str | None = None
    """The chat's id there."""
    box: Literal["none", "starting", "ready", "busy", "stopping"]
    frozen: bool = False
    """Whether the box, which has nothing to do, stands still; it goes on before anything is said
    to it."""
    pending: int
    """Messages not answered yet."""
    questions: int = 0
    """Questions that its turn waits for people to answer."""
    last_error: ChatEvent | None = None
    """The newest of the host's own words about a failure; only where one session is shown."""
    taint: tuple[Taint, ...] = ()
    """What foreign content it, or its turn that is under way, has before it; only where one
    session is shown."""


class ProviderView(msgspec.Struct, frozen=True, kw_only=True):
    """A model provider. Never its key."""

    name: str
    kind: str
    key: Literal["present", "missing", "in the keyring", "not needed"]
    """A keyring is not asked before the key is needed: it may ask a person."""
    problem: str = ""
    """Why the key cannot be used."""
    context_tokens: int | None = None
    """What its models read at once, as the configuration says."""
    models: dict[str, int] = {}
    """What each model that was asked reads at once, in tokens, as far as anybody knows."""


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """State of the whole."""

    ready: bool
    version: str
    started_ms: int
    rootless: bool
    runtime_version: str
    platform: str
    image_digest: str
    sessions: int
    boxes: int
    frozen_boxes: int
    """Those of them that stand still, as they have nothing to do."""
    blank_slots: int
    pending_messages: int
    dead_letters: int
    pending_changes: int
    """Changes that wait for a decision."""
    overdue_changes: int
    """Those of them that wait for longer than the policy says (`escalate_s`)."""
    core_rss_bytes: int
    degraded: tuple[str, ...]
    """What is weaker or broken, in words; empty when all is well."""


class House(Protocol):
    """What the core can be asked. All methods raise `IronClawError`s and nothing else."""

    async def hear(self, event: Event, *, actor: Actor | None = None) -> list[Routed]:
        """Take in one event from a channel; durable on return. Empty list: nobody is wired.

        A command (`/stop`, …) of somebody who may talk to the agent is carried out and answered.

        Args:
            event: What was heard.
            actor: Who says it, where a token limits what they may do; else the sender as such.
        """
        ...

    async def chat_for(self, agent: str, name: str, *, principal: PrincipalId) -> Chat:
        """The principal's own `api` chat of that name, wired to that agent at first use.

        Two principals never share a chat by choosing the same name. It gives no right: whether the
        principal may talk to the agent is the caller's to check, and the router's.
        Raises UserError (`NOT_FOUND`) for an unknown agent.
        """
        ...

    async def chat_named(
        self, agent: AgentId, name: str, *, principal: PrincipalId
    ) -> ChatId | None:
        """The principal's own `api` chat of that name, if it was ever begun; makes none."""
        ...

    async def past_of(self, chat: ChatId, *, limit: int) -> list[ChatEvent]:
        """The oldest kept events of a chat, at most `limit`, fewer when they are long."""
        ...

    async def place_of(self, chat: ChatId) -> ChatPlace:
        """Whose chat it is. Raises UserError (`NOT_FOUND`)."""
        ...

    def watch(self, chat: ChatId, *, after: int | None) -> AsyncIterator[ChatEvent]:
        """Events of a chat: those after `after` that are kept, then live ones without a gap.

        `after` None starts with live ones only: all that happen after this has returned. Closing
        the iterator ends the subscription.
        """
        ...

    async def transcript(self, session: SessionId, *, limit: int) -> list[TranscriptEvent]:
        """The newest `limit` kept events of a session, oldest first."""
        ...

    async def file(self, file: str) -> Opened:
        """A file by its id, whosever it is. Raises UserError (`NOT_FOUND`)."""
        ...

    async def kept_files(
        self, *, agents: Collection[AgentId] | None, session: SessionId | None, limit: int
    ) -> list[FileView]:
        """The newest files of conversations that were not forgotten, newest first.

        Args:
            agents: Only of these; None: of all, archived ones too.
            session: Only of this conversation; None: of all.
            limit: How many at most.
        """
        ...

    async def search(
        self, session: SessionId, query: str, *, limit: int, before_ms: int | None
    ) -> Searched:
        """Look for words in a session and the former ones of its place, the best first.

        Raises UserError: `NOT_FOUND`; `INVALID`: there is no word in the query.
        """
        ...

    async def agents(self, *, archived: bool = False) -> list[Agent]:
        """All agents that are not archived; with `archived` those that are, too."""
        ...

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name. Raises UserError (`NOT_FOUND`)."""
        ...

    async def wirings(self) -> list[tuple[Wiring, Chat, Agent]]:
        """All wirings with what they join."""
        ...

    async def standings(self) -> list[Standing]:
        """Who holds which role."""
        ...

    async def person_of(self, principal: PrincipalId) -> PrincipalId:
        """Who a principal is; itself unless it was linked."""
        ...

    async def principals(self) -> list[PrincipalView]:
        """Everybody who holds a role or was linked to somebody."""
        ...

    async def providers(self) -> tuple[ProviderView, ...]:
        """The model providers."""
        ...

    async def tasks(self, agent: AgentId | None) -> list[TaskView]:
        """What agents do at times of their own; of one agent, or of all that are not archived."""
        ...

    async def run_task(self, agent: AgentId, name: str) -> Routed:
        """Have a task told now, beside its times; durable on return.

        Raises UserError: `NOT_FOUND`; `CONFLICT`: its agent is at it, has ended, or is not in the
        task's chat.
        """
        ...

    @property
    def gateway(self) -> Gateway:
        """The only way in which anything about an agent changes; it knows everybody's rights."""
        ...

    async def sessions(self, *, agent: str | None) -> list[SessionView]:
        """Sessions, newest activity first."""
        ...

    async def session(self, session: SessionId) -> SessionView:
        """One session. Raises UserError (`NOT_FOUND`)."""
        ...

    async def agent_of(self, session: SessionId) -> AgentId:
        """Whose session it is. Raises UserError (`NOT_FOUND`)."""
        ...

    async def receipt(self, session: SessionId) -> SignedReceipt:
        """The proof of the session's newest launch. Raises UserError (`NOT_FOUND`)."""
        ...

    @property
    def trail(self) -> Trail:
        """The audit."""
        ...

    async def stop_session(self, session: SessionId) -> None:
        """Kill the session's box now; the next message starts a fresh one. Within 1 s."""
        ...

    async def skills(self) -> tuple[KeptSkill, ...]:
        """Skills that were imported, by name."""
        ...

    @property
    def questions(self) -> Questions:
        """What agents ask their people."""
        ...

    @property
    def memories(self) -> Memories:
        """What agents have noted."""
        ...

    @property
    def usage(self) -> UsageDesk:
        """What agents have used of their models."""
        ...

    async def health(self) -> Health:
        """State of the whole. Never raises."""
        ...
