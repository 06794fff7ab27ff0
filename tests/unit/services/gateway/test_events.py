"""Watching: no event is missed or doubled, and none is shown to whom it is not for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import ChangeId, PrincipalId
from ironclaw.domain.rights import Actor
from ironclaw.services.gateway.events import PAGE, Feed
from ironclaw.services.gateway.rows import KeptEvent

if TYPE_CHECKING:
    from ironclaw.services.gateway.events import Watch
    from ironclaw.services.gateway.port import ChangeEvent

ANN = Actor(PrincipalId("api:ann"))
EVE = Actor(PrincipalId("api:eve"))


class Kept:
    """A history in memory, and rights that can change."""

    def __init__(self, count: int = 0) -> None:
        self.kept: list[KeptEvent] = []
        self.broken = 0
        self.hidden: set[int] = set()
        self.feed = Feed(self, self.show)
        for _ in range(count):
            self.add()

    def add(self) -> None:
        number = len(self.kept) + 1
        self.kept.append(KeptEvent(number, "requested", 0, ChangeId(f"chg_{number}")))
        self.feed.happened(number)

    async def events(self, *, after: int, limit: int) -> list[KeptEvent]:
        await asyncio.sleep(0)
        if self.broken:
            self.broken -= 1
            raise HostError(Code.STORE_FAILED, "It cannot be read.")
        return self.kept[after:][:limit]

    async def last_event(self) -> int:
        return len(self.kept)

    async def show(self, kept: KeptEvent, actor: Actor) -> ChangeEvent | None:
        await asyncio.sleep(0)
        is_hidden = actor == EVE or kept.id in self.hidden
        return None if is_hidden else cast("ChangeEvent", kept)


async def take(watch: Watch, count: int) -> list[int]:
    async with asyncio.timeout(5):
        return [(await anext(watch)).id for _ in range(count)]


async def test_kept_ones_come_first_and_new_ones_follow_without_a_gap() -> None:
    kept = Kept(3 * PAGE)
    watch = kept.feed.watch(ANN, after=5)
    kept.add()
    assert await take(watch, 3 * PAGE - 4) == list(range(6, 3 * PAGE + 2))
    waiting = asyncio.get_running_loop().create_task(take(watch, 2))
    await asyncio.sleep(0)
    kept.add()
    kept.add()
    assert await waiting == [3 * PAGE + 2, 3 * PAGE + 3]


async def test_a_slow_watch_holds_one_page_and_misses_nothing() -> None:
    kept = Kept()
    watch = kept.feed.watch(ANN, after=0)
    for _ in range(PAGE * 10):
        kept.add()
    assert await take(watch, 1) == [1]
    assert len(watch._page) <= PAGE
    assert await take(watch, PAGE * 10 - 1) == list(range(2, PAGE * 10 + 1))


async def test_without_a_place_it_begins_with_live_ones() -> None:
    kept = Kept(4)
    watch = kept.feed.watch(ANN, after=None)
    kept.add()
    assert await take(watch, 1) == [5]


async def test_a_feed_that_has_just_started_knows_where_live_begins() -> None:
    kept = Kept(4)
    kept.feed = Feed(kept, kept.show)
    await kept.feed.start()
    watch = kept.feed.watch(ANN, after=None)
    kept.add()
    assert await take(watch, 1) == [5]


async def test_a_place_of_another_house_silences_nothing() -> None:
    kept = Kept(2)
    watch = kept.feed.watch(ANN, after=99)
    kept.add()
    assert await take(watch, 1) == [3]
    watch = kept.feed.watch(ANN, after=-9)
    assert await take(watch, 1) == [1]


async def test_rights_are_asked_for_at_each_event() -> None:
    kept = Kept(3)
    watch = kept.feed.watch(ANN, after=0)
    assert await take(watch, 1) == [1]
    kept.hidden = {2}
    assert await take(watch, 1) == [3]
    other = kept.feed.watch(EVE, after=0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await anext(other)


async def test_a_store_that_fails_loses_no_event() -> None:
    kept = Kept(2)
    watch = kept.feed.watch(ANN, after=0)
    kept.broken = 1
    with pytest.raises(HostError):
        await anext(watch)
    assert await take(watch, 2) == [1, 2]


async def test_closing_ends_a_wait_and_leaves_the_table() -> None:
    kept = Kept()
    watch = kept.feed.watch(ANN, after=0)
    assert kept.feed.watching == 1
    waiting = asyncio.get_running_loop().create_task(take(watch, 1))
    await asyncio.sleep(0.01)
    await watch.aclose()
    await watch.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    assert kept.feed.watching == 0
    await asyncio.wait({waiting})
    assert isinstance(waiting.exception(), RuntimeError | StopAsyncIteration)
