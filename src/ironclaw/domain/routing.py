"""Where an event goes: engagement, access and partition of one wiring. Pure functions.

decide: engaged? (pattern, mention, sticky) -> access -> engage, accumulate or drop, with a reason.

Patterns run on RE2, which is linear in the text whatever the pattern, so no message and no pattern
can hold the core up. Backreferences and look-around do not exist there and are refused.
"""

from __future__ import annotations

import enum
import functools
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import re2  # type: ignore[import-untyped]  # it has no stubs; `Pattern` types our use

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.access import Decision, Rank, decide_access, rank
from ironclaw.domain.model import Engage, Ignored, Partition
from ironclaw.domain.taint import NONE, Taints

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.core.ids import AgentId, ChatId, MessageId
    from ironclaw.domain.access import Access
    from ironclaw.domain.model import Chat, Event, Message, Standing, Wiring

MATCH_BYTES: Final = 64 * 1024
"""Bytes of a message that a pattern looks at; what follows cannot engage."""
MAX_PATTERN: Final = 512
"""Characters of a pattern."""
_PATTERN_MEMORY: Final = 1024 * 1024
EVERYTHING: Final = "."
"""The pattern that engages on every message, an empty one too."""


class Action(enum.StrEnum):
    """What becomes of an event."""

    ENGAGE = "engage"
    ACCUMULATE = "accumulate"
    DROP = "drop"


class Verdict(NamedTuple):
    """The decision about one event for one wiring."""

    action: Action
    reason: str
    """`engaged`, `accumulated`, `not_engaged`, or the word of `AccessReason` that refused it."""
    refused: bool = False
    """Whether access was refused to somebody who meant to be heard: worth a record."""


class Seat(NamedTuple):
    """The partition key: messages of one seat share a session."""

    agent: AgentId
    partition: Partition
    chat: ChatId | None
    thread: str | None

    @property
    def key(self) -> str:
        """The seat as one string, unique among seats."""
        parts = (self.partition.value, self.agent, self.chat or "", self.thread or "")
        # Threads are foreign text: their length in front keeps two seats from looking alike.
        return "|".join(f"{len(part)}:{part}" for part in parts)


class Place(NamedTuple):
    """Where an event came from: the chat and its wirings, highest priority first."""

    chat: Chat
    wirings: tuple[Wiring, ...]
    """Only those to agents that are not archived."""


class Came(NamedTuple):
    """How a message has come that the host gives to an agent, or passes on from another one."""

    hops: int = 0
    """Agents that it has come through."""
    taint: Taints = NONE
    """What the host knows of it that is foreign to the agent's people."""


DIRECTLY: Final = Came()
"""A person said it where it is taken in."""


class Accepted(NamedTuple):
    """A message that the ledger has."""

    message: Message
    event: int
    """Id of its `ChatEvent`."""
    new: bool
    """False: the same message of the platform was accepted before."""
    turn: MessageId | None = None
    """It was no message but an answer, to a question of the turn that this message began."""
    has_closed: bool = False
    """Questions of its session were closed for it: their turn goes on."""


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: bytes) -> object | None:
        """A match anywhere in the text, or None."""
        ...


@functools.lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Pattern:
    """Compile an engage pattern.

    Raises:
        UserError: `INVALID`: too long, not RE2 syntax, or too big when compiled.
    """
    if not pattern or len(pattern) > MAX_PATTERN:
        raise UserError(
            Code.INVALID,
            f"An engage pattern has 1 to {MAX_PATTERN} characters.",
            hint=f"`{EVERYTHING}` engages on every message.",
        )
    options = re2.Options()
    options.max_mem = _PATTERN_MEMORY
    options.log_errors = False
    try:
        return cast("Pattern", re2.compile(pattern.encode(), options))
    except (re2.error, UnicodeEncodeError) as error:
        raise UserError(
            Code.INVALID,
            "The engage pattern is not a valid regular expression.",
            hint="RE2 syntax: no backreferences and no look-around.",
            detail=str(error),
        ) from error


def is_engaged(wiring: Wiring, event: Event, *, stuck: bool) -> bool:
    """Whether the event starts a turn, whoever sent it.

    Args:
        wiring: Engage mode and pattern.
        event: What was heard.
        stuck: For `mention_sticky`: this chat or thread has engaged before.

    Trust:
        `event` is foreign; a stored pattern that no longer compiles engages nothing.
    """
    match wiring.engage:
        case Engage.MENTION:
            return event.mentioned
        case Engage.MENTION_STICKY:
            return event.mentioned or stuck
        case Engage.PATTERN:
            if wiring.pattern == EVERYTHING:
                return True
            try:
                pattern = compile_pattern(wiring.pattern)
            except UserError:
                return False
            text = event.text[:MATCH_BYTES].encode(errors="replace")[:MATCH_BYTES]
            return pattern.search(text) is not None


def may_talk(wiring: Wiring, chat: Chat, standings: Iterable[Standing]) -> bool:
    """Whether the sender's words may reach the agent of a wiring at all, engaged or not."""
    return _access(wiring, chat, standings).decision is Decision.ALLOW


def is_stranger(wiring: Wiring, standings: Iterable[Standing]) -> bool:
    """Whether the sender holds no role that lets them talk to the agent of a wiring."""
    return rank(standings, wiring.agent) is Rank.UNKNOWN


def _access(wiring: Wiring, chat: Chat, standings: Iterable[Standing]) -> Access:
    return decide_access(
        standings,
        wiring.agent,
        unknown_sender=chat.unknown_sender,
        sender_scope=wiring.sender_scope,
    )


def decide(
    wiring: Wiring, chat: Chat, event: Event, standings: Iterable[Standing], *, stuck: bool
) -> Verdict:
    """Decide what becomes of `event` for `wiring`.

    Access comes before accumulation: a stranger's words never become an agent's context.
    """
    engaged = is_engaged(wiring, event, stuck=stuck)
    if not engaged and wiring.ignored is Ignored.DROP:
        return Verdict(Action.DROP, "not_engaged")
    access = _access(wiring, chat, standings)
    if access.decision is not Decision.ALLOW:
        return Verdict(Action.DROP, access.reason.value, refused=engaged)
    if engaged:
        return Verdict(Action.ENGAGE, "engaged")
    return Verdict(Action.ACCUMULATE, "accumulated")


def seat_of(wiring: Wiring, event: Event) -> Seat:
    """The seat whose session gets the event."""
    match wiring.partition:
        case Partition.SHARED:
            return Seat(wiring.agent, wiring.partition, wiring.chat, None)
        case Partition.PER_THREAD:
            return Seat(wiring.agent, wiring.partition, wiring.chat, event.thread)
        case Partition.AGENT_SHARED:
            return Seat(wiring.agent, wiring.partition, None, None)
