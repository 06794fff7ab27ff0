"""The disk guard: who is counted when, who is ended, and what it costs at rest."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import ROOM, until

from ironclaw.core.clock import ManualClock, SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import AgentId, SlotId, new_id
from ironclaw.core.tasks import Tasks
from ironclaw.domain.disk import UNCOUNTED, Caps, Holding, Over, Room, Usage
from ironclaw.domain.model import Agent, BoxLimits
from ironclaw.domain.wall import Box
from ironclaw.services import disk_guard, freezing
from ironclaw.services.disk_guard import DiskGuard
from ironclaw.services.freezing import Freezer
from ironclaw.services.slots import Slot
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.fakes_wall import FakeAirlocks
from ironclaw.testing.receipts import launch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.cores import Core

MIB = 1024 * 1024
LESS = ROOM._replace(free_bytes=ROOM.free_bytes - 2048 * MIB)
SHORT = ROOM._replace(free_bytes=MIB)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_guard, "LOOK_S", 0.001)
    monkeypatch.setattr(freezing, "STILL_AFTER_S", 0.001)


def holding(size: int, *, memory: int = 0) -> Holding:
    return Holding(Usage(size, 1), Usage(memory, 1))


class Guarded:
    """A guard on fakes, and the boxes it watches."""

    def __init__(self, root: Path, tasks: Tasks) -> None:
        self.isolator = FakeIsolator(root)
        self.airlocks = FakeAirlocks()
        self.room = ROOM
        self.looks = 0
        self.freezers: dict[SlotId, Freezer] = {}
        self.over: list[tuple[SlotId, Over]] = []
        self.clock: ManualClock | SystemClock = SystemClock()
        self.tasks = tasks
        self.guard = DiskGuard(
            isolator=self.isolator,
            airlocks=self.airlocks,
            caps=Caps(100 * MIB, 1000),
            roots=(),
            clock=self.clock,
            tasks=tasks,
            look=self._look,
        )

    def _look(self) -> tuple[Room, ...]:
        self.looks += 1
        return (self.room,)

    async def slot(self, workspace: str) -> Slot:
        directory = await self.isolator.prepare(SlotId(new_id("slt")), lane=1)
        self.isolator.efforts[directory.slot] = 1
        box = Box(directory.slot, 1, 1, "")
        self.freezers[box.slot] = Freezer(self.isolator, box, after_s=0.001)
        return Slot(
            directory=directory,
            box=box,
            link=await self.airlocks.start(directory),
            freezer=self.freezers[box.slot],
            receipt=None,
            workspace=workspace,
        )

    async def freeze(self, slot: SlotId) -> None:
        """Have the box of a slot stand still."""
        self.freezers[slot].stirred()
        await until(lambda: self.freezers[slot].is_frozen)

    @contextlib.asynccontextmanager
    async def watching(
        self, workspace: str = "w", *, agent: str = "agt_a", limits: BoxLimits | None = None
    ) -> AsyncIterator[SlotId]:
        """A box under watch, counted once at least."""
        slot = await self.slot(workspace)
        owner = Agent(id=AgentId(agent), name="a", limits=limits or BoxLimits())

        def note(over: Over) -> None:
            self.over.append((slot.id, over))

        async with self.guard.watching(slot, owner, note):
            await until(lambda: slot.id in self.airlocks.counts)
            yield slot.id

    def write(self, slot: SlotId, size: int, *, memory: int = 0, gone: int = 101 * MIB) -> None:
        """The box holds so much now, and the room shrank by `gone` bytes."""
        self.isolator.efforts[slot] += 1
        self.airlocks.holdings[slot] = holding(size, memory=memory)
        self.room = self.room._replace(free_bytes=self.room.free_bytes - gone)

    async def looked(self, times: int = 10) -> None:
        """Wait until the guard has looked some more."""
        before = self.looks
        await until(lambda: self.looks >= before + times)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Guarded]:
    failed: list[str] = []
    async with Tasks("test", on_failure=lambda name, _: failed.append(name)) as tasks:
        yield Guarded(tmp_path, tasks)
    assert failed == []


async def test_a_box_over_its_cap_is_ended_once(guarded: Guarded) -> None:
    async with guarded.watching() as slot:
        guarded.write(slot, 101 * MIB)
        await until(lambda: guarded.over)
        guarded.write(slot, 200 * MIB)
        await guarded.looked()
        assert guarded.over == [(slot, Over("workspace", "bytes", 101 * MIB, 100 * MIB))]


async def test_nobody_looks_while_all_boxes_stand_still(guarded: Guarded) -> None:
    async with guarded.watching() as one, guarded.watching("v") as other:
        await guarded.looked()
        await guarded.freeze(one)
        await guarded.looked()
        await guarded.freeze(other)
        await asyncio.sleep(0.02)
        looks = guarded.looks
        await asyncio.sleep(0.02)
        assert guarded.looks == looks
        guarded.freezers[other].thaw()
        guarded.write(other, 101 * MIB)
        await until(lambda: guarded.over)
        assert [slot for slot, _ in guarded.over] == [other]


async def test_a_box_that_comes_is_watched_while_the_others_stand_still(guarded: Guarded) -> None:
    async with guarded.watching() as still:
        await guarded.freeze(still)
        await asyncio.sleep(0.02)
        async with guarded.watching("v") as slot:
            guarded.write(slot, 101 * MIB)
            await until(lambda: guarded.over)


async def test_what_is_owed_is_counted_though_all_boxes_stand_still(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box knows when it will be frozen: it may write until then, and make counting fail once."""
    counts, tries = guarded.airlocks.count, []

    async def count(*words: object, **more: object) -> object:
        tries.append(words)
        if len(tries) == 1:
            await guarded.freeze(slot)
            raise HostError(Code.AIRLOCK_FAILED, "The count failed.", hint="Look.")
        return await counts(*words, **more)  # type: ignore[arg-type]

    async with guarded.watching() as slot:
        await guarded.looked()
        monkeypatch.setattr(guarded.airlocks, "count", count)
        guarded.write(slot, 5000 * MIB)
        await until(lambda: guarded.over)


async def test_what_was_written_just_before_it_stood_still_is_seen(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with guarded.watching() as slot:
        monkeypatch.setattr(disk_guard, "LOOK_S", 0.1)
        await guarded.looked(2)
        guarded.write(slot, 5000 * MIB)
        await guarded.freeze(slot)
        await until(lambda: guarded.over)


async def test_one_that_stands_still_is_not_asked_each_time_what_it_did(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[SlotId] = []
    effort = guarded.isolator.effort

    def noted(box: Box) -> int:
        asked.append(box.slot)
        return effort(box)

    async with guarded.watching() as still, guarded.watching("v") as busy:
        await guarded.freeze(still)
        monkeypatch.setattr(guarded.isolator, "effort", noted)
        for _ in range(5):
            guarded.airlocks.counts.clear()
            guarded.write(busy, 50 * MIB)
            await until(lambda: busy in guarded.airlocks.counts)
        assert asked.count(still) <= 2
        assert asked.count(busy) >= 5


async def test_nothing_runs_when_no_box_does(guarded: Guarded) -> None:
    async with guarded.watching():
        pass
    await asyncio.sleep(0.02)
    looks = guarded.looks
    await asyncio.sleep(0.02)
    assert guarded.looks == looks
    async with guarded.watching() as slot:
        guarded.write(slot, 101 * MIB)
        await until(lambda: guarded.over)


async def test_as_long_as_there_is_room_boxes_are_counted_once(guarded: Guarded) -> None:
    async with guarded.watching() as slot:
        guarded.isolator.efforts[slot] += 10
        await guarded.looked()
        assert guarded.airlocks.counts == [slot]


async def test_a_box_that_did_nothing_is_not_counted(guarded: Guarded) -> None:
    async with guarded.watching("one") as idle, guarded.watching("two") as busy:
        guarded.airlocks.counts.clear()
        guarded.write(busy, 50 * MIB)
        await until(lambda: busy in guarded.airlocks.counts)
        await guarded.looked()
        assert idle not in guarded.airlocks.counts


async def test_the_busiest_box_is_counted_first(guarded: Guarded) -> None:
    async with guarded.watching("one") as calm, guarded.watching("two") as busy:
        guarded.airlocks.counts.clear()
        guarded.isolator.efforts[calm] += 1
        guarded.isolator.efforts[busy] += 50
        guarded.room = LESS
        await until(lambda: len(guarded.airlocks.counts) == 2)
        assert guarded.airlocks.counts == [busy, calm]


async def test_an_over_full_box_may_run_until_it_grows(guarded: Guarded) -> None:
    async with guarded.watching() as first:
        guarded.write(first, 101 * MIB)
        await until(lambda: guarded.over)
    guarded.over.clear()
    slot = await guarded.slot("w")
    guarded.airlocks.holdings[slot.id] = holding(150 * MIB)
    over: list[Over] = []
    async with guarded.guard.watching(slot, Agent(id=AgentId("agt_a"), name="a"), over.append):
        # Counted before it could do anything: what it holds is not its own doing.
        assert guarded.airlocks.counts[-1] == slot.id
        guarded.write(slot.id, 140 * MIB)
        counts = len(guarded.airlocks.counts)
        await until(lambda: len(guarded.airlocks.counts) > counts)
        assert over == []
        guarded.write(slot.id, 141 * MIB)
        await until(lambda: over)


async def test_a_fresh_box_of_a_known_agent_needs_no_count(guarded: Guarded) -> None:
    async with guarded.watching("one"):
        slot = await guarded.slot("")
        slot.workspace = slot.id
        slot.receipt = launch()
        owner = Agent(id=AgentId("agt_a"), name="a")
        over: list[Over] = []
        async with guarded.guard.watching(slot, owner, over.append):
            await guarded.looked()
            assert slot.id not in guarded.airlocks.counts
            guarded.write(slot.id, 101 * MIB)
            await until(lambda: over)


async def test_what_was_deleted_is_forgotten(guarded: Guarded) -> None:
    for size in (101, 0):
        async with guarded.watching() as slot:
            guarded.write(slot, size * MIB)
            counts = len(guarded.airlocks.counts)
            await until(lambda before=counts: len(guarded.airlocks.counts) > before)  # type: ignore[misc] # bound now
    assert guarded.guard._full == {}


async def test_an_agents_own_limits_come_before_the_houses(guarded: Guarded) -> None:
    async with guarded.watching(limits=BoxLimits(disk_bytes=10 * MIB)) as slot:
        guarded.write(slot, 11 * MIB)
        await until(lambda: guarded.over)


async def test_of_those_who_share_a_memory_the_busiest_is_ended(guarded: Guarded) -> None:
    async with guarded.watching("one") as calm, guarded.watching("two") as busy:
        guarded.isolator.efforts[busy] += 50
        for slot in (calm, busy):
            guarded.write(slot, 0, memory=101 * MIB)
        await until(lambda: guarded.over)
        # What the busiest wrote until it was dead is not the other's doing.
        guarded.airlocks.holdings[calm] = holding(0, memory=105 * MIB)
        await guarded.looked(20)
        assert guarded.over == [(busy, Over("memory", "bytes", 101 * MIB, 100 * MIB))]
        guarded.write(calm, 0, memory=106 * MIB)
        await until(lambda: len(guarded.over) == 2)


async def test_while_the_host_is_short_of_room_growth_ends_a_box(guarded: Guarded) -> None:
    async with guarded.watching() as slot:
        guarded.room = SHORT
        guarded.isolator.efforts[slot] += 1
        guarded.airlocks.holdings[slot] = holding(50 * MIB)
        await until(lambda: guarded.over)
        assert guarded.over[0][1].where == "host"


@pytest.mark.parametrize(
    ("gone", "part"), [(2 * MIB, disk_guard.DUTY), (101 * MIB, disk_guard.URGENT_DUTY)]
)
async def test_counting_takes_its_part_of_the_time_at_most(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, gone: int, part: float
) -> None:
    counting_s = 0.02
    count = guarded.airlocks.count

    async def slow(*args: object, **kwargs: object) -> Holding:
        await asyncio.sleep(counting_s)
        return await count(*args, **kwargs)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(guarded.airlocks, "count", slow)
    loop = asyncio.get_running_loop()
    async with guarded.watching() as slot:
        begun = loop.time()
        counts = len(guarded.airlocks.counts)
        while loop.time() - begun < 1.0:
            guarded.write(slot, 90 * MIB, gone=gone)
            await asyncio.sleep(0.005)
        spent = (len(guarded.airlocks.counts) - counts) * counting_s
        assert 0 < spent <= part + 2 * counting_s


async def test_a_count_that_fails_is_said_once_and_tried_again(guarded: Guarded) -> None:
    async with guarded.watching() as slot:
        counts = len(guarded.airlocks.counts)
        guarded.write(slot, 50 * MIB)
        await until(lambda: len(guarded.airlocks.counts) > counts)
        guarded.airlocks.count_error = HostError(Code.AIRLOCK_FAILED, "no")
        guarded.write(slot, 101 * MIB, gone=60 * MIB)
        counts = len(guarded.airlocks.counts)
        await until(lambda: len(guarded.airlocks.counts) > counts + 1)
        assert guarded.over == []
        assert guarded.guard.weaker == ("what boxes hold on the disk cannot be counted",)
        guarded.airlocks.count_error = None
        await until(lambda: guarded.over)
        assert not guarded.guard.weaker


async def test_what_cannot_be_counted_while_the_disk_fills_counts_as_over(
    guarded: Guarded,
) -> None:
    async with guarded.watching() as slot:
        guarded.airlocks.count_error = HostError(Code.AIRLOCK_FAILED, "no")
        guarded.write(slot, 1 * MIB)
        await until(lambda: guarded.over)
        assert guarded.over == [(slot, UNCOUNTED)]


async def test_a_count_that_hangs_while_the_disk_fills_counts_as_over(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_guard, "COUNT_S", 0.01)
    async with guarded.watching() as slot:

        async def hang(*_: object, **__: object) -> Holding:
            await asyncio.sleep(60)
            raise AssertionError

        monkeypatch.setattr(guarded.airlocks, "count", hang)
        guarded.write(slot, 1 * MIB)
        await until(lambda: guarded.over)
        assert guarded.over == [(slot, UNCOUNTED)]


async def test_while_nothing_happens_no_box_is_thought_about(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with guarded.watching() as slot:
        await guarded.looked()
        thought: list[SlotId] = []

        def effort(box: Box) -> int:
            thought.append(box.slot)
            return 1

        monkeypatch.setattr(guarded.isolator, "effort", effort)
        guarded.room = guarded.room._replace(free_bytes=guarded.room.free_bytes - MIB // 2)
        await guarded.looked(50)
        assert thought == []
        guarded.room = guarded.room._replace(free_bytes=guarded.room.free_bytes - 101 * MIB)
        await until(lambda: thought == [slot])


# --- in a session ---------------------------------------------------------------------------------


async def test_a_box_over_its_disk_is_ended_with_a_word_and_the_session_goes_on(
    core: Core,
) -> None:
    talk = await core.store.begin()
    await core.hear(talk, "one")
    await core.answered(talk, 1)
    await core.hear(talk, "!hang")
    await until(lambda: core.box().todo)
    slot = core.slot()
    await until(lambda: slot in core.airlocks.counts)
    core.isolator.efforts[slot] = 5
    core.airlocks.holdings[slot] = holding(2048 * MIB)
    core.room = LESS

    said = await core.answered(talk, 2)

    assert "used more disk than it may: 2.0 GiB in its workspace" in said[1]
    assert await core.codes(talk.chat.id) == ["", Code.BOX_OUT_OF_DISK]
    assert slot in core.isolator.discarded
    await core.hear(talk, "three")
    assert '"three"' in (await core.answered(talk, 3))[2]
    assert len(core.isolator.launches) == 2
