"""A real airlock process between a real link and a box that keeps to the contract."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest
from tests.support.slots import SESSION, listing, message, slots

from ironclaw.domain.wall import Asked, BoxArrived, BoxGone, BoxHung, KeyRead, Outbound
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered
from ironclaw_contract.records import Say, Step, TurnEnd
from ironclaw_contract.rpc import Bell, Cancel, Delta, Failed, Generate, Generated, Stop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.slots import Slot


@pytest.fixture
async def slot() -> AsyncIterator[Slot]:
    async with slots() as made:
        yield made[0]


def end(turn: str) -> TurnEnd:
    return TurnEnd(
        turn=turn, index=0, entries=(Answered(text="hi"),), says=(Say(text="hi", reply_to=turn),)
    )


def generate(call: int, text: str = "be kind") -> Generate:
    return Generate(
        call=call, turn="msg_a", system=text, entries=(), tools=(), max_output_tokens=10
    )


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_key_is_given_once_and_gone_once_read(slot: Slot) -> None:
    await slot.bring_up()
    assert slot.box.claim is not None
    assert (slot.box.claim.session, slot.box.claim.epoch) == (SESSION, 1)
    assert listing(slot.dir.path / "run") == ["bell.sock", "model.sock"]


async def test_the_key_is_the_groups_to_read_and_nobody_elses(slot: Slot) -> None:
    await slot.start()
    await slot.claim()
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.wait)
    found = (slot.dir.path / "run" / "key").stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o440, slot.dir.group)


async def test_a_turn_goes_there_and_back(slot: Slot) -> None:
    await slot.bring_up()
    assert await slot.send("msg_a", "msg_b") == ["msg_a", "msg_b"]
    name = await asyncio.to_thread(slot.box.write, end("msg_a"), end("msg_b"))
    got = await slot.expect(Outbound)
    assert (got.first_seq, got.last_seq, got.bodies) == (1, 2, (end("msg_a"), end("msg_b")))
    assert got.last_hash == slot.box.out.last
    assert listing(slot.out) == [name]
    await slot.link.ack(2)
    await slot.send("msg_c")
    assert listing(slot.out) == []


async def test_nothing_is_owed_any_more_when_all_that_joined_a_turn_is_told_of(
    slot: Slot,
) -> None:
    """Else the airlock of a box that rests would be asked for ever."""
    await slot.bring_up()
    await slot.send("msg_a", "msg_b", "msg_c")
    step = Step(turn="msg_a", index=0, entries=(), heard=("msg_b",))
    await asyncio.to_thread(slot.box.write, step)
    await slot.expect(Outbound)
    assert slot.link._watch._owed == {"msg_a", "msg_c"}
    over = TurnEnd(turn="msg_a", index=1, entries=(), heard=("msg_c",))
    await asyncio.to_thread(slot.box.write, over)
    await slot.expect(Outbound)
    assert slot.link._watch._owed == set()


async def test_consumed_inbound_segments_go_and_the_newest_stays(slot: Slot) -> None:
    await slot.bring_up()
    for name in ("msg_a", "msg_b", "msg_c"):
        await slot.send(name)
    assert len(listing(slot.dir.path / "in")) == 3
    await asyncio.to_thread(slot.box.write, Step(turn="msg_c", index=0, entries=()))
    await slot.expect(Outbound)
    assert listing(slot.dir.path / "in") == ["0000000000000003.seg"]


async def test_records_that_are_published_before_the_box_is_there_wait_for_it(slot: Slot) -> None:
    await slot.start()
    await slot.claim()
    await slot.link.publish([message("msg_a")])
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.take_key)
    await slot.expect(KeyRead)
    await asyncio.to_thread(slot.box.wait)
    assert len(slot.box.read()) == 1


async def test_a_large_backlog_is_split_into_segments_and_arrives_in_order(slot: Slot) -> None:
    await slot.bring_up()
    sent = [message(f"msg_{n}", "x" * 100_000) for n in range(60)]
    await slot.link.publish(sent)
    got: list[object] = []
    while len(got) < len(sent):
        await asyncio.to_thread(slot.box.wait)
        got += slot.box.read()
    assert got == sent


async def test_no_more_than_a_few_segments_are_ahead_of_the_core(slot: Slot) -> None:
    """The box may write on; what the core has not committed is not piled up in between."""
    await slot.bring_up()
    for number in range(10):
        await asyncio.to_thread(slot.box.write, end(f"msg_{number}"))
    seen = [await slot.expect(Outbound) for _ in range(4)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await slot.link.receive()
    await slot.link.ack(seen[-1].last_seq)
    seen += [await slot.expect(Outbound) for _ in range(4)]
    assert [one.first_seq for one in seen] == list(range(1, 9))


async def test_model_calls_go_both_ways_and_end_once(slot: Slot) -> None:
    await slot.bring_up()
    box = slot.box
    await asyncio.to_thread(box.ask, generate(7))
    assert (await slot.expect(Asked)).ask == generate(7)
    answer = Generated(call=7, entries=(Answered(text="ab"),), stop=Stop.END)
    for event in (Delta(call=7, text="a"), answer, Delta(call=7, text="late")):
        await slot.link.tell(event)
    assert await asyncio.to_thread(box.told) == Delta(call=7, text="a")
    assert await asyncio.to_thread(box.told) == answer
    await asyncio.to_thread(box.ask, generate(8))
    await slot.expect(Asked)
    await slot.link.tell(Failed(call=8, code=WireCode.CANCELLED, text=""))
    assert (await asyncio.to_thread(box.told)).call == 8


async def test_too_many_open_calls_are_refused_as_busy(slot: Slot) -> None:
    await slot.bring_up()
    for call in range(1, 5):
        await asyncio.to_thread(slot.box.ask, generate(call))
        await slot.expect(Asked)
    await asyncio.to_thread(slot.box.ask, generate(5))
    refused = await asyncio.to_thread(slot.box.told)
    assert isinstance(refused, Failed)
    assert (refused.call, refused.code) == (5, WireCode.BUSY)


async def test_a_lost_model_connection_cancels_its_calls(slot: Slot) -> None:
    await slot.bring_up()
    await asyncio.to_thread(slot.box.ask, generate(3))
    await slot.expect(Asked)
    assert slot.box.model is not None
    slot.box.model.close()
    assert (await slot.expect(Asked)).ask == Cancel(call=3)
    await slot.link.tell(Delta(call=3, text="nobody hears this"))


async def test_a_lost_bell_says_that_the_box_is_gone_and_takes_the_key_away(slot: Slot) -> None:
    await slot.start()
    await slot.claim()
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.wait)
    slot.box.close()
    await slot.expect(BoxGone)
    assert not (slot.dir.path / "run" / "key").exists()


async def test_a_box_that_answers_its_watchdog_is_not_hung_and_is_looked_at() -> None:
    async with slots(ping_s=0.1, pong_s=5) as (slot,):
        await slot.bring_up()
        await asyncio.to_thread(slot.box.write, end("msg_a"), ring=False)
        await asyncio.to_thread(slot.box.wait, Bell.PING)
        slot.box.ring(Bell.PONG)
        assert (await slot.expect(Outbound)).first_seq == 1


async def test_a_box_that_does_not_answer_its_watchdog_is_hung() -> None:
    async with slots(ping_s=0.1, pong_s=0.1) as (slot,):
        await slot.bring_up()
        await slot.expect(BoxHung)


async def test_a_box_that_stands_still_is_not_asked_and_is_asked_again_when_it_goes_on() -> None:
    async with slots(ping_s=0.1, pong_s=1) as (slot,):
        await slot.bring_up()
        slot.link.stands_still(True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await slot.link.receive()
        slot.link.stands_still(False)
        await slot.expect(BoxHung)


async def test_a_question_that_a_box_could_not_answer_any_more_is_forgotten() -> None:
    async with slots(ping_s=0.1, pong_s=0.5) as (slot,):
        await slot.bring_up()
        await asyncio.to_thread(slot.box.wait, Bell.PING)
        slot.link.stands_still(True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await slot.link.receive()
        slot.link.stands_still(False)
        await asyncio.to_thread(slot.box.wait, Bell.PING)
        await slot.expect(BoxHung)


async def test_only_one_bell_is_answered_at_a_time(slot: Slot) -> None:
    await slot.bring_up()
    waiting = await asyncio.to_thread(slot.box.connect, "bell.sock")
    waiting.close()
    assert await slot.send("msg_a") == ["msg_a"]


async def test_sessions_do_not_see_each_other() -> None:
    async with slots(2) as (one, other):
        await one.bring_up()
        await other.bring_up()
        await one.send("msg_a")
        assert listing(other.dir.path / "in") == []
        if os.geteuid() == 0:
            assert one.dir.airlock_uid != other.dir.airlock_uid


async def test_closing_ends_the_process_and_may_be_repeated(slot: Slot) -> None:
    link = await slot.start()
    await link.close()
    await link.close()
    assert await link.receive() is None
    await link.publish([message("msg_a")])
    async with asyncio.timeout(5):
        # Until the zygote has reaped it; nothing tells a process that is not the parent.
        while is_there(link.pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_connection_that_closes_while_it_is_told_something_costs_nobody_else(
    slot: Slot,
) -> None:
    """Both are seen in one look: what the core says, and that nobody is there to hear it."""
    await slot.bring_up()
    await asyncio.to_thread(slot.box.ask, generate(1))
    await slot.expect(Asked)
    assert slot.box.model is not None
    os.kill(slot.link.pid, signal.SIGSTOP)
    # What comes first is handled first.
    await slot.link.tell(Generated(call=1, entries=(), stop=Stop.END))
    slot.box.model.close()
    os.kill(slot.link.pid, signal.SIGCONT)
    assert await slot.send("msg_a") == ["msg_a"]
