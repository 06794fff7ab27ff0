"""The hub: a watch misses nothing, doubles nothing, and holds little."""

from __future__ import annotations

import asyncio

import pytest

from ironclaw.core.ids import ChatId, MessageId, SessionId
from ironclaw.services.house import ChatEvent
from ironclaw.services.hub import QUEUE, Hub

CHAT = ChatId("cht_c")


class Kept:
    """A history in memory."""

    def __init__(self) -> None:
        self.events: list[ChatEvent] = []

    async def chat_events(self, chat: ChatId, *, after: int, limit: int = 200) -> list[ChatEvent]:
        return [e for e in self.events if e.chat == chat and e.id > after][:limit]

    async def last_event(self, chat: ChatId) -> int:
        return max((event.id for event in self.events if event.chat == chat), default=0)

    def add(self) -> ChatEvent:
        event = made(len(self.events) + 1)
        self.events.append(event)
        return event


def made(number: int, text: str = "") -> ChatEvent:
    return ChatEvent(
        id=number, kind="reply" if number else "progress", chat=CHAT, thread=None,
        session=SessionId("ses_s"), message=MessageId("msg_m"), sender="a", text=text, at_ms=0,
    )  # fmt: skip


async def take(watch: object, count: int) -> list[int]:
    async with asyncio.timeout(2):
        return [(await anext(watch)).id for _ in range(count)]  # type: ignore[call-overload]


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_kept_events_come_first_and_live_ones_follow_without_a_gap(kept: Kept):
    hub = Hub(kept)
    for _ in range(450):
        kept.add()
    watch = hub.watch(CHAT, after=3)
    hub.publish(kept.add())
    assert await take(watch, 448) == list(range(4, 452))
    hub.publish(kept.add())
    assert await take(watch, 1) == [452]


async def test_events_published_out_of_order_are_shown_in_order_once(kept: Kept):
    hub = Hub(kept)
    watch = hub.watch(CHAT, after=0)
    one, two, three = kept.add(), kept.add(), kept.add()
    for event in (three, one, two):
        hub.publish(event)
    assert await take(watch, 3) == [1, 2, 3]
    hub.publish(kept.add())
    assert await take(watch, 1) == [4]


async def test_a_slow_watch_loses_progress_but_no_kept_event(kept: Kept):
    hub = Hub(kept)
    watch = hub.watch(CHAT, after=None)
    for _ in range(QUEUE * 3):
        hub.publish(kept.add())
        hub.publish(made(0, "piece"))
    assert len(watch._queue) <= QUEUE
    seen: list[int] = []
    while not seen or seen[-1] < QUEUE * 3:
        seen += [number for number in await take(watch, 1) if number]
    assert seen == list(range(1, QUEUE * 3 + 1))


async def test_a_nudge_makes_the_watch_look(kept: Kept):
    hub = Hub(kept)
    watch = hub.watch(CHAT, after=0)
    kept.add()
    hub.nudge(CHAT)
    assert await take(watch, 1) == [1]


async def test_closing_ends_a_waiting_watch(kept: Kept):
    hub = Hub(kept)
    watch = hub.watch(CHAT, after=None)
    async with asyncio.timeout(2), asyncio.TaskGroup() as group:
        waiting = group.create_task(collect(watch))
        await asyncio.sleep(0)
        await watch.aclose()
    assert waiting.result() == []
    assert hub.watching == 0


async def collect(watch: object) -> list[ChatEvent]:
    return [event async for event in watch]  # type: ignore[attr-defined]


async def test_who_joins_late_sees_the_answer_from_its_beginning(kept: Kept):
    """The pieces made so far come as one; the answer itself ends the draft."""
    hub = Hub(kept)
    hub.publish(made(0, "Once "))
    hub.publish(made(0, "upon"))
    watch = hub.watch(CHAT, after=None)
    hub.publish(made(0, " a time"))

    async with asyncio.timeout(2):
        texts = [(await anext(watch)).text for _ in range(2)]

    assert texts == ["Once upon", " a time"]
    hub.publish(kept.add())
    late = hub.watch(CHAT, after=0)
    assert await take(late, 1) == [1]
    assert list(hub._drafts.of(CHAT)) == []
