"""Files in the store: what came with messages, what a box sends, and what no honest box sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError, UserError
from ironclaw.core.ids import SessionId, new_id
from ironclaw.domain.letters import Letter
from ironclaw.domain.model import Destination, Partition, Upload
from ironclaw.domain.routing import Seat
from ironclaw.store.file_rows import SESSION_FILES
from ironclaw.store.forgetting import forget
from ironclaw.store.ledger import Ledger
from ironclaw.store.outgoing import host_id
from ironclaw.testing.fakes_store import outbound
from ironclaw_contract.entries import Answered, File, Said
from ironclaw_contract.limits import MAX_FILES, MAX_PART_BYTES
from ironclaw_contract.records import Part, Say, Step, TurnEnd

if TYPE_CHECKING:
    from ironclaw.testing.fakes_store import Conversation
    from ironclaw_contract.records import OutboundBody

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
LONG = bytes(range(256)) * 4096 + b"end"
"""A little over two parts."""


def uploads(*data: bytes, name: str = "a.png") -> tuple[Upload, ...]:
    return tuple(Upload(name=name, data=one) for one in data)


def whole(file: str, data: bytes, *, name: str = "out.txt") -> File:
    return File(id=file, name=name, media_type="application/octet-stream", size=len(data))


def parts(file: str, data: bytes, *, name: str = "out.txt") -> list[Part]:
    pieces = [data[at : at + MAX_PART_BYTES] for at in range(0, len(data), MAX_PART_BYTES)] or [b""]
    last = len(pieces) - 1
    return [
        Part(file, index, piece, whole(file, data, name=name) if index == last else None)
        for index, piece in enumerate(pieces)
    ]


def say(turn: str, *files: str, text: str = "here", index: int = 0) -> Step:
    said = (Say(text=text, reply_to=turn, files=files),)
    return Step(turn=turn, index=index, entries=(Answered(text),), says=said)


def end(turn: str, *, index: int = 1) -> TurnEnd:
    said = (Say(text="done", reply_to=turn),)
    return TurnEnd(turn=turn, index=index, entries=(Answered("done"),), says=said)


async def commit(talk: Conversation, first: int, *bodies: OutboundBody, epoch: int = 1):
    return await talk.core.ledger.commit(talk.session, epoch, outbound(first, *bodies))


async def read(talk: Conversation, file: str) -> bytes:
    kept = await talk.core.ledger.files.find(file)
    assert kept is not None
    return b"".join([part async for part in talk.core.ledger.files.parts(kept)])


async def count(talk: Conversation, table: str) -> int:
    return await talk.core.store.read(
        lambda db: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a constant
    )


async def begin(talk: Conversation) -> str:
    return (await talk.hear("go")).message.id


# --- in -------------------------------------------------------------------------------------------


async def test_files_come_with_their_message_wherever_it_is_read(talk: Conversation):
    heard = await talk.hear("look", files=uploads(PNG, LONG, b""))
    files = heard.message.files
    assert [(one.name, one.media_type, one.size) for one in files] == [
        ("a.png", "image/png", len(PNG)),
        ("a.png", "application/octet-stream", len(LONG)),
        ("a.png", "text/plain", 0),
    ]
    assert [await read(talk, one.id) for one in files] == [PNG, LONG, b""]
    assert await talk.core.ledger.backlog(talk.session) == [heard.message]
    (event,) = await talk.core.chatlog.transcript(talk.session, limit=9)
    assert event.files == files
    await commit(talk, 1, end(heard.message.id, index=0))
    past = await talk.core.ledger.resume(talk.session, limit_bytes=10**6)
    assert [one.files for one in past.entries if isinstance(one, Said)] == [files]


async def test_a_message_that_comes_twice_keeps_its_files_once(talk: Conversation):
    first = await talk.hear("look", external_id="7", files=uploads(LONG))
    again = await talk.hear("look", external_id="7", files=uploads(LONG))
    assert (again.new, again.message) == (False, first.message)
    assert (await count(talk, "file"), await count(talk, "file_part")) == (1, 3)


async def test_nothing_is_kept_of_the_files_of_a_message_that_was_not(talk: Conversation):
    await talk.core.custodian.forget(talk.session)
    with pytest.raises((HostError, UserError)):
        await talk.hear("look", files=uploads(LONG))
    assert (await count(talk, "file"), await count(talk, "file_part")) == (0, 0)


async def test_a_session_has_so_much_room_and_no_more(talk: Conversation):
    ledger = Ledger(
        talk.core.store, talk.core.custodian, talk.core.clock, files_bytes=len(LONG) + 10
    )
    small = talk._replace(core=talk.core._replace(ledger=ledger))
    await small.hear("one", files=uploads(LONG))
    with pytest.raises(UserError) as refused:
        await small.hear("two", files=uploads(b"x" * 11))
    assert refused.value.code is Code.TOO_LARGE
    await small.hear("three", files=uploads(b"x" * 10))
    assert await count(talk, "file") == 2


async def test_new_conversations_give_no_more_room_than_their_agent_has(talk: Conversation):
    core = talk.core
    ledger = Ledger(core.store, core.custodian, core.clock, agent_files_bytes=len(LONG) + 10)
    talk = talk._replace(core=core._replace(ledger=ledger))
    await talk.hear("one", files=uploads(LONG))
    await core.registry.unseat(talk.session)
    other = talk._replace(session=SessionId(new_id("ses")))
    await core.custodian.create(other.session)
    seat = Seat(talk.agent.id, Partition.SHARED, talk.chat.id, None)
    await core.registry.add_session(other.session, seat)
    await ledger.begin_epoch(other.session, workspace="w")
    with pytest.raises(UserError) as refused:
        await other.hear("two", files=uploads(b"x" * 11))
    assert refused.value.code is Code.TOO_LARGE
    assert "agent_files_bytes" in refused.value.hint
    turn = await begin(other)
    done = await commit(other, 1, *parts("out_1", PNG), say(turn, "out_1"))
    assert done.deliveries[0].files == ()
    await core.store.write(lambda db: forget(db, talk.session))
    await other.hear("three", files=uploads(b"x" * 11))


async def test_what_a_crash_left_is_swept(talk: Conversation):
    heard = await talk.hear("kept", files=uploads(PNG))
    await talk.core.store.write(
        lambda db: db.execute(
            "INSERT INTO file (id, session, message, position, is_out, at_ms)"
            " VALUES ('fil_x', ?, 'msg_never', 0, 0, 0)",
            (talk.session,),
        )
    )
    await talk.core.ledger.files.sweep()
    assert await count(talk, "file") == 1
    assert await read(talk, heard.message.files[0].id) == PNG


async def test_forgetting_a_session_forgets_its_files(talk: Conversation):
    heard = await talk.hear("look", files=uploads(PNG))
    await talk.core.store.write(lambda db: forget(db, talk.session))
    await talk.core.custodian.forget(talk.session)
    assert await talk.core.ledger.files.find(heard.message.files[0].id) is None
    assert (await count(talk, "file"), await count(talk, "file_part")) == (0, 0)
    (event,) = await talk.core.chatlog.transcript(talk.session, limit=9)
    assert event.files == ()


async def test_only_files_of_the_session_are_found_for_it(talk: Conversation):
    other = await talk.core.begin(name="other", place="elsewhere")
    own = await talk.hear("own", files=uploads(PNG))
    foreign = await other.hear("foreign", files=uploads(PNG))
    asked = [*own.message.files, *foreign.message.files, whole("fil_none", b"")]
    found = await talk.core.ledger.files.of_session(talk.session, asked)
    assert [one.file for one in found] == list(own.message.files)


async def test_files_are_listed_by_session_and_agent_the_newest_first(talk: Conversation):
    other = await talk.core.begin(name="other", place="elsewhere")
    heard = await talk.hear("own", files=uploads(PNG))
    foreign = await other.hear("foreign", files=uploads(LONG, name="b.bin"))
    # Begun and not said; of a message that was never kept.
    await commit(talk, 1, *parts("out_1", PNG), say(heard.message.id, "out_1"))
    await commit(talk, 3, *parts("out_2", PNG))
    await talk.core.store.write(
        lambda db: db.execute(
            "INSERT INTO file (id, session, message, position, is_out, state, at_ms)"
            " VALUES ('fil_x', ?, 'msg_never', 0, 0, 1, 0)",
            (talk.session,),
        )
    )
    newest = talk.core.ledger.files.newest
    every = await newest(agents=None, session=None, limit=9)
    assert [(one.name, one.is_out, one.sender, one.agent_name) for one in every] == [
        ("out.txt", True, "helper", "helper"),
        ("b.bin", False, "Ann", "other"),
        ("a.png", False, "Ann", "helper"),
    ]
    out, theirs, came = every
    assert (came.id, came.message) == (heard.message.files[0].id, heard.message.id)
    assert (came.media_type, came.size, came.session) == ("image/png", len(PNG), talk.session)
    assert (out.media_type, out.message) == ("image/png", heard.message.id)
    assert await newest(agents=None, session=None, limit=1) == [out]
    assert await newest(agents=[talk.agent.id], session=None, limit=9) == [out, came]
    assert await newest(agents=None, session=other.session, limit=9) == [theirs]
    assert await newest(agents=[talk.agent.id], session=other.session, limit=9) == []
    assert await newest(agents=[], session=None, limit=9) == []
    await talk.core.store.write(lambda db: forget(db, talk.session))
    assert await newest(agents=None, session=None, limit=9) == [theirs]
    # Without its key nothing of a file can be had, whatever its row says.
    await talk.core.custodian.forget(other.session)
    assert await newest(agents=None, session=None, limit=9) == []
    assert foreign.message.session == other.session


# --- out ------------------------------------------------------------------------------------------


async def test_a_file_that_words_take_along_is_delivered_with_them(talk: Conversation):
    turn = await begin(talk)
    done = await commit(
        talk,
        1,
        *parts("out_1", LONG),
        *parts("out_2", PNG, name="x..txt"),
        say(turn, "out_1", "out_2"),
    )
    (delivery,) = done.deliveries
    assert [(one.name, one.media_type, one.size) for one in delivery.files] == [
        ("out.txt", "application/octet-stream", len(LONG)),
        ("x..txt", "image/png", len(PNG)),
    ]
    assert [one.id for one in delivery.files] == [
        host_id(talk.session, "out_1"),
        host_id(talk.session, "out_2"),
    ]
    assert await read(talk, delivery.files[0].id) == LONG
    (due,) = await talk.core.ledger.due(now_ms=talk.core.clock.now_ms() + 1000, limit=9)
    assert due == delivery
    events = await talk.core.chatlog.transcript(talk.session, limit=9)
    assert events[-1].files == delivery.files
    kept = await talk.core.ledger.files.find(delivery.files[0].id)
    assert kept is not None
    assert await talk.core.ledger.files.chats(kept) == (talk.chat.id,)


async def test_a_file_without_words_is_delivered_too(talk: Conversation):
    turn = await begin(talk)
    done = await commit(talk, 1, *parts("out_1", b""), say(turn, "out_1", text=""))
    assert [(one.text, one.files[0].size) for one in done.deliveries] == [("", 0)]


async def test_what_no_words_took_along_is_removed_with_the_step(talk: Conversation):
    turn = await begin(talk)
    await commit(talk, 1, *parts("out_1", LONG))
    assert await count(talk, "file_part") == 3
    await commit(talk, 4, say(turn))
    assert (await count(talk, "file"), await count(talk, "file_part")) == (0, 0)


async def test_a_fresh_box_may_send_again_what_was_not_said(talk: Conversation):
    turn = await begin(talk)
    await commit(talk, 1, parts("out_1", LONG)[0])
    await talk.core.ledger.begin_epoch(talk.session, workspace="w")
    assert await count(talk, "file") == 0
    done = await commit(talk, 1, *parts("out_1", LONG), say(turn, "out_1"), epoch=2)
    assert await read(talk, done.deliveries[0].files[0].id) == LONG


async def test_a_file_that_was_said_is_not_changed_by_saying_it_again(talk: Conversation):
    turn = await begin(talk)
    await give_destination(talk)
    await commit(talk, 1, *parts("out_1", LONG))
    sent = await talk.core.ledger.send(letter(talk, turn, "out_1"))
    assert sent is not None
    await talk.core.ledger.begin_epoch(talk.session, workspace="w")
    await commit(talk, 1, *parts("out_1", bytes(len(LONG))), end(turn, index=0), epoch=2)
    assert await read(talk, sent.files[0].id) == LONG


HOSTILE = {
    "an end before the beginning": [parts("out_1", LONG)[1]],
    "a gap": [parts("out_1", LONG)[0], parts("out_1", LONG)[2]],
    "a part twice": [parts("out_1", LONG)[0], parts("out_1", LONG)[0]],
    "more behind the end": [*parts("out_1", PNG), Part("out_1", 1, b"more", None)],
    "a lie about the size": [Part("out_1", 0, PNG, whole("out_1", b""))],
    "another file's end": [Part("out_1", 0, PNG, whole("out_2", PNG))],
    "small pieces without an end": [Part("out_1", 0, b"x", None)],
    "too many files": [part for n in range(MAX_FILES + 1) for part in parts(f"out_{n}", b"")],
}


@pytest.mark.parametrize("bodies", HOSTILE.values(), ids=HOSTILE)
async def test_parts_that_no_honest_box_sends_end_the_session(
    talk: Conversation, bodies: list[Part]
):
    await begin(talk)
    with pytest.raises(PeerError) as refused:
        await commit(talk, 1, *bodies)
    assert refused.value.code is Code.TAMPER
    assert await count(talk, "file") == 0


async def test_a_file_that_is_never_whole_cannot_grow_without_end(talk: Conversation):
    await begin(talk)
    full = bytes(MAX_PART_BYTES)
    for index in range(32):
        await commit(talk, index + 1, Part("out_1", index, full))
    with pytest.raises(PeerError):
        await commit(talk, 33, Part("out_1", 32, full))


async def test_files_together_cannot_grow_beyond_what_one_step_may_send(talk: Conversation):
    await begin(talk)
    full = bytes(MAX_PART_BYTES)
    for index in range(64):
        await commit(talk, index + 1, Part(f"out_{index // 32}", index % 32, full))
    with pytest.raises(PeerError):
        await commit(talk, 65, Part("out_3", 0, full))


@pytest.mark.parametrize("claimed", ["out_9", "out_grows", "out_1"])
async def test_words_cannot_take_along_what_was_not_sent_in_their_turn(
    talk: Conversation, claimed: str
):
    turn = await begin(talk)
    await commit(talk, 1, *parts("out_1", PNG), say(turn, "out_1"), end(turn))
    second = (await talk.hear("more")).message.id
    with pytest.raises(PeerError) as refused:
        await commit(talk, 4, Part("out_grows", 0, bytes(MAX_PART_BYTES)), say(second, claimed))
    assert refused.value.code is Code.TAMPER


async def test_words_cannot_take_along_what_is_of_another_session(talk: Conversation):
    other = await talk.core.begin(name="other", place="elsewhere")
    heard = await other.hear("foreign", files=uploads(PNG))
    turn = await begin(talk)
    for claimed in (heard.message.files[0].id, host_id(other.session, "out_1")):
        with pytest.raises(PeerError):
            await commit(talk, 1, say(turn, claimed))


async def test_a_file_for_which_there_is_no_room_is_left_out_and_people_are_told(
    talk: Conversation,
):
    ledger = Ledger(talk.core.store, talk.core.custodian, talk.core.clock, files_bytes=100)
    small = talk._replace(core=talk.core._replace(ledger=ledger))
    turn = await begin(small)
    done = await commit(small, 1, *parts("out_1", LONG), say(turn, "out_1"))
    (delivery,) = done.deliveries
    assert delivery.files == ()
    assert delivery.text.startswith("here\n\n[A file could not be sent")
    assert await count(talk, "file_part") == 0
    # So is the agent, before what is said to it next, and once for a step.
    more = (*parts("out_2", LONG), *parts("out_3", LONG), say(turn, "out_2", "out_3", index=1))
    for _ in range(2):
        await commit(small, 2 + len(parts("out_1", LONG)), *more)
    waits = await small.core.ledger.backlog(talk.session)
    told = [(one.sender, one.engage, one.text.partition(".")[0]) for one in waits[1:]]
    words = "Files that you sent here and that did not arrive: "
    assert told == [("IronClaw", False, f"{words}1"), ("IronClaw", False, f"{words}2")]
    assert {one.chat for one in waits} == {talk.chat.id}


async def test_a_session_cannot_have_files_without_number(talk: Conversation):
    heard = await talk.hear("go")
    await talk.core.store.write(
        lambda db: db.executemany(
            "INSERT INTO file (id, session, message, position, is_out, at_ms)"
            " VALUES (?, ?, ?, 0, 0, 0)",
            [(f"fil_{n}", talk.session, heard.message.id) for n in range(SESSION_FILES)],
        )
    )
    with pytest.raises(UserError):
        await talk.hear("one more", files=uploads(b""))


# --- to destinations ------------------------------------------------------------------------------


async def give_destination(talk: Conversation) -> None:
    place = Destination(name="team", channel="fake", platform_id="t1")
    agent = msgspec.structs.replace(talk.agent, destinations=(place,), tools=("send_message",))
    await talk.core.store.write(
        lambda db: db.execute(
            "UPDATE agent SET body = ? WHERE id = ?", (msgspec.msgpack.encode(agent), agent.id)
        )
    )


def letter(talk: Conversation, turn: str, *files: str) -> Letter:
    return Letter(
        agent=talk.agent.id,
        session=talk.session,
        turn=turn,
        key="k",
        destination="team",
        text="look",
        files=files,
    )


async def test_a_letter_takes_files_along_to_its_destination(talk: Conversation):
    turn = await begin(talk)
    await give_destination(talk)
    assert not await talk.core.ledger.files.has_come(talk.session, ["out_1"])
    await commit(talk, 1, *parts("out_1", PNG))
    assert await talk.core.ledger.files.has_come(talk.session, ["out_1"])
    sent = await talk.core.ledger.send(letter(talk, turn, "out_1"))
    assert sent is not None
    assert sent.chat != talk.chat.id
    assert [one.media_type for one in sent.files] == ["image/png"]
    await commit(talk, 2, say(turn))
    kept = await talk.core.ledger.files.find(sent.files[0].id)
    assert kept is not None
    assert await talk.core.ledger.files.chats(kept) == (sent.chat,)
