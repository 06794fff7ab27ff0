"""What the audit knows: events, and the typed fields that records of them can have.

No field can hold what people or agents said, and none a secret: each has a pattern, and free text
fits none of them. Which event has which fields, and how it reads, is in `audit_kinds`;
`docs/reference/audit.md` is made from both.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final, NamedTuple

import msgspec

_ID = r"\A[!-~]{1,256}\Z"
_WORD = r"\A[a-z0-9][a-z0-9_.:-]{0,127}\Z"
_WHO = r"\A[^\x00-\x1f]{1,1024}\Z"
_MAYBE_WORD = r"\A(?:[a-z0-9][a-z0-9_.:-]{0,127})?\Z"
_MAYBE_WHO = r"\A[^\x00-\x1f]{0,1024}\Z"
_DIGEST = r"\Asha256:[0-9a-f]{64}\Z"

Id = Annotated[str, msgspec.Meta(pattern=_ID)]
"""One of our own ids: printable ASCII without spaces."""
Word = Annotated[str, msgspec.Meta(pattern=_WORD)]
"""A word of a closed set."""
Who = Annotated[str, msgspec.Meta(pattern=_WHO)]
"""A principal, `<channel>:<handle>`."""
Digest = Annotated[str, msgspec.Meta(pattern=_DIGEST)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class AuditEvent(enum.StrEnum):
    """What can have happened."""

    DAEMON_STARTED = "daemon.started"
    DAEMON_STOPPED = "daemon.stopped"
    STORE_RECOVERED = "store.recovered"
    AUDIT_ROTATED = "audit.rotated"
    AUDIT_ROLLED_BACK = "audit.rolled_back"
    TOKEN_MINTED = "token.minted"  # noqa: S105 - no secret
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 - no secret
    TOKEN_USED = "token.used"  # noqa: S105 - no secret
    AUTH_FAILED = "auth.failed"
    ROLE_GIVEN = "role.given"
    ROLE_TAKEN = "role.taken"
    PERSON_LINKED = "person.linked"
    PERSON_UNLINKED = "person.unlinked"
    AGENT_CREATED = "agent.created"
    AGENT_CHANGED = "agent.changed"
    AGENT_ARCHIVED = "agent.archived"
    AGENT_RESTORED = "agent.restored"
    WIRING_MADE = "wiring.made"
    WIRING_REMOVED = "wiring.removed"
    CHAT_POLICY = "chat.policy"
    TASK_MADE = "task.made"
    TASK_REMOVED = "task.removed"
    TASK_CHANGED = "task.changed"
    TASK_PAUSED = "task.paused"
    TASK_RUN = "task.run"
    POLICY_CHANGED = "policy.changed"
    CHANGE_REQUESTED = "change.requested"
    CHANGE_REFUSED = "change.refused"
    CHANGE_DECIDED = "change.decided"
    CHANGE_APPLIED = "change.applied"
    CHANGE_DONE = "change.done"
    CHANGE_FAILED = "change.failed"
    CHANGE_EXPIRED = "change.expired"
    CHANGE_ESCALATED = "change.escalated"
    CHANGE_WITHDRAWN = "change.withdrawn"
    CHANGE_OVERTAKEN = "change.overtaken"
    GRANT_GIVEN = "grant.given"
    GRANT_REVOKED = "grant.revoked"
    GRANT_EXPIRED = "grant.expired"
    ROUTER_REFUSED = "router.refused"
    LAUNCH_PROVEN = "launch.proven"
    LAUNCH_REFUSED = "launch.refused"
    SESSION_STOPPED = "session.stopped"
    SESSION_QUARANTINED = "session.quarantined"
    SESSION_FORGOTTEN = "session.forgotten"
    MEMORY_EDITED = "memory.edited"
    MEMORY_PURGED = "memory.purged"
    DELIVERY_DEAD = "delivery.dead"
    DELIVERY_MARKED = "delivery.marked"
    QUESTION_ASKED = "question.asked"
    QUESTION_ANSWERED = "question.answered"
    QUESTION_EXPIRED = "question.expired"
    QUESTION_CANCELLED = "question.cancelled"


class Via(enum.StrEnum):
    """Through what somebody acted."""

    API = "api"
    """A request to the HTTP API."""
    CLI = "cli"
    """The `ironclaw` command, over the unix socket; it says so itself."""
    CHAT = "chat"
    """A command in a chat of another channel."""
    AGENT = "agent"
    """A tool that the host offers to an agent."""
    CORE = "core"
    """Nobody asked: the core did it by its own rules."""


OWN_REQUEST: Final = "own-request"
"""Word of a decision on what its decider had asked for, under solo mode."""
BY_POLICY: Final = "by-policy"
"""Word of a decision that a rule of the policy made, without a person."""


class By(NamedTuple):
    """Who did it, and through what."""

    actor: str
    """A principal; empty for the core itself."""
    via: Via


CORE: Final = By("", Via.CORE)


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened, as it is told to the audit. Which it has is in `audit_kinds`."""

    event: AuditEvent
    agent: Id | None = None
    """Id of an agent."""
    session: Id | None = None
    """Id of a session."""
    slot: Id | None = None
    """Id of a slot, which is the box's name too."""
    epoch: Count | None = None
    """Which life of the session's box."""
    receipt: Digest | None = None
    """SHA-256 of the receipt's file: the receipt's id."""
    message: Id | None = None
    """Id of an inbound message."""
    delivery: Id | None = None
    """Id of a delivery."""
    chat: Id | None = None
    """Id of a chat."""
    wiring: Id | None = None
    """Id of a wiring."""
    token: Id | None = None
    """Id of a token; never its secret."""
    change: Id | None = None
    """Id of a change: the one that is told of, or that it follows from."""
    grant: Id | None = None
    """Id of a grant."""
    task: Id | None = None
    """Id of a task."""
    question: Id | None = None
    """Id of a question that an agent asked."""
    kind: Word | None = None
    """Kind of the change: the tag of its spec."""
    principal: Who | None = None
    """Whom it concerns; who did it is `actor`."""
    person: Who | None = None
    """The principal that stands for a person."""
    role: Word | None = None
    """One of the roles: `owner`, `admin`, `approver`, `operator`, `viewer`, `member`."""
    name: Id | None = None
    """Name of the agent, the token or the task."""
    channel: Who | None = None
    """Name of a channel."""
    source: Id | None = None
    """Where a connection came from: an address, or `unix`."""
    reason: Word | None = None
    """Why, in one of a closed set of words."""
    version: Id | None = None
    """Of IronClaw."""
    count: Count | None = None
    """How often; tries, or what a rate limit folded into one record."""
    through: Count | None = None
    """Number of a record: this one and all before it."""
    digest: Digest | None = None
    """SHA-256 of a file, or of a change in its canonical form."""
    code: Annotated[str, msgspec.Meta(pattern=_MAYBE_WORD)] = ""
    """Error code, for what was refused."""
    words: tuple[Word, ...] = ()
    """Checks that failed, the rule that was broken, scopes, how a decision came to be, or what
    foreign content there was."""


class AuditRecord(AuditEntry, frozen=True, kw_only=True, omit_defaults=True):
    """An entry in its place in the chain."""

    number: int
    """Grows by one, without gaps."""
    at_ms: int
    """Milliseconds since the epoch."""
    actor: Annotated[str, msgspec.Meta(pattern=_MAYBE_WHO)] = ""
    """Who did it: a principal; empty for the core itself."""
    via: Via = Via.CORE
    """Through what."""
    previous: str = ""
    """Hash of the record before, hexadecimal."""
    hash: str = ""
    """SHA-256 of all of the above in canonical form, hexadecimal."""


class Story(NamedTuple):
    """What the audit has of one id."""

    kind: str
    """What the id names: `message`, `session`, `delivery`, `agent`, `change`, `grant`,
    `receipt`, `other`."""
    records: list[AuditRecord]
    """Oldest first."""


FIELDS: Final = tuple(field for field in AuditEntry.__struct_fields__ if field != "event")
"""All fields that an event can have."""


def mentions(record: AuditRecord, ids: frozenset[str]) -> bool:
    """Whether any field of a record is one of `ids`."""
    return record.actor in ids or any(
        getattr(record, name) in ids for name in FIELDS if name not in {"words", "count", "epoch"}
    )
