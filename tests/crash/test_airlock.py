"""Airlocks and their zygote are killed; the session goes on where it was."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.slots import listing, message, slots

from ironclaw.domain.wall import Asked, BoxArrived, KeyRead, Outbound
from ironclaw_contract.records import TurnEnd
from ironclaw_contract.rpc import Generate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.slots import Slot

pytestmark = pytest.mark.crash


@pytest.fixture
async def slot() -> AsyncIterator[Slot]:
    async with slots() as made:
        yield made[0]


def end(turn: str) -> TurnEnd:
    return TurnEnd(turn=turn, index=0, entries=())


async def kill(slot: Slot) -> None:
    os.kill(slot.link.pid, signal.SIGKILL)
    while await slot.link.receive() is not None:
        pass
    await slot.link.close()
    slot.box.close()


async def again(slot: Slot, *, out_seq: int, out_hash: bytes) -> None:
    await slot.start()
    await slot.claim(out_seq=out_seq, out_hash=out_hash)
    await asyncio.to_thread(slot.box.hello)


async def test_a_killed_airlock_is_replaced_in_the_middle_of_a_conversation(slot: Slot) -> None:
    await slot.bring_up()
    committed, committed_hash = 0, b""
    answered: list[str] = []
    for number in range(12):
        names = await slot.send(f"msg_{number}")
        await asyncio.to_thread(slot.box.write, end(names[0]))
        if number % 3 == 1:
            # Killed before the core has committed: the segment is handed over once more.
            await kill(slot)
            await again(slot, out_seq=committed, out_hash=committed_hash)
        got = await slot.until(Outbound)
        answered += [body.turn for body in got.bodies if isinstance(body, TurnEnd)]
        committed, committed_hash = got.last_seq, got.last_hash
        if number % 3 == 2:
            # Killed after the commit and before the acknowledgement: removed unread.
            await kill(slot)
            await again(slot, out_seq=committed, out_hash=committed_hash)
            await slot.until(BoxArrived)
            await asyncio.to_thread(slot.box.wait)
        else:
            await slot.link.ack(committed)
            if number % 3 == 1:
                await asyncio.to_thread(slot.box.wait)
    assert answered == [f"msg_{n}" for n in range(12)]
    await slot.send("msg_last")
    assert listing(slot.out) == []


async def test_the_inbound_chain_goes_on_over_a_restart(slot: Slot) -> None:
    await slot.bring_up()
    for name in ("msg_a", "msg_b"):
        await slot.send(name)
    await kill(slot)
    await again(slot, out_seq=0, out_hash=b"")
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.wait)
    await slot.link.publish([message("msg_c")])
    await asyncio.to_thread(slot.box.wait)
    assert [body.message for body in slot.box.read() if hasattr(body, "message")] == ["msg_c"]
    assert slot.box.in_seq == 3
    assert listing(slot.dir.path / "in") == ["0000000000000002.seg", "0000000000000003.seg"]


async def test_an_airlock_killed_while_the_key_is_out_leaves_none_and_gives_it_again(
    slot: Slot,
) -> None:
    await slot.start()
    await slot.claim()
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.wait)
    await kill(slot)
    await slot.start()
    assert "key" not in listing(slot.dir.path / "run")
    await slot.claim()
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.take_key)
    await slot.expect(KeyRead)


async def test_what_a_killed_writer_left_half_done_is_passed_over(slot: Slot) -> None:
    await slot.bring_up()
    await slot.send("msg_a")
    await kill(slot)
    (slot.dir.path / "in" / ".0000000000000002.seg").write_bytes(b"half")
    await again(slot, out_seq=0, out_hash=b"")
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.wait)
    assert await slot.send("msg_b") == ["msg_b"]


async def test_inbound_files_that_changed_end_the_airlock_and_accuse_nobody(slot: Slot) -> None:
    await slot.bring_up()
    await slot.send("msg_a")
    await kill(slot)
    path = slot.dir.path / "in" / "0000000000000001.seg"
    path.chmod(0o640)
    path.write_bytes(os.urandom(8192))
    await slot.start()
    await slot.claim()
    async with asyncio.timeout(10):
        assert await slot.link.receive() is None


async def test_a_box_that_asks_again_before_the_new_airlock_is_bound_is_heard(slot: Slot) -> None:
    """It lost its call with the former airlock, and it is quicker than the core."""
    await slot.bring_up()
    await kill(slot)
    await slot.start()
    question = Generate(7, "msg_a", "be kind", (), (), 16)
    # Before the hello is read as well as after it.
    await asyncio.to_thread(slot.box.ask, question)
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await slot.claim()
    assert (await slot.until(Asked)).ask == question


async def test_a_killed_zygote_takes_no_airlock_with_it_and_is_replaced() -> None:
    async with slots(2) as (one, other):
        await one.bring_up()
        os.kill(one.starter.zygote_pid, signal.SIGKILL)
        assert await one.send("msg_a") == ["msg_a"]
        for _ in range(2):
            try:
                await other.bring_up()
                break
            except Exception as error:  # noqa: BLE001 - one failure is allowed, and is named
                assert type(error).__name__ == "HostError"  # noqa: PT017
        assert await other.send("msg_a") == ["msg_a"]


async def test_airlocks_end_with_their_core() -> None:
    async with slots() as (slot,):
        link = await slot.start()
        pidfd = os.pidfd_open(link.pid)
        link._writer.transport.abort()
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(pidfd, gone.set)
        try:
            async with asyncio.timeout(5):
                await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
