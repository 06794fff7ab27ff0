"""What an agent is at, in channels that can show it: best effort, and in nobody's way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import until

from ironclaw.channels.api_channel import ApiChannel
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId, MessageId, SessionId
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import Chat, Message
from ironclaw.services import showing
from ironclaw.services.delivery import DeliveryService
from ironclaw.services.hub import Hub
from ironclaw.services.showing import Showing
from ironclaw.testing.fake_channel import FakeChannel

if TYPE_CHECKING:
    from ironclaw.testing.fakes_store import CoreStore


def message(chat: str = "cht_1", thread: str | None = "t1") -> Message:
    return Message(
        id=MessageId("msg_1"), session=SessionId("ses_1"), chat=ChatId(chat), thread=thread,
        sender="Ann", text="hello", at_ms=0, engage=True,
    )  # fmt: skip


async def chat(id_: ChatId) -> Chat:
    if id_ == "cht_gone":
        raise UserError(Code.NOT_FOUND, "gone", hint="")
    return Chat(id=id_, channel="fake", platform_id=f"room {id_}")


@pytest.fixture
async def tasks():
    async with Tasks("test", on_failure=lambda _name, _error: None) as owner:
        yield owner


async def test_it_is_shown_where_it_was_asked_for(store: CoreStore, tasks: Tasks):
    channel = FakeChannel()
    channels = {"fake": channel, "api": ApiChannel(print)}
    service = DeliveryService(
        outbox=store.ledger, channels=channels, hub=Hub(store.chatlog), clock=store.clock,
        showing=Showing(channels, chat),
    )  # fmt: skip
    tasks.start(service.run(), name="delivery")
    await asyncio.sleep(0)
    service.live("progress", message(), "not this")
    service.live("doing", message(), "uses clock")
    service.live("thinking", message(), "nor this")
    await until(lambda: channel.seen_doing)
    assert channel.seen_doing == [("room cht_1", "t1", "uses clock")]


async def test_a_slow_channel_shows_the_newest_and_holds_up_no_other_place(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
):
    channel = FakeChannel()
    shows = Showing({"fake": channel}, chat)
    for number in range(50):
        shows.show(tasks, message(), f"{number}")
    await until(lambda: not shows._newest)
    assert channel.seen_doing == [("room cht_1", "t1", "49")]

    monkeypatch.setattr(showing, "TIMEOUT_S", 0.05)
    channel.hang.add("stuck")
    shows.show(tasks, message(), "stuck")
    shows.show(tasks, message("cht_2"), "fine")
    await until(lambda: len(channel.seen_doing) == 2)
    await until(lambda: not shows._newest)
    shows.show(tasks, message(), "again")
    await until(lambda: channel.seen_doing[-1][2] == "again")


async def test_nothing_is_kept_of_what_cannot_be_shown(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
):
    nobody = Showing({"api": ApiChannel(print)}, chat)
    nobody.show(tasks, message(), "x")
    assert nobody._newest == {}
    shows = Showing({"fake": FakeChannel()}, chat)
    shows.show(tasks, message("cht_gone"), "x")
    await until(lambda: not shows._newest)
    monkeypatch.setattr(showing, "MAX_LANES", 1)
    shows.show(tasks, message("cht_1"), "x")
    shows.show(tasks, message("cht_2"), "x")
    assert len(shows._newest) == 1
