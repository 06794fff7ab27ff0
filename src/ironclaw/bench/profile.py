"""Where a round trip goes: the core's own stations of a message, timed from outside.

For the length of the measurement the methods at the stations are wrapped; nothing of this is in the
daemon. Stations come in the order of the architecture page; what lies between two of them is named
after the second.
"""

from __future__ import annotations

import contextlib
import functools
import time
from statistics import median
from typing import TYPE_CHECKING, Final

from ironclaw.airlock.link import Link
from ironclaw.domain.wall import Asked, Outbound
from ironclaw.store.ledger import Ledger
from ironclaw_contract.rpc import Generated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ironclaw.domain.wall import LinkEvent
    from ironclaw_contract.rpc import ModelTell

STAGES: Final = {
    "accepted": "the store keeps the message: sealed, committed, synced",
    "published": "the core hands it to the airlock",
    "asked": "airlock seals and rings; the box reads, decides, asks; airlock checks the question",
    "answered": "the scripted model answers; the core hands it to the airlock",
    "outbound": "the box writes, syncs and rings; the airlock copies, opens and verifies",
    "committed": "the store keeps transcript and reply",
    "handed": "the reply is handed to its channel",
}


class Stages:
    """Marks of one message after the other."""

    def __init__(self) -> None:
        self._marks: dict[str, float] = {}
        self._spans: dict[str, list[float]] = {name: [] for name in STAGES}

    def begin(self) -> float:
        """A message is sent now."""
        self._marks.clear()
        return time.perf_counter()

    def mark(self, name: str) -> None:
        """A station is reached; the first time counts."""
        self._marks.setdefault(name, time.perf_counter())

    def end(self, began: float) -> None:
        """The message is answered: take its spans in."""
        last = began
        for name in STAGES:
            reached = self._marks.get(name, last)
            self._spans[name].append(reached - last)
            last = max(last, reached)

    def medians_ms(self) -> dict[str, float]:
        """Median of each span in milliseconds."""
        return {name: round(1000 * median(spans), 2) for name, spans in self._spans.items()}

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Mark the stations that are reached meanwhile."""
        publish, tell, receive, commit = Link.publish, Link.tell, Link.receive, Ledger.commit

        async def told(link: Link, event: ModelTell) -> None:
            await tell(link, event)
            if isinstance(event, Generated):
                self.mark("answered")

        async def received(link: Link) -> LinkEvent | None:
            event = await receive(link)
            if isinstance(event, Asked):
                self.mark("asked")
            elif isinstance(event, Outbound):
                self.mark("outbound")
            return event

        with contextlib.ExitStack() as undo:
            for owner, name, now in (
                (Link, "publish", self._after(publish, "published")),
                (Link, "tell", told),
                (Link, "receive", received),
                (Ledger, "commit", self._after(commit, "committed")),
            ):
                undo.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, now)
            yield

    def _after(self, method: Callable[..., Awaitable[object]], name: str) -> object:
        @functools.wraps(method)
        async def marked(*arguments: object, **named: object) -> object:
            result = await method(*arguments, **named)
            self.mark(name)
            return result

        return marked
