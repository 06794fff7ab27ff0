"""Agents that write to each other: whose chat it is, how far it goes, and as what it is told. Pure.

An agent that people gave another one as a destination writes to it in a chat of the pair, in one
thread for each conversation that it writes from, so nothing of one conversation reaches another.
The answer comes back into that conversation. Each message counts the agents that it has come
through; an agent begins nothing with another one beyond `Limits.max_hops`, so whatever two of them
do to each other has an end.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ironclaw.core.ids import AgentId, ChatId, DeliveryId, SessionId
from ironclaw.domain.taint import Taint

AGENT_CHANNEL: Final = "agent"
TAINT: Final = frozenset({Taint.AGENT})
"""Why a turn over another agent's words is not to be trusted."""
HOUR_MS: Final = 60 * 60 * 1000
_FORWARD: Final = "relay:"
"""Before the id of a delivery: the message that it became. Nobody outside writes in such a chat."""
_BACK: Final = "\nreply:"
"""The same of an answer: it comes into a chat of people, who cannot send a newline in an id."""


class Limits(NamedTuple):
    """How far agents may go with each other."""

    max_hops: int = 4
    """Agents that a message may come through."""
    per_hour: int = 30
    """Messages that one agent may begin with another one in an hour."""


class Pair(NamedTuple):
    """Whose chat it is."""

    to: AgentId
    """Who is written to."""
    by: AgentId
    """Who began it."""


class Forward(NamedTuple):
    """Something that one agent says to another."""

    pair: Pair
    speaker: str
    """Name of who says it."""
    hops: int


class Back(NamedTuple):
    """What the other agent answers."""

    speaker: str
    speaker_id: AgentId
    hops: int
    session: SessionId
    """The conversation that it was asked from, and where in it."""
    chat: ChatId
    channel: str
    platform_id: str
    thread: str | None


Leg = Forward | Back


def place_of(pair: Pair) -> str:
    """The chat of a pair, by its id on the channel."""
    return f"{pair.to}/{pair.by}"


def pair_of(platform_id: str) -> Pair | None:
    """Undo `place_of`; None for what is no such chat."""
    to, slash, by = platform_id.partition("/")
    return Pair(AgentId(to), AgentId(by)) if slash and to and by else None


def forwarded_as(delivery: DeliveryId) -> str:
    """The id of the message that a delivery to an agent becomes: it is taken in once."""
    return f"{_FORWARD}{delivery}"


def forwarded_from(external_id: str) -> DeliveryId | None:
    """Undo `forwarded_as`; None for any other id."""
    if not external_id.startswith(_FORWARD):
        return None
    return DeliveryId(external_id.removeprefix(_FORWARD))


def returned_as(delivery: DeliveryId) -> str:
    """The id of the message that an agent's answer becomes."""
    return f"{_BACK}{delivery}"


def sender(name: str) -> str:
    """As whom another agent speaks to a model: nobody can take it for a person."""
    return f"agent {name}"
