"""Delivery: in order, until it is there or dead; a bad one holds up nobody else."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from ironclaw.channels.api_channel import ApiChannel
from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.services.delivery import CAP_S, DeliveryService, backoff_s
from ironclaw.services.hub import Hub
from ironclaw.testing.fake_channel import FakeChannel, NarrowChannel
from ironclaw.testing.fakes_store import Conversation, CoreStore, open_core_store, outbound
from ironclaw_contract.records import Say, TurnEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ironclaw.domain.channels import Channel

DOWN = HostError(Code.DELIVERY_FAILED, "down", hint="wait")
NEVER = UserError(Code.INVALID, "no such chat", hint="none")


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[CoreStore]:
    async with open_core_store(tmp_path) as parts:
        yield parts


@contextlib.asynccontextmanager
async def delivering(
    core: CoreStore, channel: Channel, *, max_tries: int = 3, timeout_s: float = 5.0
) -> AsyncIterator[DeliveryService]:
    service = DeliveryService(
        outbox=core.ledger,
        channels={"api": channel},
        hub=Hub(core.chatlog),
        clock=SystemClock(),
        max_tries=max_tries,
        base_s=0.01,
        timeout_s=timeout_s,
    )
    task = asyncio.get_running_loop().create_task(service.run())
    try:
        yield service
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def say(talk: Conversation, *texts: str, thread: str | None = None) -> None:
    for text in texts:
        heard = await talk.hear("?", thread=thread)
        session = await talk.core.registry.session(talk.session)
        if session.epoch == 0:
            session = await talk.core.ledger.begin_epoch(talk.session, workspace="w")
        body = TurnEnd(
            turn=heard.message.id,
            index=0,
            entries=(),
            says=(Say(text=text, reply_to=heard.message.id),),
        )
        await talk.core.ledger.commit(
            talk.session, session.epoch, outbound(session.out_seq + 1, body)
        )


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.005)


async def settled(core: CoreStore) -> None:
    async with asyncio.timeout(5):
        while (await core.chatlog.counts()).due_deliveries:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)


async def test_replies_arrive_in_order_and_are_marked(core: CoreStore):
    talk = await core.begin()
    channel = FakeChannel()
    async with delivering(core, channel) as service:
        await say(talk, *[f"{number}" for number in range(20)])
        service.due()
        await settled(core)
    assert channel.texts == [f"{number}" for number in range(20)]
    assert len(channel.calls) == 20


async def test_a_failing_channel_is_tried_again_and_order_is_kept(core: CoreStore):
    talk = await core.begin()
    channel = FakeChannel()
    channel.failures["a"] = [DOWN, DOWN]
    await say(talk, "a", "b")
    async with delivering(core, channel):
        await settled(core)
    assert channel.texts == ["a", "b"]
    assert len(channel.calls) == 4


async def test_a_poison_reply_dies_visibly_and_lets_the_next_through(core: CoreStore):
    talk = await core.begin()
    channel = FakeChannel()
    channel.failures["poison"] = [DOWN] * 3
    await say(talk, "poison", "fine")
    async with delivering(core, channel):
        await settled(core)
    assert channel.texts == ["fine"]
    assert (await core.chatlog.counts()).dead_letters == 1
    events = await core.chatlog.chat_events(talk.chat.id, after=0)
    assert [event.kind for event in events].count("error") == 1


async def test_what_can_never_work_is_not_tried_again(core: CoreStore):
    talk = await core.begin()
    channel = FakeChannel()
    channel.failures["a"] = [NEVER]
    await say(talk, "a")
    async with delivering(core, channel):
        await settled(core)
    assert len(channel.calls) == 1
    assert (await core.chatlog.counts()).dead_letters == 1


async def test_a_hanging_reply_holds_up_its_own_thread_only(core: CoreStore):
    talk = await core.begin()
    channel = FakeChannel()
    channel.hang = {"stuck"}
    await say(talk, "stuck", "behind", thread="one")
    await say(talk, "free", thread="two")
    async with delivering(core, channel):
        await until(lambda: channel.texts == ["free"])
    assert len(channel.calls) == 2


async def test_a_hanging_reply_is_given_up(core: CoreStore):
    talk = await core.begin()
    channel = FakeChannel()
    channel.hang = {"stuck"}
    await say(talk, "stuck", "behind")
    async with delivering(core, channel, timeout_s=0.02):
        await settled(core)
    assert channel.texts == ["behind"]


async def test_a_restart_in_the_middle_shows_nothing_twice(tmp_path: Path):
    channel = FakeChannel()
    async with open_core_store(tmp_path) as core:
        talk = await core.begin()
        await say(talk, "once")
        (delivery,) = await core.ledger.due(now_ms=core.clock.now_ms(), limit=1)
        # The channel has it; the core dies before the ledger hears of it.
        await channel.deliver(delivery)
    async with open_core_store(tmp_path) as core, delivering(core, channel):
        await settled(core)
    assert channel.texts == ["once"]
    assert channel.calls == [delivery.id, delivery.id]


async def test_long_replies_are_split_for_a_narrow_channel(core: CoreStore):
    talk = await core.begin()
    channel = NarrowChannel(max_chars=10)
    await say(talk, "one two three four five")
    async with delivering(core, channel):
        await settled(core)
    assert channel.texts == ["one two", "three four", "five"]
    assert len(set(channel.shown)) == 3


async def test_a_channel_that_is_gone_ends_in_a_dead_letter(core: CoreStore):
    talk = await core.begin()
    await say(talk, "a")
    await core.store.write(lambda db: db.execute("UPDATE chat SET channel = 'removed'"))
    async with delivering(core, FakeChannel()):
        await settled(core)
    (row,) = await core.store.read(
        lambda db: list(db.execute("SELECT status, error FROM delivery"))
    )
    assert row == ("dead", "delivery_failed: There is no channel removed.")


async def test_the_api_channel_shows_replies_to_watchers_in_order(core: CoreStore):
    talk = await core.begin()
    hub = Hub(core.chatlog)
    watch = hub.watch(talk.chat.id, after=0)
    async with delivering(core, ApiChannel(hub.show)) as service:
        await say(talk, "a", "b")
        service.due()
        async with asyncio.timeout(5):
            shown = [await anext(watch) for _ in range(4)]
    assert [(e.id, e.kind, e.text) for e in shown] == [
        (1, "message", "?"),
        (2, "reply", "a"),
        (3, "message", "?"),
        (4, "reply", "b"),
    ]
    assert shown[1].sender == "helper"


def test_back_off_grows_with_jitter_up_to_its_cap():
    for tries in range(60):
        full = min(CAP_S, 2.0 ** min(tries, 30))
        assert full / 2 <= backoff_s(tries) <= full
