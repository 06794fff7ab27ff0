"""Files between ledger, boxes, models and channels: order, bounds, and nobody else's bytes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId, MessageId, SessionId
from ironclaw.domain.attachments import Kept
from ironclaw.domain.model import Delivery, Message
from ironclaw.services.delivery import DeliveryService
from ironclaw.services.files import MOST_PICTURES, PICTURE_BYTES, Files
from ironclaw.services.loads import CONTEXT_BYTES, WANTED_BYTES, Load
from ironclaw.testing.fake_channel import FakeChannel, NarrowChannel
from ironclaw_contract import records
from ironclaw_contract.entries import File, Said
from ironclaw_contract.rpc import Generate, Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

OWN = SessionId("ses_own")
PART = 4


def file(id_: str, size: int = 3, media_type: str = "image/png") -> File:
    return File(id=id_, name="a", media_type=media_type, size=size)


class Shelf:
    """Files by id, with whose they are."""

    def __init__(self, *kept: tuple[SessionId, File, bytes]) -> None:
        self.kept = {one.id: (session, one, data) for session, one, data in kept}
        self.looked: list[str] = []
        self.there: set[str] = set()

    async def find(self, file: str) -> Kept | None:
        if file not in self.kept:
            return None
        session, one, data = self.kept[file]
        return Kept(1, session, one, max(1, -(-len(data) // PART)))

    async def chats(self, kept: Kept) -> Sequence[ChatId]:
        return [ChatId("cht_1")] if kept.session == OWN else []

    async def parts(self, kept: Kept) -> AsyncIterator[bytes]:
        data = self.kept[kept.file.id][2]
        for index in range(kept.parts):
            yield data[index * PART : (index + 1) * PART]

    async def of_session(self, session: SessionId, files: Sequence[File]) -> Sequence[Kept]:
        self.looked += [one.id for one in files]
        found = [await self.find(one.id) for one in files]
        return [one for one in found if one is not None and one.session == session]

    async def has_come(self, session: SessionId, ids: Sequence[str]) -> bool:
        del session
        return self.there.issuperset(ids)


class Link:
    def __init__(self) -> None:
        self.published: list[Any] = []

    async def publish(self, bodies: Sequence[Any]) -> None:
        self.published += bodies


def message(name: str, *files: File, engage: bool = True) -> Message:
    return Message(
        id=MessageId(name),
        session=OWN,
        chat=ChatId("cht_1"),
        thread=None,
        sender="Ann",
        text="look",
        at_ms=0,
        engage=engage,
        files=files,
    )


def request(*files: File, purpose: Purpose = Purpose.TURN) -> Generate:
    said = [
        Said(message="msg_1", sender="Ann", text="", at_ms=0, files=files[at : at + 8])
        for at in range(0, len(files), 8)
    ]
    return Generate(1, "msg_1", "", tuple(said), (), 100, purpose)


async def test_parts_go_before_the_message_that_names_them() -> None:
    one = file("fil_1", 10)
    files, link = Files(Shelf((OWN, one, b"0123456789"))), Link()
    record = records.Message("msg_1", "Ann", "look", 0, files=(one,))
    await files.send(cast("Any", link), message("msg_1", one), record, is_told=False)
    *parts, last = link.published
    assert b"".join(part.data for part in parts) == b"0123456789"
    assert [(part.index, part.whole) for part in parts] == [(0, None), (1, None), (2, one)]
    assert last == record
    link.published.clear()
    await files.send(cast("Any", link), message("msg_1", one), record, is_told=True)
    assert link.published == [record]


async def test_a_model_is_shown_pictures_of_its_session_and_no_others() -> None:
    own, foreign = file("fil_own"), file("fil_foreign")
    lying = file("fil_text")
    shelf = Shelf(
        (OWN, own, b"own"),
        (SessionId("ses_other"), foreign, b"not"),
        (OWN, file("fil_text", media_type="text/plain"), b"txt"),
    )
    shown = await Files(shelf).of(OWN, request(own, foreign, lying, file("fil_none")))
    assert [(one.file, one.media_type, one.data) for one in shown] == [
        ("fil_own", "image/png", b"own")
    ]
    assert await Files(shelf).of(OWN, request(own, purpose=Purpose.SUMMARY)) == []


async def test_the_newest_pictures_are_shown_and_thousands_are_not_looked_up() -> None:
    many = [file(f"fil_{number}") for number in range(2000)]
    shelf = Shelf(*((OWN, one, b"abc") for one in many))
    shown = await Files(shelf).of(OWN, request(*many))
    assert [one.file for one in shown] == [f"fil_{n}" for n in range(2000 - MOST_PICTURES, 2000)]
    assert len(shelf.looked) <= MOST_PICTURES * 4


async def test_a_picture_that_is_too_large_is_not_shown() -> None:
    large = file("fil_1", PICTURE_BYTES + 1)
    assert await Files(Shelf((OWN, large, b"x"))).of(OWN, request(large)) == []


async def test_what_is_on_its_way_is_waited_for_and_not_for_long() -> None:
    shelf = Shelf()
    files = Files(shelf)
    assert not await files.arrived(OWN, ["out_1"], wait_s=0.01)
    waiting = asyncio.ensure_future(files.arrived(OWN, ["out_1"], wait_s=5))
    await asyncio.sleep(0)
    files.came(SessionId("ses_other"))
    shelf.there.add("out_1")
    files.came(OWN)
    assert await waiting
    assert files._waiting == {}


async def test_a_file_of_nobody_is_a_word() -> None:
    with pytest.raises(UserError):
        await Files(Shelf()).open("fil_none")


def test_one_large_message_is_with_a_box_at_a_time() -> None:
    load = Load()
    first, second = message("m1", file("f1", WANTED_BYTES)), message("m2", file("f2", 1))
    plain = message("m3")
    assert load.admit([first, second, plain]) == [first]
    assert load.holds
    assert load.settle([MessageId("m1")])
    assert load.admit([second, plain]) == [second, plain]
    assert not load.holds


def test_messages_without_files_are_never_held_for_their_own_sake() -> None:
    load = Load()
    many = [message(f"m{number}") for number in range(100)]
    assert load.admit(many) == many
    assert not load.settle([MessageId("m1")])


def test_what_was_admitted_and_is_offered_again_counts_once() -> None:
    load = Load()
    first, second = message("m1", file("f1", WANTED_BYTES - 1)), message("m2", file("f2", 1))
    assert load.admit([first]) == [first]
    assert load.admit([first, second]) == [first, second]


def test_context_with_too_much_goes_without_its_files() -> None:
    load = Load()
    context = message("m1", file("f1", CONTEXT_BYTES), engage=False)
    more = message("m2", file("f2", 1), engage=False)
    wanted = message("m3", file("f3", WANTED_BYTES))
    kept, without, last = load.admit([context, more, wanted])
    assert (kept, last) == (context, wanted)
    assert without.files == ()
    assert without.text.startswith("look\n[a file with this could not be handed over")


class Outbox:
    def __init__(self) -> None:
        self.done: list[str] = []

    async def delivered(self, delivery: str, *, platform_id: str) -> None:
        del platform_id
        self.done.append(delivery)


@pytest.mark.parametrize("narrow", [False, True])
async def test_a_channel_reads_the_files_of_a_delivery(narrow: bool) -> None:
    one = file("fil_1", 10)
    files = Files(Shelf((OWN, one, b"0123456789")))
    channel = FakeChannel(files=files)
    if narrow:
        channel = NarrowChannel(max_chars=5)
        channel._files = files
    service = DeliveryService(
        outbox=cast("Any", Outbox()),
        channels={channel.name: channel},
        hub=cast("Any", None),
        clock=cast("Any", None),
    )
    delivery = msgspec.convert(
        {
            "id": "dlv_1", "session": OWN, "message": "msg_1", "chat": "cht_1",
            "channel": channel.name, "platform_id": "p", "thread": None, "text": "here it is now",
            "at_ms": 0, "files": [msgspec.to_builtins(one)],
        },
        type=Delivery,
    )  # fmt: skip
    assert await service._attempt(delivery)
    assert channel.received == {"fil_1": b"0123456789"}
    assert [len(shown.files) for shown in channel.shown.values()][-1] == 1
    assert sum(len(shown.files) for shown in channel.shown.values()) == 1
