"""An airlock that is killed or hangs takes its own session with it, for a moment, and no other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import time
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import Core, until
from tests.support.slots import message, slots

from ironclaw.airlock.watch import Patience
from ironclaw.domain.wall import BoxArrived, Outbound
from ironclaw.services.parts import SessionLimits
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.fakes_store import open_core_store
from ironclaw.testing.fakes_wall import FakeAirlocks
from ironclaw_contract.records import TurnEnd
from ironclaw_contract.rpc import Delta

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.slots import Slot

pytestmark = pytest.mark.crash

SHORT = Patience(quiet_s=0.1, answer_s=1.0)
NOTICED_S = 11.0
"""Ten times what it is given here: the machine may be busy."""
ROUNDS = 40


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Slot, Slot]]:
    async with slots(2, patience=SHORT) as (bad, good):
        await bad.bring_up()
        await good.bring_up()
        yield bad, good


def stop(slot: Slot) -> None:
    os.kill(slot.link.pid, signal.SIGSTOP)


async def round_trip(slot: Slot, name: str) -> float:
    """One message there and its answer back; milliseconds."""
    began = time.perf_counter()
    await slot.send(name)
    await asyncio.to_thread(slot.box.write, TurnEnd(turn=name, index=0, entries=()))
    got = await slot.expect(Outbound)
    await slot.link.ack(got.last_seq)
    return (time.perf_counter() - began) * 1000


async def usual(slot: Slot, prefix: str) -> float:
    """The median of some round trips, in milliseconds."""
    return statistics.median([await round_trip(slot, f"{prefix}_{n}") for n in range(ROUNDS)])


async def ends(slot: Slot) -> None:
    """Wait until the core knows that the airlock has ended."""
    async with asyncio.timeout(NOTICED_S):
        while await slot.link.receive() is not None:
            pass


async def replaced(slot: Slot) -> None:
    """What a session does: another airlock on the same directories."""
    await slot.link.close()
    slot.box.close()
    await slot.start()
    await slot.claim()
    await asyncio.to_thread(slot.box.hello)
    await slot.expect(BoxArrived)
    await asyncio.to_thread(slot.box.wait)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
async def test_a_sibling_answers_as_quickly_as_before(
    pair: tuple[Slot, Slot], how: signal.Signals
) -> None:
    bad, good = pair
    before = await usual(good, "before")
    os.kill(bad.link.pid, how)
    await bad.link.publish([message("msg_a")])
    during = await usual(good, "during")
    assert during < 3 * before + 50, f"{before:.2f} ms before, {during:.2f} ms during"
    await ends(bad)
    await replaced(bad)
    assert await bad.send("msg_b") == ["msg_b"]
    assert await round_trip(good, "last")


async def test_one_that_hangs_at_rest_is_found_with_the_next_message(
    pair: tuple[Slot, Slot],
) -> None:
    bad, _ = pair
    stop(bad)
    await bad.link.publish([message("msg_a")])
    await ends(bad)


async def test_one_that_hangs_in_the_middle_of_a_turn_is_found(pair: tuple[Slot, Slot]) -> None:
    bad, _ = pair
    await bad.send("msg_a")
    await asyncio.sleep(3 * sum(SHORT))
    stop(bad)
    await ends(bad)


async def test_one_that_hangs_full_of_unread_words_is_ended_at_once(
    pair: tuple[Slot, Slot],
) -> None:
    """What it has not read is not waited for, neither by who says it nor by who ends it."""
    bad, _ = pair
    stop(bad)
    speaker = asyncio.get_running_loop().create_task(_talk(bad))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(NOTICED_S):
        await bad.link.close()
        await speaker


async def test_one_that_hangs_before_it_is_claimed_is_found() -> None:
    async with slots(patience=SHORT) as (slot,):
        await slot.start()
        stop(slot)
        await slot.claim()
        await ends(slot)


async def test_a_long_turn_and_a_core_that_is_behind_accuse_nobody(pair: tuple[Slot, Slot]) -> None:
    bad, good = pair
    # The turn of one lasts many times the patience; the other's answer lies there unread.
    await bad.send("msg_a")
    await good.send("msg_b")
    await asyncio.to_thread(good.box.write, TurnEnd(turn="msg_b", index=0, entries=()))
    await asyncio.sleep(3 * sum(SHORT))
    await asyncio.to_thread(bad.box.write, TurnEnd(turn="msg_a", index=0, entries=()))
    await bad.expect(Outbound)
    await good.expect(Outbound)


async def test_a_session_whose_airlocks_keep_dying_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same seen from the sessions service, whose airlocks here die whenever they are told."""
    monkeypatch.setattr("ironclaw.domain.lifecycle.BASE_DELAY_S", 0.002)
    async with open_core_store(tmp_path / "state") as store:
        isolator = FakeIsolator(tmp_path / "house")
        async with Core(store, isolator, FakeAirlocks(), SessionLimits()) as core:
            bad = await store.begin(name="bad", place="bad")
            good = await store.begin(name="good", place="good")
            await core.hear(good, "hello")
            await core.answered(good, 1)
            await core.hear(bad, "!hang")
            await until(lambda: core.box().todo, "the bad box to have its message")
            for number in range(2, 12):
                core.link().die()
                await core.hear(good, f"still there {number}?")
                await core.answered(good, number)
            assert core.failed == []
            assert core.sessions.box_state(bad.session) in {"busy", "starting", "none"}


async def _talk(slot: Slot) -> None:
    with contextlib.suppress(asyncio.CancelledError):
        for _ in range(40):
            await slot.link.tell(Delta(call=1, text="x" * 200_000))
