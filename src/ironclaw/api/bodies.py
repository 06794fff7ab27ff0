"""What goes in and out of the endpoints, as closed structs. OpenAPI is made from these."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ironclaw.api.scopes import Scope
from ironclaw.domain.audit import AuditRecord
from ironclaw.domain.audit_chain import Checkpoint
from ironclaw.domain.model import (
    Agent,
    Chat,
    Engage,
    Ignored,
    Partition,
    Role,
    SenderScope,
    UnknownSender,
    Wiring,
)
from ironclaw.services.house import ChatEvent, SessionView

Short = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_NAME = r"\A[a-z0-9][a-z0-9\-]{0,62}\Z"
_PRINCIPAL = r"\A[a-z0-9_\-]{1,63}:[^\x00-\x1f]{1,255}\Z"
_SHA256 = r"\Asha256:[0-9a-f]{64}\Z"
RULES: Final = {
    _SHA256: "`sha256:` and 64 hexadecimal digits",
    _NAME: "a name of a-z, 0-9 and '-', not '-' first, at most 63 long",
    _PRINCIPAL: "`<channel>:<handle>`, for example api:ann",
}
"""Patterns of bodies, in words: what an error says of text that does not match."""
AgentName = Annotated[str, msgspec.Meta(pattern=_NAME)]
ExternalId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _In(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of request bodies."""


class SendMessage(_In, frozen=True):
    """Say something to an agent."""

    text: Annotated[str, msgspec.Meta(min_length=1)]
    thread: Short | None = None
    external_id: ExternalId | None = None
    """The client's own id of the message: sent twice, it is taken once. Same as the header
    `Idempotency-Key`."""


class CreateAgent(_In, frozen=True):
    """Make an agent."""

    name: AgentName
    persona: Annotated[str, msgspec.Meta(max_length=65_536)] = ""
    model: Short = "scripted"
    tools: Annotated[tuple[Short, ...], msgspec.Meta(max_length=128)] = ()
    pool_size: Annotated[int, msgspec.Meta(ge=0, le=64)] | None = None
    """Blank slots kept ready; null takes sandbox.pool_size of the configuration."""


class CreateWiring(_In, frozen=True):
    """Join a chat to an agent."""

    channel: Short
    platform_id: Short
    agent: Short
    engage: Engage = Engage.PATTERN
    pattern: Annotated[str, msgspec.Meta(max_length=1000)] = "."
    sender_scope: SenderScope = SenderScope.KNOWN
    ignored: Ignored = Ignored.DROP
    partition: Partition = Partition.SHARED
    priority: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0
    unknown_sender: UnknownSender = UnknownSender.DROP


class Standing(_In, frozen=True):
    """A role to give or take."""

    principal: Annotated[str, msgspec.Meta(pattern=_PRINCIPAL)]
    role: Role
    agent: Short | None = None
    """Name or id; null gives the role for all agents."""


class MintToken(_In, frozen=True):
    """Make a token."""

    name: Short
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=4)]
    ttl_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Seconds until it expires; null means never."""


class RotateAudit(_In, frozen=True):
    """Remove records that were exported."""

    through: Annotated[int, msgspec.Meta(ge=1)]
    """The last of them; a checkpoint is over it."""
    digest: Annotated[str, msgspec.Meta(pattern=_SHA256)]
    """`sha256:…` of the file they were exported to."""


class _Out(msgspec.Struct, frozen=True, kw_only=True):
    """Base of reply bodies."""


class Sent(_Out, frozen=True):
    """What became of a message."""

    chat: str
    session: str | None
    message: str | None
    status: Literal["pending", "answered", "failed", "ignored"]
    reason: str
    """Why it engaged the agent or did not."""
    duplicate: bool
    reply: str | None = None
    """The agent's words, with `?wait=`; the host's when `status` is `failed`."""
    code: str | None = None
    """Why, when `status` is `failed`: one of the error codes."""


class AgentList(_Out, frozen=True):
    """All agents."""

    agents: list[Agent]


class JoinedWiring(_Out, frozen=True):
    """A wiring with what it joins."""

    wiring: Wiring
    chat: Chat
    agent: str
    """The agent's name."""


class WiringList(_Out, frozen=True):
    """All wirings."""

    wirings: list[JoinedWiring]


class StandingOut(_Out, frozen=True):
    """One role of one principal."""

    principal: str
    role: Role
    agent: str | None


class StandingList(_Out, frozen=True):
    """Who holds which role."""

    standings: list[StandingOut]


class HouseLimits(_Out, frozen=True):
    """The house's own limits, for what an agent's `limits` leave null."""

    disk_bytes: int
    disk_files: int


class AgentOut(Agent, frozen=True, kw_only=True):
    """An agent, and what holds for it where it has no limit of its own."""

    house_limits: HouseLimits


class SessionList(_Out, frozen=True):
    """Sessions, newest activity first."""

    sessions: list[SessionView]


class Transcript(_Out, frozen=True):
    """Part of a session's conversation, oldest first."""

    events: list[ChatEvent]


class AuditList(_Out, frozen=True):
    """Part of the audit, oldest first."""

    records: list[AuditRecord]


class AuditStory(_Out, frozen=True):
    """What the audit has of one id, oldest first."""

    kind: str
    """What the id names: `message`, `session`, `delivery`, `agent`, `receipt` or `other`."""
    records: list[AuditRecord]
    words: list[str]
    """Each record as a sentence."""


class SignedAudit(_Out, frozen=True):
    """The newest checkpoint, if one was made now."""

    checkpoint: Checkpoint | None
    """Null when the newest record was signed already."""


class TokenOut(_Out, frozen=True):
    """A token without its secret."""

    id: str
    name: str
    principal: str
    scopes: list[Scope]
    active: bool
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    last_used_ms: int | None
    """Since the daemon started."""


class TokenList(_Out, frozen=True):
    """All tokens."""

    tokens: list[TokenOut]


class MintedToken(_Out, frozen=True):
    """A new token."""

    token: TokenOut
    secret: str
    """Shown now and never again."""


class Alive(_Out, frozen=True):
    """The process answers."""

    status: Literal["ok"]
    version: str


class Ready(_Out, frozen=True):
    """Whether messages are taken now."""

    ready: bool
