"""Events of changes, for those who watch: kept ones first, then new ones without a gap.

happened(id) -> every watch looks -> a page of the store -> what its actor may look at, as of now

A watch holds no more than one page, however slow it is: what it has not seen is in the store. What
it shows is built when it is shown, so a right that was taken meanwhile shows nothing any more.
"""

from __future__ import annotations

import asyncio
import collections
from typing import TYPE_CHECKING, Final, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ironclaw.domain.rights import Actor
    from ironclaw.services.gateway.port import ChangeEvent
    from ironclaw.services.gateway.rows import KeptEvent

PAGE: Final = 64
"""Events read from the store at once."""


class History(Protocol):
    """Kept events: the part of `rows.ChangeStore` that watching needs."""

    async def events(self, *, after: int, limit: int) -> Sequence[KeptEvent]:
        """Those with ids over `after`, oldest first."""
        ...

    async def last_event(self) -> int:
        """Id of the newest; 0 when there is none."""
        ...


class Feed:
    """The table of watches.

    Args:
        history: Where events are kept.
        show: Makes of a kept event what somebody is shown; None when it is not theirs to see.
    """

    def __init__(
        self,
        history: History,
        show: Callable[[KeptEvent, Actor], Awaitable[ChangeEvent | None]],
    ) -> None:
        self._history = history
        self._show = show
        self._newest = 0
        self._watches: set[Watch] = set()

    @property
    def watching(self) -> int:
        """Watches that are open."""
        return len(self._watches)

    async def start(self) -> None:
        """Learn where live events begin. Raises HostError."""
        self._newest = max(self._newest, await self._history.last_event())

    def happened(self, event: int | None) -> None:
        """An event is kept; None: nothing that is shown."""
        if event is None:
            return
        self._newest = max(self._newest, event)
        for watch in self._watches:
            watch.look()

    def watch(self, actor: Actor, *, after: int | None) -> Watch:
        """Watch from this moment on.

        Args:
            actor: Who watches; what they may look at is asked anew for each event.
            after: Id of the last event seen; None starts with live ones only.
        """
        # One from another house's past must not silence this one's events.
        last = self._newest if after is None else min(max(after, 0), self._newest)
        watch = Watch(self._history, self._show, actor, last, leave=self._watches.discard)
        self._watches.add(watch)
        return watch


class Watch:
    """An async iterator over events. Close it with `aclose`."""

    def __init__(
        self,
        history: History,
        show: Callable[[KeptEvent, Actor], Awaitable[ChangeEvent | None]],
        actor: Actor,
        last: int,
        *,
        leave: Callable[[Watch], None],
    ) -> None:
        self._history = history
        self._show = show
        self._actor = actor
        self._last = last
        self._leave = leave
        self._page: collections.deque[KeptEvent] = collections.deque()
        self._is_behind = True
        self._bell = asyncio.Event()
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChangeEvent:
        while not self._is_closed:
            if self._page:
                # It leaves the page only when it is shown: whoever was refused a look by a store
                # that failed may ask again.
                kept = self._page[0]
                event = await self._show(kept, self._actor)
                self._page.popleft()
                self._last = kept.id
                if event is not None:
                    return event
            elif self._is_behind:
                await self._read()
            else:
                self._bell.clear()
                await self._bell.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the watch. Idempotent; a waiting `__anext__` ends too."""
        self._is_closed = True
        self._leave(self)
        self._bell.set()

    def look(self) -> None:
        """There is something new."""
        self._is_behind = True
        self._bell.set()

    async def _read(self) -> None:
        self._is_behind = False
        try:
            page = await self._history.events(after=self._last, limit=PAGE)
        except BaseException:
            self._is_behind = True
            raise
        self._page.extend(page)
        self._is_behind = self._is_behind or len(page) == PAGE
