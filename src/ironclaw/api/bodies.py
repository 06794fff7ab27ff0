"""What goes in and out of the endpoints, as closed structs. OpenAPI is made from these."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ironclaw.domain.audit import AuditRecord
from ironclaw.domain.audit_chain import Checkpoint
from ironclaw.domain.change import MAX_REASON_CHARS
from ironclaw.domain.changes.base import NAME_RULE
from ironclaw.domain.changes.table import AnySpec
from ironclaw.domain.memories import TopicView
from ironclaw.domain.model import Agent, Chat, Role, Wiring
from ironclaw.domain.questions import MAX_ANSWER_CHARS
from ironclaw.domain.rights import Right
from ironclaw.domain.tokens import Scope
from ironclaw.services.gateway.port import ChangeView, GrantView
from ironclaw.services.house import (
    FileView,
    ProviderView,
    SessionView,
    TaskView,
    TranscriptEvent,
)
from ironclaw_contract.limits import MAX_FILES
from ironclaw_contract.memory_dir import MAX_TOPIC_BYTES

Short = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_PRINCIPAL = r"\A[a-z0-9_\-]{1,63}:[^\x00-\x1f]{1,255}\Z"
_SHA256 = r"\Asha256:[0-9a-f]{64}\Z"
_SESSION = r"\Ases_[a-z0-9]{1,60}\Z"
RULES: Final = {
    _SHA256: "`sha256:` and 64 hexadecimal digits",
    _SESSION: "the id of a session, `ses_…`",
    NAME_RULE: "a name of a-z, 0-9 and '-', with no '-' at either end, at most 63 long",
    _PRINCIPAL: "`<channel>:<handle>`, for example api:ann",
}
"""Patterns of bodies, in words: what an error says of text that does not match."""
ExternalId = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _In(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of request bodies."""


class SentFile(_In, frozen=True):
    """A file that goes with a message."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    """As people know it; of a path only the last part counts."""
    data: bytes
    """Its content, as base64."""
    media_type: Short | None = None
    """Not taken on trust: what it is is found by looking at it."""


class SendMessage(_In, frozen=True):
    """Say something to an agent."""

    text: str = ""
    """What to say; may be empty where there are files."""
    files: Annotated[tuple[SentFile, ...], msgspec.Meta(max_length=MAX_FILES)] = ()
    """At most 16 MiB each and 32 MiB together."""
    thread: Short | None = None
    external_id: ExternalId | None = None
    """The client's own id of the message: sent twice, it is taken once. Same as the header
    `Idempotency-Key`."""


class AnswerQuestion(_In, frozen=True):
    """Answer what an agent asks."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ANSWER_CHARS)]
    """The words of an option, its number, or words of one's own where the question takes them."""


class SubmitChange(_In, frozen=True):
    """Ask for a change."""

    change: AnySpec
    """What shall be. `agent` is an id or a name."""
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARS)] = ""
    """Why, in the asker's own words."""
    grant_s: Annotated[int, msgspec.Meta(ge=60, le=366 * 86_400)] | None = None
    """Seconds for which what it gives lasts; null: until it is revoked."""
    despite: Short | None = None
    """A denied change that this asks to set aside."""


class DecideChange(_In, frozen=True):
    """Approve or deny what a card showed."""

    approve: bool
    hash: Annotated[str, msgspec.Meta(pattern=_SHA256)]
    """`hash` of the card."""
    state: Annotated[str, msgspec.Meta(pattern=_SHA256)]
    """`state` of the card."""
    card: Annotated[int, msgspec.Meta(ge=0, le=2**31)]
    """`version` of the card."""
    words: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARS)] = ""
    """Why, for the asker."""


class RevokeGrant(_In, frozen=True):
    """Take back what a change gave."""

    words: Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARS)] = ""
    """Why."""


class EditTopic(_In, frozen=True):
    """Replace a topic of a memory."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOPIC_BYTES)]
    """The whole of it, as Markdown; at most 128 KiB as UTF-8."""
    was: Annotated[str, msgspec.Meta(pattern=_SHA256)] | None = None
    """`digest` of what is to be replaced; null for whatever is there."""


class PurgeMemory(_In, frozen=True):
    """Take the notes of a session out of a memory."""

    session: Annotated[str, msgspec.Meta(pattern=_SESSION)]
    """Its id; the session itself may be forgotten already."""


class MintToken(_In, frozen=True):
    """Make a token."""

    name: Short
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=len(Scope))]
    ttl_s: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Seconds until it expires; null means never."""
    principal: Annotated[str, msgspec.Meta(pattern=_PRINCIPAL)] | None = None
    """One's own, for a second token of one's own; null makes a fresh one, `api:<name>`."""


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
    status: Literal["pending", "answered", "asked", "failed", "ignored", "handled"]
    """`handled`: it was a command (`/stop`, …), carried out and answered by the host. `asked`: the
    agent asks something back, and its turn waits for the answer."""
    reason: str
    """Why it engaged the agent or did not."""
    duplicate: bool
    event: int
    """Number of the message's own event in its chat: follow `…/events?after=` it."""
    reply: str | None = None
    """The agent's words, with `?wait=`; the host's when `status` is `failed` or `handled`."""
    code: str | None = None
    """Why, when `status` is `failed`: one of the error codes."""
    question: str | None = None
    """When `status` is `asked`: id of the question. `reply` has its words."""
    options: tuple[str, ...] = ()
    """What it offers to choose from; the next message answers with one of them, or its number."""


class QuestionOut(_Out, frozen=True):
    """A question that waits for an answer."""

    id: str
    agent: str
    """Id of the agent that asks."""
    agent_name: str
    session: str
    message: str
    """The message whose turn waits: the reply to it comes after the answer."""
    chat: str
    thread: str | None
    text: str
    options: list[str]
    free_text: bool
    """Whether words of one's own are an answer too."""
    asked_ms: int
    expires_ms: int
    """When the agent is told that nobody answered in time."""


class QuestionList(_Out, frozen=True):
    """The questions that the caller may answer, oldest first."""

    questions: list[QuestionOut]


class QuestionAnswered(_Out, frozen=True):
    """An answer that counts."""

    question: str
    session: str
    message: str
    """The message whose turn goes on: the reply to it is what comes of the answer."""
    chat: str
    event: int
    """Number of the answer's own event in its chat: follow `…/events?after=` it."""


class AgentList(_Out, frozen=True):
    """The agents that the caller may look at."""

    agents: list[Agent]


class JoinedWiring(_Out, frozen=True):
    """A wiring with what it joins."""

    wiring: Wiring
    chat: Chat
    agent: str
    """The agent's name."""


class WiringList(_Out, frozen=True):
    """The wirings of such agents."""

    wirings: list[JoinedWiring]


class StandingOut(_Out, frozen=True):
    """One role of one principal."""

    principal: str
    role: Role
    agent: str | None
    """None: for all."""
    agent_name: str | None


class StandingList(_Out, frozen=True):
    """Who holds which role."""

    standings: list[StandingOut]


class PrincipalOut(_Out, frozen=True):
    """A principal, who that is, and what it holds."""

    principal: str
    person: str
    """The principal that stands for the person; itself unless it was linked."""
    roles: list[StandingOut]
    tokens: list[TokenOut]


class PrincipalList(_Out, frozen=True):
    """Everybody who holds a role or a token."""

    principals: list[PrincipalOut]


class Me(_Out, frozen=True):
    """Who the caller is, and what they may do with this token."""

    principal: str
    person: str
    token: str
    """Its name."""
    scopes: list[Scope]
    rights: list[Right]
    """Over the whole house."""
    agents: dict[str, list[Right]]
    """By the agents' names; one that is missing does not exist for them."""


class TaskList(_Out, frozen=True):
    """What agents do at times of their own."""

    tasks: list[TaskView]


class TaskStarted(_Out, frozen=True):
    """A task that was told beside its times."""

    message: str
    """What its agent was told by."""
    session: str


class ProviderList(_Out, frozen=True):
    """The model providers of the house."""

    providers: list[ProviderView]


class ChangeList(_Out, frozen=True):
    """Changes, newest first."""

    changes: list[ChangeView]


class GrantList(_Out, frozen=True):
    """Grants, newest first."""

    grants: list[GrantView]


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


class MemoryTopics(_Out, frozen=True):
    """Topics of a memory, by name."""

    topics: list[TopicView]
    whole: bool
    """False when there is more than is told."""


class MemoryText(_Out, frozen=True):
    """One topic."""

    text: str
    """As Markdown; bytes that are no UTF-8 are replaced."""
    digest: str
    """`sha256:…` of it as it is there."""
    whole: bool
    """False when it is longer than a topic may be: this is its beginning."""
    notes: int
    tainted: int
    """Notes that were written after reading what did not come from the agent's people: those that
    say so, and those of conversations that the host knows to have such in them."""


class MemoryPurged(_Out, frozen=True):
    """What a purge did."""

    notes: int
    """Taken away."""
    whole: bool
    """False when something could not be looked through: look at it, or forget it."""


class Transcript(_Out, frozen=True):
    """Part of a session's conversation, oldest first."""

    events: list[TranscriptEvent]


class FileList(_Out, frozen=True):
    """Files of conversations, newest first."""

    files: list[FileView]


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
    """All tokens; without the right to administer, those of the caller."""

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
