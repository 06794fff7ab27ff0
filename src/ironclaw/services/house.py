"""The house: everything the edges (API, CLI) may ask of the core, as one Protocol.

`ironclaw.daemon` builds the real one; `ironclaw.testing.fake_house` is the one for tests of edges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import msgspec

from ironclaw.core.ids import AgentId, ChatId, MessageId, PrincipalId, SessionId, WiringId
from ironclaw.domain.model import (
    Agent,
    Chat,
    Engage,
    Ignored,
    Partition,
    Role,
    SenderScope,
    Session,
    Standing,
    UnknownSender,
    Wiring,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ironclaw.domain.model import Event
    from ironclaw.domain.statement import SignedReceipt
    from ironclaw.services.trail import Trail


class Routed(NamedTuple):
    """What became of an event for one wiring."""

    agent: AgentId
    session: SessionId | None
    message: MessageId | None
    engaged: bool
    duplicate: bool
    reason: str
    """Why, in a closed set of words: `engaged`, `accumulated`, `not_engaged`, `no_access`, …"""


class ChatEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a chat, as shown to people."""

    id: int
    """Grows within one chat and survives restarts for `message`, `reply` and `error`; 0 for
    `progress`, which is not kept."""
    kind: Literal["message", "progress", "reply", "error"]
    chat: ChatId
    thread: str | None
    session: SessionId
    message: MessageId
    """The inbound message it belongs to."""
    sender: str
    text: str
    at_ms: int
    code: str = ""
    """Why, for an `error`: one of the error codes."""


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """A session and its box, now."""

    session: Session
    agent_name: str
    box: Literal["none", "starting", "ready", "busy", "stopping"]
    pending: int
    """Messages not answered yet."""
    last_error: ChatEvent | None = None
    """The newest of the host's own words about a failure; only where one session is shown."""


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
    blank_slots: int
    pending_messages: int
    dead_letters: int
    core_rss_bytes: int
    degraded: tuple[str, ...]
    """What is weaker or broken, in words; empty when all is well."""


class House(Protocol):
    """What the core can be asked. All methods raise `IronClawError`s and nothing else."""

    async def hear(self, event: Event) -> list[Routed]:
        """Take in one event from a channel; durable on return. Empty list: nobody is wired."""
        ...

    async def chat_for(self, agent: str, name: str, *, principal: PrincipalId) -> Chat:
        """The principal's own `api` chat of that name, wired to that agent at first use.

        Two tokens never share a chat by choosing the same name. The principal becomes a member of
        the agent, so only tokens with scope `chat` get here.
        Raises UserError (`NOT_FOUND`) for an unknown agent.
        """
        ...

    async def check_follow(self, chat: ChatId, *, principal: PrincipalId | None) -> None:
        """Check that there is such a chat and that the principal may follow it.

        Args:
            chat: Which one.
            principal: Only its own chats; None for somebody who may follow all.

        Raises:
            UserError: `NOT_FOUND`, in both cases.
        """
        ...

    def watch(self, chat: ChatId, *, after: int | None) -> AsyncIterator[ChatEvent]:
        """Events of a chat: those after `after` that are kept, then live ones without a gap.

        `after` None starts with live ones only. Closing the iterator ends the subscription.
        """
        ...

    async def transcript(self, session: SessionId, *, limit: int) -> list[ChatEvent]:
        """The newest `limit` kept events of a session, oldest first."""
        ...

    async def agents(self) -> list[Agent]:
        """All agents that are not archived."""
        ...

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name. Raises UserError (`NOT_FOUND`)."""
        ...

    async def create_agent(
        self, *, name: str, persona: str, model: str, tools: Sequence[str], pool_size: int
    ) -> Agent:
        """Make an agent. Raises UserError (`INVALID`, `NOT_FOUND` for a model, `CONFLICT`)."""
        ...

    async def archive_agent(self, ref: str) -> Agent:
        """End an agent: its boxes stop, its sessions stay readable."""
        ...

    async def wirings(self) -> list[tuple[Wiring, Chat, Agent]]:
        """All wirings with what they join."""
        ...

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
        """Wire a chat (made if new) to an agent. Raises UserError (`INVALID`, `NOT_FOUND`)."""
        ...

    async def delete_wiring(self, wiring: WiringId) -> None:
        """Remove a wiring. Raises UserError (`NOT_FOUND`)."""
        ...

    async def standings(self) -> list[Standing]:
        """Who holds which role."""
        ...

    async def give(self, principal: PrincipalId, role: Role, agent: str | None) -> Standing:
        """Give a principal a role, globally or for one agent."""
        ...

    async def take(self, principal: PrincipalId, role: Role, agent: str | None) -> None:
        """Take a role away. Raises UserError (`NOT_FOUND`)."""
        ...

    async def sessions(self, *, agent: str | None) -> list[SessionView]:
        """Sessions, newest activity first."""
        ...

    async def session(self, session: SessionId) -> SessionView:
        """One session. Raises UserError (`NOT_FOUND`)."""
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

    async def health(self) -> Health:
        """State of the whole. Never raises."""
        ...
