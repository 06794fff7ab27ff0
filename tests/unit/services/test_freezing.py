"""A box with nothing to do stands still; whoever has something for it never finds it so."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest
from msgspec import structs
from tests.support.cores import FREEZE_AFTER_S, Core, until

from ironclaw.core.ids import SessionId, SlotId
from ironclaw.domain.wall import AirlockLink, Box, BoxArrived, Claim, SlotDir
from ironclaw.services import life
from ironclaw.services.freezing import Freezer
from ironclaw.services.parts import SessionLimits
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.fakes_wall import FakeAirlocks
from ironclaw_contract.codes import WireCode
from ironclaw_contract.records import Message
from ironclaw_contract.rpc import Failed, Used

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
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


async def test_its_session_says_so_until_it_goes_on(core: Core):
    talk = await resting(core)
    await until(lambda: core.sessions.is_frozen(talk.session))
    assert (core.sessions.boxes, core.sessions.frozen) == (1, 1)
    assert core.sessions.box_state(talk.session) == "ready"

    await core.hear(talk, "!hang")
    await until(lambda: core.sessions.box_state(talk.session) == "busy")
    assert not core.sessions.is_frozen(talk.session)
    assert (core.sessions.boxes, core.sessions.frozen) == (1, 0)


async def test_one_that_is_being_ended_is_stopping_and_stands_still_no_more(core: Core):
    talk = await resting(core)
    await until(lambda: core.sessions.is_frozen(talk.session))

    stopping = asyncio.ensure_future(core.sessions.stop(talk.session))
    await asyncio.sleep(0)
    assert core.sessions.box_state(talk.session) == "stopping"
    assert not core.sessions.is_frozen(talk.session)
    assert core.sessions.frozen == 0
    await stopping


async def test_it_goes_on_before_a_message_reaches_it(core: Core):
    talk = await resting(core)
    await core.hear(talk, "two")
    await core.answered(talk, 2)
    # The fake box hears nothing while it stands still; `core` looks that nobody tried.
    assert core.link().stood_still[:2] == [True, False]
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
    talk = await core.store.begin()
    core.slots.keep(structs.replace(talk.agent, pool_size=1))
    await until(lambda: len(core.isolator.standing) == 1)
    blank = core.link()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    assert blank.told


LINK_CALLS: dict[str, Callable[[AirlockLink], Awaitable[None]]] = {
    "claim": lambda link: link.claim(Claim(SessionId("ses_a"), 1, b"", 0, b"")),
    "publish": lambda link: link.publish(()),
    "tell": lambda link: link.tell(Failed(1, WireCode.CANCELLED, "")),
    "tell_tool": lambda link: link.tell_tool(Used(1, "")),
}


class Guarded(NamedTuple):
    """A box that stands still, and the link that thaws it."""

    airlocks: FakeAirlocks
    freezer: Freezer
    link: AirlockLink


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    isolator = FakeIsolator(tmp_path)
    airlocks = FakeAirlocks(isolator.standing)
    freezer = Freezer(isolator, BOX, after_s=AFTER_S)
    link = freezer.guard(await airlocks.start(SlotDir(BOX.slot, tmp_path, 0, 0, 0)))
    freezer.stirred()
    await until(lambda: freezer.is_frozen)
    yield Guarded(airlocks, freezer, link)
    freezer.stop()
    assert airlocks.missed == []


@pytest.mark.parametrize("name", LINK_CALLS)
async def test_whatever_the_box_must_act_on_thaws_it_first(guarded: Guarded, name: str):
    await LINK_CALLS[name](guarded.link)
    assert guarded.airlocks.standing == set()
    assert guarded.airlocks.links[0].stood_still == [True, False]


async def test_what_the_airlock_alone_acts_on_leaves_it_as_it_is(guarded: Guarded):
    await guarded.link.ack(1)
    await guarded.link.offer_tools(True)
    assert guarded.freezer.is_frozen


async def test_a_word_of_the_box_thaws_it_it_was_not_done(guarded: Guarded):
    assert isinstance(await guarded.link.receive(), BoxArrived)
    assert guarded.airlocks.standing == set()


async def test_a_host_without_descriptors_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    isolator = FakeIsolator(tmp_path)
    freezer = Freezer(isolator, BOX, after_s=AFTER_S / 4)
    refused: list[str] = []

    def refuse(_box: Box) -> None:
        refused.append("freeze")
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(isolator, "freeze", refuse)
        freezer.stirred()
        await until(lambda: refused)
    await until(lambda: freezer.is_frozen)
    freezer.stop()


async def test_a_thaw_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    isolator = FakeIsolator(tmp_path)
    freezer = Freezer(isolator, BOX, after_s=AFTER_S)
    freezer.stirred()
    await until(lambda: freezer.is_frozen)

    def refuse(_box: Box) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(isolator, "thaw", refuse)
        with pytest.raises(OSError, match="Too many"):
            freezer.stirred()
    assert freezer.is_frozen
    freezer.stirred()
    assert isolator.standing == set()
    freezer.stop()


async def test_one_that_is_busy_is_looked_at_again_without_a_word(tmp_path: Path):
    isolator = FakeIsolator(tmp_path)
    freezer = Freezer(isolator, BOX, after_s=AFTER_S)
    work = [1]
    freezer.belong(lambda: bool(work))
    freezer.stirred()
    await asyncio.sleep(5 * AFTER_S)
    assert isolator.standing == set()
    work.clear()
    await until(lambda: freezer.is_frozen)
    freezer.stop()


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
    # It is looked at again, if not soon.
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
    # Long enough for a busy machine to have stood still itself between two of them.
    freezer = Freezer(isolator, BOX, after_s=25 * AFTER_S)
    for _ in range(12):
        freezer.stirred()
        await asyncio.sleep(2.5 * AFTER_S)
        assert not freezer.is_frozen
    await until(lambda: freezer.is_frozen)
    assert isolator.standing == {BOX.slot}
    freezer.stop()
