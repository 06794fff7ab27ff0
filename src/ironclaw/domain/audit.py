"""What the audit knows: a closed table of events, each with the typed fields that belong to it.

No field can hold what people or agents said, and none a secret: each has a pattern, and free text
fits none of them. `docs/reference/audit.md` is made from this module.
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
    AGENT_CREATED = "agent.created"
    AGENT_ARCHIVED = "agent.archived"
    WIRING_MADE = "wiring.made"
    WIRING_REMOVED = "wiring.removed"
    CHAT_POLICY = "chat.policy"
    ROUTER_REFUSED = "router.refused"
    LAUNCH_PROVEN = "launch.proven"
    LAUNCH_REFUSED = "launch.refused"
    SESSION_STOPPED = "session.stopped"
    SESSION_QUARANTINED = "session.quarantined"
    DELIVERY_DEAD = "delivery.dead"


class Via(enum.StrEnum):
    """Through what somebody acted."""

    API = "api"
    """A request to the HTTP API."""
    CLI = "cli"
    """The `ironclaw` command, over the unix socket; it says so itself."""
    CORE = "core"
    """Nobody asked: the core did it by its own rules."""


class By(NamedTuple):
    """Who did it, and through what."""

    actor: str
    """A principal; empty for the core itself."""
    via: Via


CORE: Final = By("", Via.CORE)


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened, as it is told to the audit. Which fields it has is in `KINDS`."""

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
    principal: Who | None = None
    """Whom it concerns; who did it is `actor`."""
    role: Word | None = None
    """`owner`, `admin` or `member`."""
    name: Id | None = None
    """Name of the agent or the token."""
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
    """SHA-256 of a file."""
    code: Annotated[str, msgspec.Meta(pattern=_MAYBE_WORD)] = ""
    """Error code, for what was refused."""
    words: tuple[Word, ...] = ()
    """Checks that failed, the rule that was broken, or scopes."""


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
    """What the id names: `message`, `session`, `delivery`, `agent`, `receipt`, `other`."""
    records: list[AuditRecord]
    """Oldest first."""


class Kind(NamedTuple):
    """One row of the table of events."""

    meaning: str
    """When it is recorded."""
    says: str
    """The record in words, with the names of its fields in braces."""
    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


KINDS: Final[dict[AuditEvent, Kind]] = {
    AuditEvent.DAEMON_STARTED: Kind(
        "The core has opened its store and begins to work.",
        "started IronClaw {version}",
        must=("version",),
    ),
    AuditEvent.DAEMON_STOPPED: Kind(
        "The core was told to stop, has ended its boxes, and signs the last checkpoint.",
        "stopped IronClaw",
    ),
    AuditEvent.STORE_RECOVERED: Kind(
        "A start finds that the core before ended without `daemon.stopped` (a crash, a power cut).",
        "found that the daemon before had not been stopped, and went on from its store",
    ),
    AuditEvent.AUDIT_ROTATED: Kind(
        "Records up to a signed checkpoint were exported to a file, and removed here.",
        "exported the records up to {through} to the file {digest} and removed them",
        must=("through", "digest"),
    ),
    AuditEvent.AUDIT_ROLLED_BACK: Kind(
        "A start finds a store that is older than the newest checkpoint, or not of its chain.",
        "found a store that does not lead to the newest checkpoint, which is over record {through}",
        must=("through",),
    ),
    AuditEvent.TOKEN_MINTED: Kind(
        "A token is made. Recorded before it exists.",
        "minted the token {name} ({token}) of {principal} with scope {words}",
        must=("token", "name", "principal", "words"),
    ),
    AuditEvent.TOKEN_REVOKED: Kind(
        "A token is ended. Recorded before it ends.",
        "revoked the token {name} ({token}) of {principal}",
        must=("token", "name", "principal"),
    ),
    AuditEvent.TOKEN_USED: Kind(
        "A token is used for the first time since the daemon started.",
        "came in with the token {token} from {source}",
        must=("token", "source"),
    ),
    AuditEvent.AUTH_FAILED: Kind(
        "A request came without a valid token. At most one record a minute; `count` has the rest.",
        "refused {count} requests without a valid token, the last from {source}",
        must=("source", "count"),
    ),
    AuditEvent.ROLE_GIVEN: Kind(
        "A principal got a role, for all agents or for one.",
        "gave {principal} the role {role}",
        must=("principal", "role"),
        may=("agent",),
    ),
    AuditEvent.ROLE_TAKEN: Kind(
        "A role was taken from a principal.",
        "took the role {role} from {principal}",
        must=("principal", "role"),
        may=("agent",),
    ),
    AuditEvent.AGENT_CREATED: Kind(
        "An agent was made.", "created the agent {name} ({agent})", must=("agent", "name")
    ),
    AuditEvent.AGENT_ARCHIVED: Kind(
        "An agent was ended.", "archived the agent {name} ({agent})", must=("agent", "name")
    ),
    AuditEvent.WIRING_MADE: Kind(
        "A chat was wired to an agent.",
        "wired the chat {chat} to the agent {agent} (wiring {wiring})",
        must=("wiring", "chat", "agent"),
    ),
    AuditEvent.WIRING_REMOVED: Kind(
        "A wiring was removed.",
        "removed the wiring {wiring} of the chat {chat} to the agent {agent}",
        must=("wiring", "chat", "agent"),
    ),
    AuditEvent.CHAT_POLICY: Kind(
        "What happens to unknown senders of a chat was changed.",
        "set what happens to unknown senders of the chat {chat} to {reason}",
        must=("chat", "reason"),
    ),
    AuditEvent.ROUTER_REFUSED: Kind(
        "Somebody was not let in. At most one record a minute for each reason; `count` has the "
        "rest.",
        "did not let in {count} messages ({reason}), the last of {principal}",
        must=("channel", "principal", "reason", "count"),
    ),
    AuditEvent.LAUNCH_PROVEN: Kind(
        "A session was bound to a proven slot; its receipt is signed and stored, in the same "
        "transaction.",
        "bound the session {session} to the proven box {slot}, epoch {epoch}, receipt {receipt}",
        must=("agent", "session", "slot", "epoch"),
        may=("receipt",),
    ),
    AuditEvent.LAUNCH_REFUSED: Kind(
        "A launch could not be proven, so no session got it. Words: the checks that failed.",
        "refused the launch of {slot} for the agent {agent}: {code} {words}",
        must=("agent", "slot", "code"),
        may=("words",),
    ),
    AuditEvent.SESSION_STOPPED: Kind(
        "Somebody had a session's box killed. Recorded before it is.",
        "stopped the box of the session {session}",
        must=("session", "agent"),
    ),
    AuditEvent.SESSION_QUARANTINED: Kind(
        "A box broke the rules and its session was stopped for good. Words: which rule.",
        "quarantined the session {session}: {code} {words}",
        must=("agent", "session", "epoch", "code", "words"),
    ),
    AuditEvent.DELIVERY_DEAD: Kind(
        "A reply could not be delivered and will not be tried again.",
        "gave up the delivery {delivery} of a reply to {message} after {count} tries",
        must=("delivery", "message", "session", "chat", "count"),
    ),
}
"""Every event: when it is recorded, how it reads, and which fields it has."""

FIELDS: Final = tuple(field for field in AuditEntry.__struct_fields__ if field != "event")
"""All fields that an event can have."""


def check(entry: AuditEntry) -> None:
    """Check that an entry has the fields of its event and no other.

    Raises:
        ValueError: It does not: a mistake of ours. The patterns of fields are checked with the
            record as a whole.
    """
    kind = KINDS[entry.event]
    for name in FIELDS:
        is_set = getattr(entry, name) not in {None, "", ()}
        if is_set and name not in kind.must and name not in kind.may:
            raise ValueError(f"{entry.event} has no field {name}")
        if not is_set and name in kind.must:
            raise ValueError(f"{entry.event} lacks the field {name}")


def in_words(record: AuditRecord) -> str:
    """One sentence: who did what, through what."""
    values = {name: _shown(getattr(record, name)) for name in FIELDS}
    who = record.actor or "The core"
    through = "" if record.via is Via.CORE else f" ({record.via})"
    return f"{who}{through} {KINDS[record.event].says.format_map(values)}".rstrip() + "."


def mentions(record: AuditRecord, ids: frozenset[str]) -> bool:
    """Whether any field of a record is one of `ids`."""
    return record.actor in ids or any(
        getattr(record, name) in ids for name in FIELDS if name not in {"words", "count", "epoch"}
    )


def _shown(value: object) -> str:
    match value:
        case None:
            return "-"
        case tuple():
            return ", ".join(map(str, value))
    return str(value)
