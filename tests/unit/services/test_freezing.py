"""A box with nothing to do stands still; whoever has something for it never finds it so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import FREEZE_AFTER_S, Core, until

from ironclaw.core.ids import SlotId
from ironclaw.domain.wall import Box
from ironclaw.services import life
from ironclaw.services.freezing import Freezer
from ironclaw.services.parts import SessionLimits
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw_contract.records import Message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cores import OpenCore

    from ironclaw.testing.fakes_store import Conversation

AFTER_S = FREEZE_AFTER_S
BOX = Box(SlotId("slt_a"), 1, 1, "")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes stand still, and come back, after milliseconds."""
    monkeypatch.setattr("ironclaw.services.freezing.STILL_AFTER_S", AFTER_S)
    monkeypatch.setattr("ironclaw.domain.lifecycle.BASE_DELAY_S", 0.005)


async def resting(core: Core) -> Conversation:
    """A conversation whose box has answered once and stands still."""
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await stands_still(core)
    return talk


async def stands_still(core: Core) -> None:
    await until(lambda: core.slot() in core.isolator.standing)


async def test_a_box_with_nothing_to_do_stands_still_and_is_not_asked_whether_it_is_there(
    core: Core,
):
    await resting(core)
    assert core.link().stood_still == [True]


async def test_it_goes_on_before_a_message_reaches_it(core: Core):
    talk = await resting(core)
    link, publish = core.link(), core.link().publish
    standing: list[bool] = []

    async def published(bodies: object) -> None:
        standing.append(core.slot() in core.isolator.standing)
        await publish(bodies)  # type: ignore[arg-type]

    link.publish = published  # type: ignore[method-assign,assignment]
    await core.hear(talk, "two")
    await core.answered(talk, 2)
    assert standing == [False]
    assert link.stood_still[:2] == [True, False]
    await stands_still(core)


async def test_one_that_waits_for_the_model_does_not_stand_still(core: Core):
    talk = await resting(core)
    await core.hear(talk, "!hang")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    await asyncio.sleep(5 * AFTER_S)
    assert core.isolator.standing == set()


async def test_one_that_sums_up_between_two_turns_does_not_stand_still(core: Core):
    await resting(core)
    # The model never answers; the ledger knows nothing of this call.
    core.link().ask(7, Message(message="msg_a", sender="", text="!hang", at_ms=0))
    await until(lambda: core.isolator.standing == set())
    await asyncio.sleep(5 * AFTER_S)
    assert core.isolator.standing == set()


async def test_one_whose_airlock_dies_goes_on_to_find_the_next(core: Core):
    talk = await resting(core)
    core.link().die()
    await until(lambda: len(core.airlocks.links) == 2)
    await until(lambda: core.isolator.standing == set())
    await core.hear(talk, "two")
    await core.answered(talk, 2)
    assert len(core.isolator.launches) == 1


async def test_one_that_lost_its_bell_may_come_back(core: Core, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(life, "RECONNECT_S", 20 * AFTER_S)
    await resting(core)
    core.link().hang_up()
    await until(lambda: core.isolator.standing == set())
    await asyncio.sleep(5 * AFTER_S)
    assert core.isolator.standing == set()


async def test_the_next_core_lets_it_go_on(open_core: OpenCore):
    first = await open_core(SessionLimits())
    talk = await resting(first)
    await first.die()
    assert first.slot() in first.isolator.standing
    second = await open_core(SessionLimits())
    await second.sessions.adopt(await second.isolator.survivors())
    await until(lambda: second.isolator.standing == set())
    await second.hear(talk, "two")
    await second.answered(talk, 2)
    assert len(second.isolator.launches) == 1


async def test_a_blank_slot_stands_still_until_it_is_claimed(core: Core):
    agent = await core.store.registry.create_agent(name="warm", pool_size=1)
    core.slots.keep(agent)
    await until(lambda: len(core.isolator.standing) == 1)
    slot = await core.slots.take(agent, workspace="")
    await until(lambda: slot.freezer.is_frozen)
    core.isolator.standing.clear()
    await core.slots.release(slot)


async def test_one_that_computes_all_the_same_is_not_taken_for_still(tmp_path: Path):
    """Not even the disk guard would look at it any more."""
    isolator = FakeIsolator(tmp_path)
    isolator.computing.add(BOX.slot)
    freezer = Freezer(isolator, BOX, after_s=AFTER_S)
    freezer.stirred()
    await until(lambda: BOX.slot in isolator.standing)
    assert not freezer.is_frozen
    await until(lambda: BOX.slot not in isolator.standing)
    await asyncio.sleep(5 * AFTER_S)
    assert not freezer.is_frozen
    assert isolator.standing == set()
    isolator.computing.clear()
    freezer.stirred()
    await until(lambda: freezer.is_frozen)
    freezer.stop()


async def test_nobody_freezes_a_box_that_is_being_ended(tmp_path: Path):
    isolator = FakeIsolator(tmp_path)
    freezer = Freezer(isolator, BOX, after_s=AFTER_S)
    freezer.stirred()
    freezer.stop()
    await asyncio.sleep(3 * AFTER_S)
    assert isolator.standing == set()


async def test_what_happens_puts_it_off(tmp_path: Path):
    isolator = FakeIsolator(tmp_path)
    freezer = Freezer(isolator, BOX, after_s=5 * AFTER_S)
    for _ in range(10):
        freezer.stirred()
        await asyncio.sleep(AFTER_S)
        assert not freezer.is_frozen
    await until(lambda: freezer.is_frozen)
    assert isolator.standing == {BOX.slot}
    freezer.stop()
