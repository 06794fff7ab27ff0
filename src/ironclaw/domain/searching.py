"""Searching what was said: what is looked through, what is found, and the port for ranking it.

`Ranking` is the one thing to replace for search by meaning: `services.searching.FullText` is the
implementation that the house has, and needs no model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, Protocol

import msgspec

from ironclaw.core.ids import SessionId

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_QUERY_CHARS = 500
MAX_FOUND = 50


class Passage(NamedTuple):
    """Something that was said in a conversation."""

    session: SessionId
    kind: Literal["message", "reply"]
    sender: str
    text: str
    at_ms: int


class Place(NamedTuple):
    """Where a search goes on: in which session, behind which event."""

    session: SessionId
    at_ms: int
    chat: str
    id: int


class Page(NamedTuple):
    """Some of what was said, newest first."""

    passages: tuple[Passage, ...]
    next: Place | None
    """None when there is nothing more."""
    rows: int
    """How many were looked at."""
    size: int
    """Bytes that were unsealed."""


class Found(msgspec.Struct, frozen=True):
    """One passage that answers a search."""

    session: SessionId
    """Where it was said: this conversation, or a former one of the same place."""
    kind: Literal["message", "reply"]
    sender: str
    at_ms: int
    excerpt: str
    score: Annotated[float, msgspec.Meta(ge=0)]


class Searched(msgspec.Struct, frozen=True):
    """What a search found, best first; of two that are as good, the newer one."""

    found: list[Found]
    whole: bool
    """False when there was more to look through than one search may."""
    back_to_ms: int = 0
    """If so: when the last that was looked at was said."""


class Ranking(Protocol):
    """How well texts answer a query.

    Trust:
        All texts are of one agent and one place in a chat. Whoever sends them elsewhere, to be
        ranked by meaning, sends away what people said.
    """

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One number for each text, not below 0; 0 for one that is no answer at all."""
        ...
