"""A conversation of a thousand turns with one sealed agent: does anything of it grow?

As in `posture`, one method is wrapped for the length of the measurement: the scripted model's, to
see how much each call holds. The agent's model is said to read so little that most of the
conversation has to be summed up.
"""

from __future__ import annotations

import contextlib
import os
from statistics import median
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.bench.stats import rss_bytes
from ironclaw.models.scripted import Scripted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from ironclaw.composition import Core
    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw_contract.rpc import Generate, ModelTell

TURNS: Final = 1000
MODEL: Final = "scripted/short"
WINDOW_TOKENS: Final = 8192
_BYTES_PER_TOKEN: Final = 4
"""As the scripted model counts."""
_FACT: Final = "Fact: the code of the garage is 4711. Please keep it."
_WORDS: Final = "what people say in one message of a long conversation, a line or two of it. " * 2
_EARLY: Final = slice(9, 59)
_LATE: Final = slice(-50, None)
_STOPPED_AT: Final = 500
_SETTLED_AT: Final = 150


class LongTalk(NamedTuple):
    """What came of it."""

    cost_ratio: float
    """Round trip at turn 1,000 to that at turn 10."""
    context_ratio: float
    """The longest model call, in tokens, to the window."""
    rss_grown_mb: float
    """Of the core, from turn 150 to turn 1,000."""
    is_found: float
    """1 when what the first turn told is in the summary, and is found by a search."""


class _Calls:
    """How much model calls hold, in bytes."""

    def __init__(self) -> None:
        self.longest = 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look at the calls that are made meanwhile."""
        generate = Scripted.generate

        def watched(
            model: Scripted, agent: Agent, session: SessionId, request: Generate
        ) -> AsyncGenerator[ModelTell, None]:
            if agent.model == MODEL:
                self.longest = max(self.longest, len(msgspec.msgpack.encode(request)))
            return generate(model, agent, session, request)

        with contextlib.ExitStack() as undo:
            undo.callback(setattr, Scripted, "generate", generate)
            setattr(Scripted, "generate", watched)  # noqa: B010 - for the measurement alone
            yield


async def talk_long(
    core: Core,
    *,
    send: Callable[[str], Awaitable[float]],
    session: Callable[[], Awaitable[SessionId]],
) -> LongTalk:
    """Have the conversation.

    Args:
        core: With an agent whose model is `MODEL`.
        send: Says something to it and waits for the reply; in seconds.
        session: Whose it is, once something was said.
    """
    core.rooms.saw(MODEL, WINDOW_TOKENS)
    taken: list[float] = []
    settled = 0
    calls = _Calls()
    with calls.watching():
        for number in range(TURNS):
            taken.append(await send(f"{number}: {_WORDS}" if number else _FACT))
            if number == _SETTLED_AT:
                settled = rss_bytes(os.getpid())
            if number == _STOPPED_AT:
                # A fresh box goes on from the summary.
                await core.house.stop_session(await session())
    grown = rss_bytes(os.getpid()) - settled
    await send("!summary")
    whose = await session()
    told = (await core.house.transcript(whose, limit=1))[-1].text
    found = await core.house.search(whose, "code garage", limit=1, before_ms=None)
    is_found = "4711" in told and any("4711" in one.excerpt for one in found.found)
    return LongTalk(
        cost_ratio=round(median(taken[_LATE]) / median(taken[_EARLY]), 2),
        context_ratio=round(calls.longest / (WINDOW_TOKENS * _BYTES_PER_TOKEN), 2),
        rss_grown_mb=round(grown / 1e6, 1),
        is_found=float(is_found),
    )
