"""`tools.sock` of a real airlock: there while it is offered, and the box's uses on it."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.support.slots import listing, slots

from ironclaw.airlock.tools import SPARES
from ironclaw.domain.wall import AskedTool, BoxArrived, Tampered
from ironclaw_contract.frames import pack
from ironclaw_contract.limits import MAX_TOOL_FRAME_BYTES, MAX_USED_CHARS
from ironclaw_contract.rpc import Use, Used

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from tests.support.slots import Slot

BARE = ["bell.sock", "model.sock"]
ALL = [*BARE, "tools.sock"]


@pytest.fixture
async def slot() -> AsyncIterator[Slot]:
    async with slots() as made:
        await made[0].bring_up()
        yield made[0]


def use(call: int = 1, arguments: str = "{}") -> Use:
    return Use(call=call, turn="msg_a", key=f"k{call}", tool="my_rights", arguments=arguments)


async def offer(slot: Slot, *words: bool) -> list[str]:
    """Tell the airlock, and wait until it has done so; what is in `run/` then."""
    for word in words:
        await slot.link.offer_tools(word)
    await slot.send("msg_sync")
    return listing(slot.dir.path / "run")


async def asked(slot: Slot, *uses: Use) -> None:
    for each in uses:
        await asyncio.to_thread(slot.box.use, each)
        assert (await slot.expect(AskedTool)).use == each


async def connect(slot: Slot) -> socket.socket:
    return await asyncio.to_thread(slot.box.connect, "tools.sock")


async def test_nothing_is_there_until_it_is_offered_and_after_it_was_taken_away(slot: Slot) -> None:
    assert listing(slot.dir.path / "run") == BARE
    assert await offer(slot, True) == ALL
    assert await offer(slot, False) == BARE
    with pytest.raises(FileNotFoundError):
        await asyncio.to_thread(slot.box.use, use())


async def test_the_socket_is_for_the_box_and_nobody_else(slot: Slot) -> None:
    await offer(slot, True)
    run = slot.dir.path / "run"
    tools, model = ((run / name).stat() for name in ("tools.sock", "model.sock"))
    assert stat.S_ISSOCK(tools.st_mode)
    assert (tools.st_mode, tools.st_uid, tools.st_gid) == (
        model.st_mode,
        model.st_uid,
        model.st_gid,
    )


async def test_saying_it_twice_is_saying_it_once(slot: Slot) -> None:
    """No socket is used up, and an open call stays open."""
    await offer(slot, False, True)
    await asked(slot, use())
    assert await offer(slot, *[True] * (SPARES + 2)) == ALL
    await slot.link.tell_tool(Used(call=1, text="still here"))
    assert await asyncio.to_thread(slot.box.used) == Used(call=1, text="still here")
    assert await offer(slot, False, False) == BARE


async def test_uses_go_to_the_core_and_answers_back_in_whatever_order(slot: Slot) -> None:
    await offer(slot, True)
    await asked(slot, use(1), use(2, "not JSON"), use(3))
    told = [
        Used(call=3, text="\U0001f642" * MAX_USED_CHARS),
        Used(call=1, text="no", is_error=True),
        Used(call=2, text=""),
    ]
    for each in told:
        await slot.link.tell_tool(each)
    assert [await asyncio.to_thread(slot.box.used) for _ in told] == told


async def test_a_call_that_is_open_when_the_right_goes_ends_with_its_connection(slot: Slot) -> None:
    await offer(slot, True)
    await asked(slot, use())
    idle = await connect(slot)
    assert await offer(slot, False) == BARE
    assert await asyncio.to_thread(slot.box.used) is None
    assert await asyncio.to_thread(idle.recv, 1) == b""
    idle.close()
    # The core's late answer finds nobody, and the next offer finds its place free.
    await slot.link.tell_tool(Used(call=1, text="late"))
    await offer(slot, True)
    await asked(slot, use(2))
    await slot.link.tell_tool(Used(call=2, text="anew"))
    assert await asyncio.to_thread(slot.box.used) == Used(call=2, text="anew")


async def test_what_was_sent_to_a_socket_that_is_taken_away_accuses_nobody(slot: Slot) -> None:
    """The box could not know: half a frame, and whole ones that nobody had read."""
    await offer(slot, True)
    whole, half = [await connect(slot) for _ in range(2)]
    await asked(slot, use(1))
    os.kill(slot.link.pid, signal.SIGSTOP)
    # What comes first is handled first.
    await slot.link.offer_tools(False)
    half.sendall(pack(use(2), limit=MAX_TOOL_FRAME_BYTES)[:7])
    whole.sendall(pack(use(3), limit=MAX_TOOL_FRAME_BYTES))
    os.kill(slot.link.pid, signal.SIGCONT)
    assert await offer(slot, False) == BARE
    for sock in (whole, half):
        sock.close()
    assert await slot.send("msg_b") == ["msg_b"]


async def test_few_calls_are_open_at_a_time_whoever_is_still_there(slot: Slot) -> None:
    await offer(slot, True)
    await asked(slot, *[use(call) for call in range(1, 5)])
    for call in (5, 1):
        await asyncio.to_thread(slot.box.use, use(call))
        busy = await asyncio.to_thread(slot.box.used)
        assert busy is not None
        assert (busy.call, busy.is_error) == (call, True)
    # Going away frees nothing: the core still works on them.
    assert slot.box.tools is not None
    slot.box.tools.close()
    slot.box.tools = None
    await asyncio.to_thread(slot.box.use, use(6))
    busy = await asyncio.to_thread(slot.box.used)
    assert busy is not None
    assert busy.is_error
    await slot.link.tell_tool(Used(call=2, text="nobody hears this"))
    # The airlock may read the box before the core: see that it has heard.
    await offer(slot, True)
    await asked(slot, use(7))


async def test_few_connections_are_answered_at_a_time(slot: Slot) -> None:
    await offer(slot, True)
    crowd = [await connect(slot) for _ in range(4)]
    late = await connect(slot)
    late.sendall(pack(use(9), limit=MAX_TOOL_FRAME_BYTES))
    await asyncio.to_thread(crowd[0].sendall, pack(use(1), limit=MAX_TOOL_FRAME_BYTES))
    assert (await slot.expect(AskedTool)).use == use(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await slot.link.receive()
    crowd[0].close()
    assert (await slot.expect(AskedTool)).use == use(9)
    for sock in (*crowd, late):
        sock.close()


async def test_a_socket_can_be_offered_again_until_the_airlock_has_to_be_replaced(
    slot: Slot,
) -> None:
    for _ in range(SPARES):
        assert await offer(slot, True) == ALL
        assert await offer(slot, False) == BARE
    await slot.link.offer_tools(True)
    assert await slot.link.receive() is None
    await slot.link.close()
    slot.box.close()
    await slot.start()
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await slot.claim()
    await asyncio.to_thread(slot.box.wait)
    assert await offer(slot, True) == ALL


async def test_an_airlock_that_was_killed_leaves_no_offer_to_the_next_one(slot: Slot) -> None:
    await offer(slot, True)
    await asked(slot, use())
    os.kill(slot.link.pid, 9)
    assert await slot.link.receive() is None
    await slot.link.close()
    slot.box.close()
    await slot.start()
    assert listing(slot.dir.path / "run") == BARE
    await slot.link.offer_tools(True)
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    # It puts its use again at once, before the core has said whose box this is.
    await asyncio.to_thread(slot.box.use, use(2))
    await slot.claim()
    assert (await slot.expect(AskedTool)).use == use(2)


@pytest.mark.hostile
async def test_a_blank_box_that_uses_a_tool_is_tampering() -> None:
    async with slots() as (slot,):
        await slot.start()
        await slot.link.offer_tools(True)
        await asyncio.to_thread(slot.box.hello)
        await slot.expect(BoxArrived)
        await asyncio.to_thread(slot.box.use, use())
        assert (await slot.expect(Tampered)).reason == "frame"
        assert "tools.sock" not in listing(slot.dir.path / "run")


def framed(value: object) -> bytes:
    body = msgspec.msgpack.encode(value)
    return len(body).to_bytes(4, "big") + body


FIELDS = msgspec.to_builtins(use())


@pytest.mark.hostile
@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        (MAX_TOOL_FRAME_BYTES + 1).to_bytes(4, "big"),
        b"\x00\x00\x00\x00",
        framed({**FIELDS, "more": 1}),
        framed({**FIELDS, "call": 0}),
        framed({**FIELDS, "arguments": "x" * 40_000}),
        framed({"f": "cancel", "call": 1}),
        framed(msgspec.to_builtins(Used(call=1, text="of the host's"))),
        b"\x00\x00\x27\x10" + b"\x91" * 10_000,
    ],
    ids=["huge", "large", "empty", "field", "call", "long", "model", "answer", "deep"],
)
async def test_what_is_no_use_is_tampering_and_the_socket_goes(slot: Slot, data: bytes) -> None:
    await offer(slot, True)
    sock = await connect(slot)
    sock.sendall(data)
    assert (await slot.expect(Tampered)).reason == "frame"
    assert "tools.sock" not in listing(slot.dir.path / "run")
    await slot.link.offer_tools(True)
    await slot.link.tell_tool(Used(call=1, text="to nobody"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await slot.link.receive()
    assert "tools.sock" not in listing(slot.dir.path / "run")
    sock.close()


@pytest.mark.hostile
async def test_a_flood_of_uses_reaches_the_core_four_at_a_time(slot: Slot) -> None:
    await offer(slot, True)
    sock = await connect(slot)
    sock.settimeout(0.5)

    def flood() -> int:
        sent = 0
        try:
            for call in range(1, 20_000):
                frame = pack(use(call, "x" * 30_000), limit=MAX_TOOL_FRAME_BYTES)
                sock.sendall(frame)
                sent += 1
        except OSError:
            pass  # never read, it lost its connection, or is not read any more
        return sent

    assert await asyncio.to_thread(flood) < 20_000
    for call in range(1, 5):
        assert (await slot.expect(AskedTool)).use.call == call
    sock.close()
    assert await slot.send("msg_b") == ["msg_b"]
