"""Searching past conversations of one place: page by page, ranked, and never without an end.

search: words -> sessions of the place -> pages, newest first -> scores -> the best few

What is said is sealed, so there is no index to ask: pages are unsealed and looked through off the
event loop, one search at a time, until there is nothing more or the bounds of one search are met.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import CORE
from ironclaw.domain.searching import MAX_FOUND, MAX_QUERY_CHARS, Found, Page, Place, Searched
from ironclaw_contract.ranking import excerpt, query_words, score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import SessionId
    from ironclaw.domain.searching import Passage, Ranking

MAX_ROWS: Final = 20_000
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_S: Final = 3.0
"""What one search may look at; an agent waits for it, and has not much time."""
_EXCERPT_CHARS: Final = 400


class Said(Protocol):
    """What there is to look through: `store.searching.Passages`."""

    async def sessions(self, session: SessionId) -> list[SessionId]:
        """The session, and the former ones of the same place. Raises HostError."""
        ...

    async def page(self, session: SessionId, after: Place | None = None) -> Page:
        """Some of what was said. Raises HostError."""
        ...


class FullText:
    """Ranks by words. Implements `domain.searching.Ranking`."""

    async def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """One number for each text."""
        words = query_words(query)
        # A page is half a megabyte, and everybody's messages wait for the loop.
        return await asyncio.to_thread(lambda: [score(words, text) for text in texts])


class Searching:
    """Finds what was said.

    Args:
        said: What there is to look through.
        clock: How long it has taken.
        ranking: How well a text answers.
    """

    def __init__(self, said: Said, clock: Clock, *, ranking: Ranking | None = None) -> None:
        self._said = said
        self._clock = clock
        self._ranking = ranking or FullText()
        self._turn = asyncio.Lock()
        self._asking: set[str] = set()

    async def search(
        self, session: SessionId, query: str, *, limit: int = 10, before_ms: int | None = None
    ) -> Searched:
        """Search one conversation and the former ones of the same place.

        Args:
            session: Which conversation.
            query: Words.
            limit: At most so many are found, and never over `MAX_FOUND`.
            before_ms: Only what was said before that time, in milliseconds since the epoch.

        Raises:
            UserError: `INVALID`: there is no word in it, or it is too long.
            PolicyError: `RATE_LIMITED`: whoever asks has a search under way already.
            HostError: From the store.
        """
        if not query_words(query) or len(query) > MAX_QUERY_CHARS:
            raise UserError(
                Code.INVALID,
                "There is nothing to look for.",
                hint=f"Give some words, at most {MAX_QUERY_CHARS} characters.",
            )
        limit = max(1, min(limit, MAX_FOUND))
        # One at a time of each: however many somebody asks for, the others wait for one of them.
        by = acting()
        who = session if by == CORE else by.actor
        if who in self._asking:
            raise PolicyError(
                Code.RATE_LIMITED,
                "Another search of yours is under way.",
                hint="Wait for its answer.",
            )
        self._asking.add(who)
        try:
            async with self._turn:
                return await self._search(session, query, limit, before_ms)
        finally:
            self._asking.discard(who)

    async def _search(
        self, session: SessionId, query: str, limit: int, before_ms: int | None
    ) -> Searched:
        until_s = self._clock.monotonic_s() + MAX_S
        rows, size = MAX_ROWS, MAX_BYTES
        best: list[Found] = []
        back_to_ms = before_ms or 0
        for one in await self._said.sessions(session):
            after = None if before_ms is None else Place(one, before_ms, "", 0)
            while True:
                if rows <= 0 or size <= 0 or self._clock.monotonic_s() >= until_s:
                    return Searched(found=best, whole=False, back_to_ms=back_to_ms)
                page = await self._said.page(one, after)
                best = _best([*best, *await self._found(query, page.passages)], limit)
                rows, size = rows - page.rows, size - page.size
                if page.passages:
                    back_to_ms = page.passages[-1].at_ms
                if (after := page.next) is None:
                    break
        return Searched(found=best, whole=True)

    async def _found(self, query: str, passages: Sequence[Passage]) -> list[Found]:
        words = query_words(query)
        scores = await self._ranking.scores(query, [passage.text for passage in passages])
        return [
            Found(
                session=passage.session,
                kind=passage.kind,
                sender=passage.sender,
                at_ms=passage.at_ms,
                excerpt=excerpt(words, passage.text, chars=_EXCERPT_CHARS),
                score=round(number, 3),
            )
            for passage, number in zip(passages, scores, strict=True)
            if number > 0
        ]


def _best(found: list[Found], limit: int) -> list[Found]:
    return sorted(found, key=lambda one: (-one.score, -one.at_ms))[:limit]
