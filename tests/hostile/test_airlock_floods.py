"""A box that asks without end: the core hears little of it, and is never kept from its work."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest
from tests.support.slots import slots

from ironclaw.airlock.link import open_link
from ironclaw.airlock.messages import Ask
from ironclaw.airlock.messages import pack as pack_link
from ironclaw.domain.wall import Asked, BoxGone, Outbound, Tampered
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered
from ironclaw_contract.frames import pack
from ironclaw_contract.records import TurnEnd
from ironclaw_contract.rpc import Cancel, Failed, Generate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.slots import Slot

pytestmark = pytest.mark.hostile

CALLS = 4
END = TurnEnd(turn="msg_a", index=0, entries=())


def ask(call: int, *, chars: int = 0) -> Generate:
    entries = tuple(Answered(text="x" * 60_000) for _ in range(chars // 60_000))
    return Generate(
        call=call, turn="msg_a", system="", entries=entries, tools=(), max_output_tokens=1
    )


@pytest.fixture
async def slot() -> AsyncIterator[Slot]:
    async with slots() as made:
        await made[0].bring_up()
        yield made[0]


async def test_a_call_is_cancelled_once_however_often_the_box_says_so(slot: Slot) -> None:
    await asyncio.to_thread(slot.box.ask, ask(1))
    await slot.expect(Asked)
    assert slot.box.model is not None
    await asyncio.to_thread(slot.box.model.sendall, pack(Cancel(call=1)) * 20_000)
    slot.box.model.close()
    slot.box.model = None
    assert await slot.expect(Asked) == Asked(Cancel(call=1))
    await asyncio.to_thread(slot.box.write, END)
    await slot.expect(Outbound)


async def test_calls_over_the_limit_are_refused_without_the_core(slot: Slot) -> None:
    for call in range(1, CALLS + 3):
        await asyncio.to_thread(slot.box.ask, ask(call))
    refused = [await asyncio.to_thread(slot.box.told) for _ in range(2)]
    busy = [Failed(call, WireCode.BUSY, "too many open calls") for call in (5, 6)]
    assert refused == busy
    for call in range(1, CALLS + 1):
        assert await slot.expect(Asked) == Asked(ask(call))
    await slot.link.tell(Failed(call=1, code=WireCode.CANCELLED, text=""))
    assert await asyncio.to_thread(slot.box.told) == Failed(1, WireCode.CANCELLED, "")
    await asyncio.to_thread(slot.box.ask, ask(7))
    assert await slot.expect(Asked) == Asked(ask(7))


async def test_calls_that_went_with_the_bell_make_room_for_others(slot: Slot) -> None:
    """The core forgets the calls of a box that is gone, and says nothing more of them."""
    for call in range(1, CALLS + 1):
        await asyncio.to_thread(slot.box.ask, ask(call))
        await slot.expect(Asked)
    slot.box.close()
    await slot.until(BoxGone)
    await asyncio.to_thread(slot.box.hello)
    await asyncio.to_thread(slot.box.ask, ask(9))
    assert await slot.until(Asked) == Asked(ask(9))


async def test_tampering_is_told_while_the_box_is_not_read(slot: Slot) -> None:
    """A socket that is paused when the box is shut out is no reason to die in silence."""
    for call in range(1, CALLS + 1):
        await asyncio.to_thread(slot.box.ask, ask(call, chars=1_000_000))
    await asyncio.to_thread(slot.box.plant, "0000000000000001.seg", bytes(8192))
    slot.box.ring()
    assert (await slot.until(Tampered)).reason == "format"


async def test_frames_that_wait_do_not_keep_other_tasks_from_running() -> None:
    ours, theirs = socket.socketpair()
    link = await open_link(ours, pid=os.getpid(), name="flood")
    frames, turns = 2_000, 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(count())
    flood = pack_link(Ask(ask=Cancel(call=1))) * frames
    with theirs:
        await asyncio.to_thread(theirs.sendall, flood)
        turns = 0
        for _ in range(frames):
            assert await link.receive() == Asked(Cancel(call=1))
        assert turns >= frames // 50
    other.cancel()
    os.close(link._pidfd)
    link._writer.close()
