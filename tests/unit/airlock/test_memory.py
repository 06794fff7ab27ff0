"""Looking into a memory that boxes have written, and changing it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.house import wait_for_end
from tests.support.slots import give, slots

from ironclaw.airlock.memory import digest_of, tend
from ironclaw.airlock.messages import Start
from ironclaw.domain.memories import MemoryAct, MemoryAnswer, MemoryAsk, pack, unpack
from ironclaw_contract.memory_dir import MAX_TOPIC_BYTES
from ironclaw_contract.memory_notes import Note, parse, render

ANN = Note("one", "ses_a", "2026-11-26T02:40:00Z", tainted=False, sender="Ann")
BOB = ANN._replace(text="two", session="ses_b", tainted=True)


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def ask(act: MemoryAct, topic: str = "", **more: object) -> MemoryAsk:
    return MemoryAsk(act, topic)._replace(**more)


def test_topics_are_listed_with_their_notes(top: int, tmp_path: Path) -> None:
    (tmp_path / "birds.md").write_text(render([ANN, BOB]))
    told = tend(top, ask(MemoryAct.LIST))
    ((name, size, notes, tainted, changed_ms),) = (
        (one.name, one.bytes, one.notes, one.tainted, one.changed_ms) for one in told.topics
    )
    found = (tmp_path / "birds.md").stat()
    assert (name, size, notes, tainted) == ("birds", found.st_size, 2, 1)
    assert changed_ms == found.st_mtime_ns // 1_000_000


def test_notes_of_a_session_that_the_host_knows_better_count_as_tainted(
    top: int, tmp_path: Path
) -> None:
    (tmp_path / "birds.md").write_text(render([ANN, BOB, ANN]))
    known = unpack(pack(["ses_x", "ses_a"]))
    assert known == ("ses_x", "ses_a")
    for act in (MemoryAct.LIST, MemoryAct.READ):
        (one,) = tend(top, ask(act, "birds", foreign=known)).topics
        assert (one.notes, one.tainted) == (3, 3)
        # The twin: without what the host knows, a note is believed.
        (one,) = tend(top, ask(act, "birds")).topics
        assert (one.notes, one.tainted) == (3, 1)


def test_a_topic_is_read_written_and_forgotten(top: int) -> None:
    assert tend(top, ask(MemoryAct.READ, "birds")).text is None
    tend(top, ask(MemoryAct.WRITE, "birds", data=b"by hand"))
    assert tend(top, ask(MemoryAct.READ, "birds")).text == b"by hand"
    tend(top, ask(MemoryAct.FORGET, "birds"))
    assert tend(top, ask(MemoryAct.READ, "birds")).text is None


def test_an_edit_of_what_has_changed_meanwhile_is_not_done(top: int) -> None:
    tend(top, ask(MemoryAct.WRITE, "birds", data=b"one"))
    was = digest_of(b"one")
    assert not tend(top, ask(MemoryAct.WRITE, "birds", data=b"two", was=was)).is_changed
    for act in (MemoryAct.WRITE, MemoryAct.FORGET):
        assert tend(top, ask(act, "birds", data=b"three", was=was)).is_changed
        assert tend(top, ask(act, "fish", data=b"three", was=was)).is_changed
    assert tend(top, ask(MemoryAct.READ, "birds")).text == b"two"


def test_a_purge_takes_the_notes_of_one_session_and_leaves_all_else(
    top: int, tmp_path: Path
) -> None:
    odd = render([Note("by hand"), ANN, BOB, ANN]).encode().replace(b"hand", b"h\xffnd")
    (tmp_path / "birds.md").write_bytes(odd)
    (tmp_path / "ann.md").write_text(render([ANN]))
    (tmp_path / "fish.md").write_text(render([BOB]))
    told = tend(top, ask(MemoryAct.PURGE, session="ses_a"))
    assert (told.removed, told.is_whole) == (3, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["birds.md", "fish.md"]
    kept = (tmp_path / "birds.md").read_bytes()
    assert b"h\xffnd" in kept
    assert [note.session for note in parse(kept.decode("utf-8", "replace"))] == ["", "ses_b"]
    assert tend(top, ask(MemoryAct.PURGE, session="ses_a")).removed == 0


@pytest.mark.hostile
def test_what_a_box_left_is_neither_followed_nor_believed(top: int, tmp_path: Path) -> None:
    (tmp_path / "link.md").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "directory.md").mkdir()
    with (tmp_path / "huge.md").open("wb") as file:
        file.write(render([ANN]).encode())
        file.truncate(100 * 1024 * 1024)
    for topic in ("link", "pipe", "directory", "../secret", "", "A"):
        assert tend(top, ask(MemoryAct.READ, topic)).refused
    huge = tend(top, ask(MemoryAct.READ, "huge"))
    assert huge.text is not None
    assert (len(huge.text), huge.is_whole) == (MAX_TOPIC_BYTES, False)
    assert [topic.name for topic in tend(top, ask(MemoryAct.LIST)).topics] == ["huge"]
    told = tend(top, ask(MemoryAct.PURGE, session="ses_a"))
    assert (told.removed, told.is_whole) == (0, False), "said, not skipped"
    for topic in ("link", "pipe", "huge"):
        tend(top, ask(MemoryAct.WRITE, topic, data=b"x"))
        assert tend(top, ask(MemoryAct.READ, topic)).text == b"x"
        tend(top, ask(MemoryAct.FORGET, topic))
    assert Path("/etc/passwd").stat().st_size > 1


async def test_the_confined_process_does_all_of_it() -> None:
    text = b"x" * MAX_TOPIC_BYTES
    async with slots() as (slot,):

        async def confined(asked: MemoryAsk) -> MemoryAnswer:
            return await slot.starter.memory(
                slot.out, uid=slot.dir.box_uid, gid=slot.dir.group, ask=asked
            )

        (slot.out / "ann.md").write_text(render([ANN]))
        (slot.out / ".writing").symlink_to("/etc/passwd")
        give(slot, [slot.out / "ann.md", slot.out / ".writing"])
        os.utime(slot.out / ".writing", (1, 1), follow_symlinks=False)
        assert not (await confined(ask(MemoryAct.WRITE, "birds", data=text))).refused
        assert (await confined(ask(MemoryAct.READ, "birds"))).text == text
        listed = await confined(ask(MemoryAct.LIST))
        assert [(one.topic, one.notes) for one in listed.topics] == [("ann", 1), ("birds", 1)]
        assert (await confined(ask(MemoryAct.PURGE, session="ses_a"))).removed == 1
        assert not (await confined(ask(MemoryAct.FORGET, "birds"))).refused
        assert (await confined(ask(MemoryAct.LIST))).topics == ()
        assert (await confined(ask(MemoryAct.READ, "../key"))).refused


async def test_a_process_that_has_ended_before_it_was_spoken_to_is_still_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with slots() as (slot,):
        fork = slot.starter._fork

        async def slow(request: Start) -> tuple[socket.socket, int]:
            ours, pid = await fork(request)
            await asyncio.to_thread(wait_for_end, pid)
            return ours, pid

        monkeypatch.setattr(slot.starter, "_fork", slow)
        answer = await slot.starter.memory(
            slot.out, uid=slot.dir.box_uid, gid=slot.dir.group, ask=ask(MemoryAct.LIST)
        )
        assert answer.topics == ()
