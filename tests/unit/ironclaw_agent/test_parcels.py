"""Files that come with messages: kept whole or not at all, once, and never outside of the inbox."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.ironclaw_agent.agent_host import message, setup

import ironclaw_agent.parcels as module
from ironclaw_agent.parcels import Parcels, place_of
from ironclaw_agent.tools.beneath import Beneath
from ironclaw_contract.entries import File, Said
from ironclaw_contract.limits import MAX_FILE_BYTES, MAX_PART_BYTES
from ironclaw_contract.records import ContractError, Message, Part

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.ironclaw_agent.agent_host import Host

LONG = bytes(range(256)) * 4096 + b"end"


def file(data: bytes, *, id_: str = "fil_1", name: str = "note.txt") -> File:
    return File(id=id_, name=name, media_type="text/plain", size=len(data))


def parts(data: bytes, **of: str) -> list[Part]:
    whole = file(data, **of)
    starts = range(0, len(data), MAX_PART_BYTES) or range(1)
    pieces = [data[at : at + MAX_PART_BYTES] for at in starts]
    return [
        Part(whole.id, index, piece, whole if index == len(pieces) - 1 else None)
        for index, piece in enumerate(pieces)
    ]


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "inbox").iterdir())


def take(parcels: Parcels, *bodies: Part) -> None:
    for body in bodies:
        parcels.take(body)


def said(*files: File, text: str = "look") -> Said:
    return Said(message="msg_1", sender="Ann", text=text, at_ms=0, files=files)


@pytest.fixture
def parcels(tmp_path: Path) -> Parcels:
    return Parcels(Beneath(str(tmp_path), "/workspace"))


def test_a_file_is_there_once_its_last_part_is(parcels: Parcels, tmp_path: Path):
    first, *rest = parts(LONG)
    parcels.take(first)
    assert not (tmp_path / "inbox/fil_1-note.txt").exists()
    for part in rest:
        parcels.take(part)
    assert (tmp_path / "inbox/fil_1-note.txt").read_bytes() == LONG
    assert names(tmp_path) == ["fil_1-note.txt"]
    assert parcels.describe(said(file(LONG))).text == (
        f"look\n[File /workspace/inbox/fil_1-note.txt: text/plain, {len(LONG)} bytes]"
    )


def test_a_file_without_bytes_is_one(parcels: Parcels, tmp_path: Path):
    parcels.take(parts(b"")[0])
    assert (tmp_path / "inbox/fil_1-note.txt").read_bytes() == b""
    foreign = Said(message="m", sender="Ann", text="", at_ms=0, files=(file(LONG),), foreign=True)
    assert parcels.describe(foreign).foreign
    assert parcels.describe(said(file(b""), text="")).text.startswith("[File /workspace/inbox/")


def test_one_that_comes_again_is_not_written_again(parcels: Parcels, tmp_path: Path):
    parcels.take(parts(b"as it came")[0])
    (tmp_path / "inbox/fil_1-note.txt").write_bytes(b"as the agent has it")
    parcels.take(parts(b"as it came")[0])
    assert (tmp_path / "inbox/fil_1-note.txt").read_bytes() == b"as the agent has it"
    assert names(tmp_path) == ["fil_1-note.txt"]


def test_one_that_was_cut_off_begins_anew(parcels: Parcels, tmp_path: Path):
    parcels.take(parts(LONG)[0])
    again = Parcels(Beneath(str(tmp_path), "/workspace"))
    for part in (*parts(LONG)[:2], *parts(LONG)):
        again.take(part)
    assert (tmp_path / "inbox/fil_1-note.txt").read_bytes() == LONG
    assert names(tmp_path) == ["fil_1-note.txt"]


@pytest.mark.parametrize(
    "bodies",
    [
        [parts(LONG)[1]],
        [parts(LONG)[0], parts(LONG)[2]],
        [parts(LONG)[0], Part("fil_2", 1, b"", None)],
        [Part("fil_1", 0, b"x", file(b""))],
        [Part("fil_1", 0, b"x", file(b"x", id_="fil_2"))],
    ],
)
def test_parts_that_do_not_follow_are_refused(parcels: Parcels, bodies: list[Part]):
    with pytest.raises(ContractError):
        take(parcels, *bodies)


def test_a_file_does_not_grow_without_end(parcels: Parcels, tmp_path: Path):
    full = bytes(MAX_PART_BYTES)
    for index in range(MAX_FILE_BYTES // MAX_PART_BYTES):
        parcels.take(Part("fil_1", index, full))
    with pytest.raises(ContractError):
        parcels.take(Part("fil_1", MAX_FILE_BYTES // MAX_PART_BYTES, b"x"))
    assert (tmp_path / "inbox/.fil_1.part").stat().st_size == MAX_FILE_BYTES


def test_a_full_disk_is_a_word_to_the_model_and_leaves_nothing(
    parcels: Parcels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(_fd: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(module.os, "write", full)
        for part in parts(LONG):
            parcels.take(part)
    assert names(tmp_path) == []
    text = parcels.describe(said(file(LONG))).text
    assert text == (
        "look\n[A file came with this and could not be kept: the disk space of this agent is used"
        " up. It was fil_1-note.txt]"
    )


@pytest.mark.parametrize("kind", ["link", "file"])
def test_nothing_is_written_where_something_else_stands(
    parcels: Parcels, tmp_path: Path, kind: str
):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    if kind == "link":
        (tmp_path / "inbox").symlink_to(outside)
    else:
        (tmp_path / "inbox").write_text("mine")
    parcels.take(parts(b"x")[0])
    assert list(outside.iterdir()) == []
    assert "something that is no directory" in parcels.describe(said(file(b"x"))).text


def test_a_link_in_its_place_is_not_followed(parcels: Parcels, tmp_path: Path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "inbox/.fil_1.part").symlink_to(tmp_path / "secret")
    (tmp_path / "inbox/fil_2-note.txt").symlink_to(tmp_path / "secret")
    parcels.take(parts(b"x")[0])
    parcels.take(parts(b"x", id_="fil_2")[0])
    assert (tmp_path / "secret").read_text() == "secret"
    assert (tmp_path / "inbox/fil_1-note.txt").read_bytes() == b"x"


def test_what_the_agent_removed_is_not_promised(parcels: Parcels):
    assert parcels.describe(said(file(b"x"))).text.endswith("it is not there any more]")


@given(name=st.text(min_size=1, max_size=128).filter(lambda name: "/" not in name))
def test_whatever_a_file_is_called_it_stays_in_the_inbox(name: str):
    place = place_of(File(id="fil_1", name=name, media_type="text/plain", size=0))
    assert place.startswith("fil_1-")
    assert len(place.encode()) < 255
    assert not set(place) & set("/\0\n\u202e ")
    assert place.isprintable()


def test_a_file_crosses_the_queue_and_the_model_is_told_where_it_is(host: Host):
    host.hello()
    host.claim()
    sent = Message("msg_1", "Ann", "look", 0, files=(file(LONG),))
    host.publish(setup(), *parts(LONG))
    host.publish(sent, message(2))
    ask = host.ask()
    (entry,) = ask.entries
    assert isinstance(entry, Said)
    assert entry.files == (file(LONG),)
    assert entry.text.startswith("look\n[File /workspace/inbox/fil_1-note.txt: text/plain, ")
    assert (host.root / "workspace/inbox/fil_1-note.txt").read_bytes() == LONG
