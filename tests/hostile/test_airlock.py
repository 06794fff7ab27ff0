"""A box that attacks its queue and its sockets: it is accused, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.cores import until
from tests.support.slots import give, listing, slots

from ironclaw.domain.wall import Asked, BoxArrived, BoxGone, Outbound, Tampered
from ironclaw_contract.frames import pack
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import MAX_SEGMENT_BYTES
from ironclaw_contract.records import Step, TurnEnd
from ironclaw_contract.rpc import Bell, Cancel, Delta, Facts, Generate, Hello
from ironclaw_contract.segment import read_records, seal_segment, write_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.support.slots import Slot

pytestmark = pytest.mark.hostile

FIRST = "0000000000000001.seg"
SECOND = "0000000000000002.seg"
ASK = Generate(call=1, turn="msg_a", system="", entries=(), tools=(), max_output_tokens=1)
FACTS = Facts(
    uid=1, gid=1, groups=(), cap_eff=0, cap_prm=0, cap_bnd=0, no_new_privs=True, seccomp=2,
    interfaces=("x" * 400,) * 30, routes=0, root_writable=False, in_writable=False, kernel="",
    processes=1, environment=(),
)  # fmt: skip
LONG_HELLO = pack(Hello(version=1, claimed=True, in_seq=0, out_seq=0, facts=FACTS))


@pytest.fixture
async def slot() -> AsyncIterator[Slot]:
    async with slots() as made:
        await made[0].bring_up()
        yield made[0]


def end(turn: str = "msg_a") -> TurnEnd:
    return TurnEnd(turn=turn, index=0, entries=())


def symlink(target: Path) -> None:
    target.symlink_to("/etc/passwd")


def dangling(target: Path) -> None:
    target.symlink_to("nowhere")


def hard_link(target: Path) -> None:
    other = target.with_name("." + SECOND)
    other.write_bytes(bytes(8192))
    target.hardlink_to(other)


def directory(target: Path) -> None:
    target.mkdir()
    (target / "file").touch()


def fifo(target: Path) -> None:
    os.mkfifo(target)


def bound_socket(target: Path) -> None:
    fd = os.open(target.parent, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"/proc/self/fd/{fd}/{target.name}")
    os.close(fd)


def sparse(target: Path) -> None:
    with target.open("wb") as file:
        file.truncate(1 << 40)


def empty(target: Path) -> None:
    target.touch()


def too_large(target: Path) -> None:
    target.write_bytes(bytes(MAX_SEGMENT_BYTES + 4096))


def garbage(target: Path) -> None:
    target.write_bytes(os.urandom(8192))


def unreadable(target: Path) -> None:
    target.write_bytes(bytes(8192))
    target.chmod(0)


PLANTS: dict[Callable[[Path], None], str] = {
    symlink: "file",
    dangling: "file",
    hard_link: "file",
    directory: "file",
    fifo: "file",
    bound_socket: "file",
    sparse: "size",
    empty: "size",
    too_large: "size",
    garbage: "format",
    unreadable: "file",
}


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
async def test_a_planted_file_is_tampering(slot: Slot, plant: Callable[[Path], None]) -> None:
    plant(slot.out / FIRST)
    give(slot, slot.out.iterdir())
    slot.box.ring()
    assert (await slot.expect(Tampered)).reason == PLANTS[plant]


@pytest.mark.root_only
async def test_a_file_of_somebody_else_is_tampering(slot: Slot) -> None:
    sealed = seal_segment(slot.box.out_keys, slot.box.out, [end()])
    (slot.out / FIRST).write_bytes(sealed.data)
    slot.box.ring()
    assert (await slot.expect(Tampered)).reason == "file"


async def test_after_tampering_nothing_is_read_and_no_socket_is_left(slot: Slot) -> None:
    (slot.out / FIRST).symlink_to("x")
    slot.box.ring()
    await slot.expect(Tampered)
    with pytest.raises(OSError, match=r"refused|No such"):
        await asyncio.to_thread(slot.box.connect, "model.sock")
    (slot.out / FIRST).unlink()
    slot.box.write(end(), ring=False)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await slot.link.receive()


async def test_a_gap_is_tampering(slot: Slot) -> None:
    seal_segment(slot.box.out_keys, slot.box.out, [end()])
    await asyncio.to_thread(slot.box.write, end())
    assert (await slot.expect(Tampered)).reason == "gap"


async def test_a_segment_that_says_another_number_is_tampering(slot: Slot) -> None:
    seal_segment(slot.box.out_keys, slot.box.out, [end()])
    sealed = seal_segment(slot.box.out_keys, slot.box.out, [end()])
    slot.box.plant(FIRST, sealed.data)
    slot.box.ring()
    assert (await slot.expect(Tampered)).reason == "gap"


async def test_an_inbound_segment_played_back_is_tampering(slot: Slot) -> None:
    await slot.send("msg_a")
    slot.box.plant(FIRST, (slot.dir.path / "in" / FIRST).read_bytes())
    slot.box.ring()
    assert (await slot.expect(Tampered)).reason == "format"


async def test_a_forged_mac_under_the_right_page_key_is_tampering(slot: Slot) -> None:
    sealed = seal_segment(slot.box.out_keys, slot.box.out, [end()])
    rows = read_records(slot.box.out_keys.page, sealed.data)
    slot.box.plant(FIRST, write_records(slot.box.out_keys.page, [rows[0]._replace(mac=bytes(32))]))
    slot.box.ring()
    assert (await slot.expect(Tampered)).reason == "mac"


async def test_another_sessions_segment_is_tampering() -> None:
    async with slots(2) as (one, other):
        await one.bring_up()
        await other.bring_up()
        keys = derive(bytes(32), Direction.OUT)
        sealed = seal_segment(keys, other.box.out, [end()])
        one.box.plant(FIRST, sealed.data)
        one.box.ring()
        assert (await one.expect(Tampered)).reason == "format"
        await other.send("msg_a")


async def test_odd_names_are_swept_unread_and_do_not_disturb(slot: Slot) -> None:
    odd = (b"x", b"\xff\xfe", b"new\nline", b".hidden", FIRST.encode() + b"-journal", b"a" * 255)
    for name in odd:
        fd = os.open(os.fsencode(slot.out) + b"/" + name, os.O_CREAT | os.O_WRONLY)
        os.close(fd)
    (slot.out / "empty").mkdir()
    (slot.out / "link").symlink_to("/etc")
    give(slot, slot.out.iterdir())
    half = "." + SECOND
    slot.box.plant(half, b"half-written")
    slot.box.ring()
    await slot.send("msg_a")
    # The look at the directory may come after the message: both wake the airlock.
    await until(lambda: listing(slot.out) == [half], "the sweep")
    await asyncio.to_thread(slot.box.write, end())
    await slot.expect(Outbound)


async def test_a_foreign_directory_with_content_is_tampering(slot: Slot) -> None:
    (slot.out / "deep" / "deeper").mkdir(parents=True)
    give(slot, [slot.out / "deep", slot.out / "deep" / "deeper"])
    slot.box.ring()
    assert (await slot.expect(Tampered)).reason == "file"


async def test_a_flood_of_files_is_tampering(slot: Slot) -> None:
    for number in range(600):
        (slot.out / f".{number + 2:016d}.seg").touch()
    slot.box.ring()
    assert (await slot.expect(Tampered)).reason == "size"


@pytest.mark.parametrize(
    "greeting",
    [
        b"garbage without a frame in it",
        struct.pack(">I", 1 << 31),
        struct.pack(">I", 5) + b"hello",
        pack(Hello(version=2, claimed=False, in_seq=0, out_seq=0)),
        pack(Hello(version=1, claimed=False, in_seq=0, out_seq=0)) + b"L",
        struct.pack(">I", 3) + b"\x91\x91\x91",
    ],
    ids=["garbage", "huge", "wrong", "version", "more", "nested"],
)
async def test_a_bad_hello_is_tampering(greeting: bytes) -> None:
    async with slots() as (slot,):
        await slot.start()
        sock = await asyncio.to_thread(slot.box.connect, "bell.sock")
        sock.sendall(greeting)
        assert (await slot.expect(Tampered)).reason == "frame"
        sock.close()


async def test_a_byte_the_bell_does_not_know_is_tampering(slot: Slot) -> None:
    assert slot.box.bell is not None
    slot.box.bell.sendall(b"\x00")
    assert (await slot.expect(Tampered)).reason == "frame"


async def test_a_box_that_read_what_was_never_written_is_tampering(slot: Slot) -> None:
    slot.box.close()
    await slot.expect(BoxGone)
    await asyncio.to_thread(slot.box.hello, in_seq=7)
    await slot.expect(BoxArrived)
    assert (await slot.expect(Tampered)).reason == "gap"


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def deep(depth: int) -> bytes:
    return framed(b"\x81\xa1f" * depth + b"\xc0")


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 4) + b"junk",
        deep(5000),
        struct.pack(">I", 0),
        framed(msgspec.msgpack.encode({"f": "cancel", "call": 1, "more": 1})),
    ],
    ids=["huge", "junk", "deep", "empty", "unknown field"],
)
async def test_a_bad_model_frame_is_tampering(slot: Slot, frame: bytes) -> None:
    sock = await asyncio.to_thread(slot.box.connect, "model.sock")
    sock.sendall(frame)
    assert (await slot.expect(Tampered)).reason == "frame"
    sock.close()


async def test_a_blank_box_that_asks_the_model_is_tampering() -> None:
    async with slots() as (slot,):
        await slot.start()
        await asyncio.to_thread(slot.box.hello)
        await slot.expect(BoxArrived)
        await asyncio.to_thread(slot.box.ask, ASK)
        assert (await slot.expect(Tampered)).reason == "frame"


async def test_a_bell_that_comes_and_goes_does_not_bury_a_core_that_does_not_listen(
    slot: Slot,
) -> None:
    slot.box.close()

    def flap() -> int:
        sock = None
        for count in range(20_000):
            sock = slot.box.connect("bell.sock")
            sock.settimeout(0.5)
            with sock:
                try:
                    sock.sendall(LONG_HELLO)
                    sock.shutdown(socket.SHUT_WR)
                    if sock.recv(10) not in {b"", b"L"}:
                        return count
                except TimeoutError:
                    return count
                except ConnectionError:
                    continue
        return 20_000

    assert await asyncio.to_thread(flap) < 20_000


async def test_cancelling_what_was_never_asked_reaches_nobody(slot: Slot) -> None:
    await asyncio.to_thread(slot.box.ask, Cancel(call=5))
    await asyncio.to_thread(slot.box.write, end())
    await slot.expect(Outbound)


async def test_a_thousand_connections_disturb_nothing(slot: Slot) -> None:
    socks: list[socket.socket] = []
    fd = os.open(slot.dir.path / "run", os.O_PATH)
    try:
        for number in range(1000):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            socks.append(sock)
            name = ("bell.sock", "model.sock")[number % 2]
            with contextlib.suppress(BlockingIOError):
                sock.connect(f"/proc/self/fd/{fd}/{name}")
        assert await slot.send("msg_a") == ["msg_a"]
        await asyncio.to_thread(slot.box.write, end())
        await slot.expect(Outbound)
    finally:
        os.close(fd)
        for sock in socks:
            sock.close()


async def test_half_open_and_half_written_clients_hold_up_nobody(slot: Slot) -> None:
    slow = [await asyncio.to_thread(slot.box.connect, "model.sock") for _ in range(4)]
    for sock in slow:
        sock.sendall(b"\x00\x00")
        sock.shutdown(socket.SHUT_WR)
        sock.close()
    assert await slot.send("msg_a") == ["msg_a"]
    await asyncio.to_thread(slot.box.ask, Cancel(call=1))
    await asyncio.to_thread(slot.box.write, Step(turn="msg_a", index=0, entries=()))
    await slot.expect(Outbound)


async def test_a_box_that_never_reads_its_model_socket_loses_it_and_no_more(slot: Slot) -> None:
    await asyncio.to_thread(slot.box.ask, ASK)
    await slot.expect(Asked)
    for _ in range(60):
        await slot.link.tell(Delta(call=1, text="x" * 250_000))
    assert (await slot.expect(Asked)).ask == Cancel(call=1)
    assert await slot.send("msg_a") == ["msg_a"]


async def test_a_flood_of_bells_is_one_look(slot: Slot) -> None:
    assert slot.box.bell is not None
    await asyncio.to_thread(slot.box.bell.sendall, Bell.LOOK.value * 1_000_000)
    await asyncio.to_thread(slot.box.write, end())
    await slot.expect(Outbound)


async def test_a_core_that_does_not_listen_is_not_buried(slot: Slot) -> None:
    """The airlock stops reading its box instead of growing."""
    sock = await asyncio.to_thread(slot.box.connect, "model.sock")
    sock.settimeout(0.5)

    def flood() -> int:
        sent = 0
        with contextlib.suppress(TimeoutError):
            for call in range(1, 400):
                big = msgspec.structs.replace(ASK, call=call, system="x" * 250_000)
                sock.sendall(pack(big))
                sent += 1
        return sent

    assert await asyncio.to_thread(flood) < 400
    sock.close()
