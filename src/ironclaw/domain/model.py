"""The nouns: agents, chats, wirings, sessions, messages, deliveries. Values without behaviour."""

from __future__ import annotations

import enum

import msgspec

from ironclaw.core.ids import (
    AgentId,
    ChatId,
    DeliveryId,
    MessageId,
    PrincipalId,
    QuestionId,
    SessionId,
    TaskId,
    WiringId,
)
from ironclaw_contract.entries import Files


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the frozen values."""


class BoxLimits(_Value, frozen=True):
    """What one sandbox may use. The spec builder refuses zero and "unlimited"."""

    memory_bytes: int = 256 * 1024 * 1024
    cpu_millis: int = 1000
    """Thousandths of one core."""
    pids: int = 64
    files: int = 256
    file_bytes: int = 64 * 1024 * 1024
    """Largest single file (RLIMIT_FSIZE)."""
    disk_bytes: int | None = None
    """Bytes of a session's workspace, and again of the agent's memory. None: as the house says."""
    disk_files: int | None = None
    """Directory entries of the same. None: as the house says."""


class Destination(_Value, frozen=True):
    """A place beside its own chat that an agent may send to, by a name it is told of."""

    name: str
    """Unique within the agent, `[a-z0-9-]`, at most 63 characters."""
    channel: str
    platform_id: str


class SharedMount(_Value, frozen=True):
    """A directory of the host that an agent sees, read-only, as `/shared/<name>`."""

    name: str
    """Unique within the agent, `[a-z0-9-]`, at most 63 characters."""
    path: str
    """Absolute, without links; the very directory that was shown to whoever approved it."""
    device: int
    inode: int
    """Which directory that was: another one under the same path is not mounted."""


class Thinking(enum.StrEnum):
    """How long a model thinks before it answers, where it can."""

    OFF = "off"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Skill(_Value, frozen=True):
    """Instructions and data that people gave an agent, as `/shared/skills/<name>`."""

    name: str
    """Unique within the agent, `[a-z0-9-]`, at most 64 characters."""
    digest: str
    """`sha256:…` over all its files and their names: what was signed and approved."""
    description: str
    """When to use it, as its `SKILL.md` says."""


class Agent(_Value, frozen=True):
    """A configured assistant."""

    id: AgentId
    name: str
    """Unique, `[a-z0-9-]`, at most 63 characters."""
    persona: str = ""
    model: str = "scripted"
    fallbacks: tuple[str, ...] = ()
    """Models asked one after another when the one before cannot answer."""
    temperature_hundredths: int | None = None
    """How freely its model words things, in hundredths. None: as the provider has it."""
    max_output_tokens: int | None = None
    """Tokens of one answer, at most. None: as the box asks."""
    tools: tuple[str, ...] = ()
    max_steps: int = 16
    limits: BoxLimits = BoxLimits()
    turn_s: int | None = None
    """Seconds a turn may take without getting anything done. None: as the house says."""
    calls_per_day: int | None = None
    """Model calls in one UTC day, at most. None: as many as it likes."""
    tokens_per_day: int | None = None
    """Tokens read and written by its model in one UTC day; no call begins above it."""
    money_per_day: int | None = None
    """Millionths of the house's currency that its model may cost in one UTC day."""
    calls_per_session: int | None = None
    tokens_per_session: int | None = None
    money_per_session: int | None = None
    """The same three for one session, from its beginning on."""
    turn_total_s: int | None = None
    """Seconds of one turn with everything in it, what people take to answer left out. None: no
    limit but that of a turn without progress."""
    thinking: Thinking | None = None
    """None: as the provider has it."""
    skills: tuple[Skill, ...] = ()
    destinations: tuple[Destination, ...] = ()
    mounts: tuple[SharedMount, ...] = ()
    pool_size: int = 1
    """Blank slots kept ready while the agent is active."""
    created_ms: int = 0
    lane: int = 0
    """Given by the store, never reused: the agent's own range of host ids, where the host has
    ranges to give."""
    archived: bool = False


class UnknownSender(enum.StrEnum):
    """What happens to a sender nobody has let in."""

    DROP = "drop"
    ASK = "ask"
    PUBLIC = "public"


class Chat(_Value, frozen=True):
    """One conversation place on one channel."""

    id: ChatId
    channel: str
    platform_id: str
    title: str = ""
    unknown_sender: UnknownSender = UnknownSender.DROP


class Engage(enum.StrEnum):
    """When a message starts a turn."""

    PATTERN = "pattern"
    MENTION = "mention"
    MENTION_STICKY = "mention_sticky"


class SenderScope(enum.StrEnum):
    """Whose messages count."""

    ALL = "all"
    KNOWN = "known"


class Ignored(enum.StrEnum):
    """What happens to a message that does not engage."""

    DROP = "drop"
    ACCUMULATE = "accumulate"


class Partition(enum.StrEnum):
    """Which messages share a session."""

    SHARED = "shared"
    PER_THREAD = "per_thread"
    AGENT_SHARED = "agent_shared"


class Wiring(_Value, frozen=True):
    """Chat to agent."""

    id: WiringId
    chat: ChatId
    agent: AgentId
    engage: Engage = Engage.PATTERN
    pattern: str = "."
    """For `pattern`: a regular expression; `.` engages on everything."""
    sender_scope: SenderScope = SenderScope.KNOWN
    ignored: Ignored = Ignored.DROP
    partition: Partition = Partition.SHARED
    priority: int = 0


class Role(enum.StrEnum):
    """What a principal is; a role may be global or for one agent."""

    OWNER = "owner"
    """Everything; always global."""
    ADMIN = "admin"
    """Talk, look, operate, ask for changes and decide on them; globally also tokens."""
    APPROVER = "approver"
    """Look, and decide on changes."""
    OPERATOR = "operator"
    """Talk, look, stop sessions, ask for changes."""
    VIEWER = "viewer"
    """Look."""
    MEMBER = "member"
    """Talk."""


class Standing(_Value, frozen=True):
    """One role that a principal holds; `agent` None is global."""

    principal: PrincipalId
    role: Role
    agent: AgentId | None = None


class Misfire(enum.StrEnum):
    """What becomes of a time of a task that nobody was there to tell."""

    ONCE = "once"
    """It is told late, once for all that was missed."""
    SKIP = "skip"
    """It is left out: such a task makes sense at its time or not at all."""


class Task(_Value, frozen=True):
    """Something an agent is told to do at a time, whose answer goes to one of its chats."""

    id: TaskId
    agent: AgentId
    name: str
    """Unique within the agent, `[a-z0-9-]`, at most 63 characters."""
    channel: str
    platform_id: str
    """The chat that the agent is told in and answers to; it is wired to the agent."""
    prompt: str
    cron: str | None = None
    """Five fields. Of `cron`, `every_s` and `at_ms` a task has exactly one."""
    zone: str = "UTC"
    """IANA time zone of `cron`."""
    every_s: int | None = None
    """Seconds from one time to the next, counted from when it was approved or changed."""
    at_ms: int | None = None
    """When, for one that happens once."""
    misfire: Misfire = Misfire.ONCE
    late_s: int = 86_400
    """How late a missed time may still be told, with `Misfire.ONCE`."""
    quiet: bool = False
    """An answer that only says that there is nothing to report is not delivered."""
    paused: bool = False
    """It is not told, and what it misses is not made up for."""


class SessionState(enum.StrEnum):
    """Whether a session may run at all; whether a box runs now is the sessions service's matter."""

    ACTIVE = "active"
    QUARANTINED = "quarantined"
    FORGOTTEN = "forgotten"
    """Its key is destroyed: nothing of what was said can be read again."""


class Session(_Value, frozen=True):
    """One conversation of one agent."""

    id: SessionId
    agent: AgentId
    chat: ChatId | None
    """None when the partition is `agent_shared`."""
    thread: str | None
    partition: Partition
    state: SessionState = SessionState.ACTIVE
    reason: str = ""
    epoch: int = 0
    """Lives of its box so far; 0 before the first."""
    out_seq: int = 0
    """Last outbound record committed in this epoch."""
    out_hash: bytes = b""
    created_ms: int = 0
    active_ms: int = 0
    workspace: str = ""
    """Directory name under the workspaces directory; empty before the first claim."""


class Upload(_Value, frozen=True):
    """A file that came with what a channel heard. All of it is foreign."""

    name: str
    data: bytes

    def __repr__(self) -> str:
        """Its size, never what is in it."""
        return f"Upload({len(self.data)} bytes)"


class Event(_Value, frozen=True):
    """What a channel heard, before anything is decided. All of it is foreign."""

    channel: str
    platform_id: str
    handle: str
    """The sender's id on the platform."""
    sender: str
    """The sender's display name."""
    text: str
    external_id: str
    """The platform's id of this message: the same one is never accepted twice in a chat."""
    thread: str | None = None
    mentioned: bool = False
    question: QuestionId | None = None
    """A button below this question was pressed: `text` is its option, and no message."""
    files: tuple[Upload, ...] = ()


class MessageStatus(enum.StrEnum):
    """Where an accepted message is."""

    PENDING = "pending"
    ANSWERED = "answered"
    FAILED = "failed"
    CONTEXT = "context"
    """Accumulated: never answered by itself."""
    HANDLED = "handled"
    """A command, which the host has answered and no agent ever sees; or an answer to a question of
    an agent, which reaches its turn as such."""


class Message(_Value, frozen=True):
    """One accepted message."""

    id: MessageId
    session: SessionId
    chat: ChatId
    thread: str | None
    sender: str
    text: str
    at_ms: int
    engage: bool
    status: MessageStatus = MessageStatus.PENDING
    files: Files = ()
    waits: bool = False
    """Its turn asked people something, and goes on when they have answered."""
    hops: int = 0
    """Agents that it has come through."""
    foreign: bool = False
    """Its conversation has what is not from the agent's people, here or before it."""


class DeliveryStatus(enum.StrEnum):
    """Where something to say is."""

    DUE = "due"
    DELIVERED = "delivered"
    DEAD = "dead"


class Delivery(_Value, frozen=True):
    """One thing to say to one chat."""

    id: DeliveryId
    """Derived from (session, epoch, record, position): committing twice makes one row."""
    session: SessionId
    message: MessageId
    """What it answers."""
    chat: ChatId
    channel: str
    platform_id: str
    thread: str | None
    text: str
    at_ms: int
    is_error: bool = False
    """The host's own words about a failure, not the agent's."""
    status: DeliveryStatus = DeliveryStatus.DUE
    tries: int = 0
    next_ms: int = 0
    error: str = ""
    event: int = 0
    """Id of the `ChatEvent` it is shown as."""
    answers: tuple[MessageId, ...] = ()
    """What it answers beside `message`: what joined the same turn."""
    said_by: str = ""
    """Who says it, as people know them: the agent's name, or the host's for its own words."""
    code: str = ""
    """One of `core.codes` when it is an error."""
    files: Files = ()
    goes_on: bool = False
    """What the agent says or sends while it is at work: its answer is still to come."""
    question: QuestionId | None = None
    """It asks people something."""
    options: tuple[str, ...] = ()
    """What they may choose from, as buttons where the channel has such."""
    free_text: bool = True
    """Whether words of their own are an answer too."""
