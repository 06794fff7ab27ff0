"""Tasks at times of their own, on a real store: clocks that are set, pauses, and what is missed."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from tests.unit.services.test_schedules import BEGIN, HOUR, MINUTE, Desk

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import TaskId
from ironclaw.domain.changes.base import PutTask
from ironclaw.domain.model import Misfire, Task
from ironclaw.store.change_ops import Cause, execute
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

VIENNA = "Europe/Vienna"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = ManualClock(BEGIN)
    async with open_core_store(tmp_path, clock=clock) as core:
        yield Desk(core, clock, await core.begin(), [])


async def change(desk: Desk, task: Task, **fields: Any) -> Task:
    """Apply what a change says of a task."""
    task = msgspec.structs.replace(task, **fields)
    cause = Cause(at_ms=desk.clock.now_ms(), kind="task.update")
    await desk.core.store.write(lambda db: execute(db, PutTask(task), cause))
    return task


async def heard(desk: Desk) -> list[str]:
    """When each message was told, as a clock on a wall in Vienna shows it."""
    return [
        datetime.fromtimestamp(one.at_ms / 1000, ZoneInfo(VIENNA)).isoformat(timespec="minutes")
        for one in await desk.told()
    ]


async def pass_time(desk: Desk, *, until: int, step_ms: int = 30 * MINUTE) -> None:
    """Let the clock go on, with the scheduler looking as often as it would."""
    schedules = desk.schedules()
    await schedules._look()
    while (now := desk.clock.now_ms()) < until:
        wait_ms = await schedules._look() * 1000
        desk.clock.advance(min(max(wait_ms, 1), step_ms, until - now) / 1000)
    await schedules._look()


@pytest.mark.parametrize(
    ("cron", "begins", "ends", "expected"),
    [
        # Clocks go from 2 to 3: seven stays seven, an hour of real time sooner.
        (
            "0 7 * * *", "2027-03-26T12:00+01:00", "2027-03-29T12:00+02:00",
            ["2027-03-27T07:00+01:00", "2027-03-28T07:00+02:00", "2027-03-29T07:00+02:00"],
        ),
        # Half past two is left out that day: it is told at the first moment after the gap.
        (
            "30 2 * * *", "2027-03-26T12:00+01:00", "2027-03-29T12:00+02:00",
            ["2027-03-27T02:30+01:00", "2027-03-28T03:00+02:00", "2027-03-29T02:30+02:00"],
        ),
        # Clocks go from 3 back to 2: half past two comes twice, and is told once.
        (
            "30 2 * * *", "2027-10-29T12:00+02:00", "2027-11-01T12:00+01:00",
            ["2027-10-30T02:30+02:00", "2027-10-31T02:30+02:00", "2027-11-01T02:30+01:00"],
        ),
        (
            "0 7 * * *", "2027-10-29T12:00+02:00", "2027-11-01T12:00+01:00",
            ["2027-10-30T07:00+02:00", "2027-10-31T07:00+01:00", "2027-11-01T07:00+01:00"],
        ),
    ],
)  # fmt: skip
async def test_a_task_is_told_at_its_local_time_when_the_clocks_are_changed(
    desk: Desk, cron: str, begins: str, ends: str, expected: list[str]
) -> None:
    desk.clock.advance((ms(begins) - BEGIN) / 1000)
    await desk.keep(cron=cron, zone=VIENNA)
    await pass_time(desk, until=ms(ends))
    assert await heard(desk) == expected
    assert len(desk.woken) == len(expected)


async def test_every_so_many_seconds_goes_by_real_time_also_then(desk: Desk) -> None:
    desk.clock.advance((ms("2027-03-28T01:30+01:00") - BEGIN) / 1000)
    await desk.keep(every_s=3600, zone=VIENNA)
    await pass_time(desk, until=ms("2027-03-28T05:00+02:00"))
    assert await heard(desk) == ["2027-03-28T03:30+02:00", "2027-03-28T04:30+02:00"]


# --- what is missed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late_h", "fields", "is_told"),
    [
        (3, {}, True),
        (3, {"misfire": Misfire.SKIP}, False),
        (0.1, {"misfire": Misfire.SKIP}, True),
        (3, {"late_s": 2 * 3600}, False),
        (30, {"late_s": 31 * 86_400}, True),
    ],
)
async def test_what_was_missed_is_told_as_the_task_says(
    desk: Desk, late_h: float, fields: dict[str, Any], is_told: bool
) -> None:
    task = await desk.keep(at_ms=BEGIN + HOUR, **fields)
    await desk.schedules()._look()
    desk.clock.advance(3600 * (1 + late_h))
    await desk.schedules()._look()
    assert len(await desk.told()) == is_told
    (run,) = await desk.book.runs(task.id)
    assert run.why_not == ("" if is_told else "too_late")


async def test_of_many_missed_times_the_latest_is_told(desk: Desk) -> None:
    task = await desk.keep(every_s=60, late_s=31 * 86_400)
    minutely = await desk.keep("cron", cron="* * * * *", late_s=31 * 86_400)
    await desk.schedules()._look()
    desk.clock.advance(20 * 86_400 + 30)
    await desk.schedules()._look()
    now = desk.clock.now_ms()
    for one in (task, minutely):
        (run,) = await desk.book.runs(one.id)
        assert run.due_ms == now - 30_000
        assert await desk.next_ms(one) == now + 30_000


# --- pauses and changes ---------------------------------------------------------------------------


async def test_a_paused_task_is_not_told_and_goes_on_from_its_next_time(desk: Desk) -> None:
    task = await desk.keep(cron="0 * * * *")
    await desk.schedules()._look()
    task = await change(desk, task, paused=True)
    desk.clock.advance(5 * 3600)
    await desk.schedules()._look()
    assert await desk.told() == []
    assert await desk.next_ms(task) is None
    task = await change(desk, task, paused=False)
    await desk.schedules()._look()
    assert await desk.next_ms(task) == BEGIN + 6 * HOUR
    assert await desk.told() == []


async def test_another_prompt_keeps_the_time_and_another_time_is_planned_anew(desk: Desk) -> None:
    task = await desk.keep(every_s=3600)
    await desk.schedules()._look()
    desk.clock.advance(600)
    task = await change(desk, task, prompt="do it well")
    await desk.schedules()._look()
    assert await desk.next_ms(task) == BEGIN + HOUR
    task = await change(desk, task, every_s=7200)
    await desk.schedules()._look()
    assert await desk.next_ms(task) == BEGIN + 10 * MINUTE + 2 * HOUR


async def test_what_happened_once_does_not_happen_again_after_a_pause(desk: Desk) -> None:
    task = await desk.keep(at_ms=BEGIN + MINUTE)
    await desk.schedules()._look()
    desk.clock.advance(61)
    await desk.schedules()._look()
    task = await change(desk, task, paused=True)
    task = await change(desk, task, paused=False)
    await desk.schedules()._look()
    await desk.schedules()._look()
    assert len(await desk.told()) == 1
    assert await desk.next_ms(task) is None


async def test_the_same_change_again_alters_nothing(desk: Desk) -> None:
    task = await desk.keep(cron="0 * * * *")
    await desk.schedules()._look()
    before = await desk.book.tasks()
    await change(desk, task)
    assert await desk.book.tasks() == before


# --- now ------------------------------------------------------------------------------------------


async def test_a_task_is_done_now_even_when_it_is_paused_and_keeps_its_times(desk: Desk) -> None:
    task = await desk.keep(cron="0 * * * *", paused=True)
    routed = await desk.schedules().run_now(task.agent, task.name)
    (message,) = await desk.told()
    assert (message.id, message.text) == (routed.message, "do report")
    (kept,) = await desk.book.tasks()
    assert (kept.last, kept.ran_ms, kept.task.paused) == ("pending", BEGIN, True)


async def test_one_that_its_agent_is_at_is_not_begun_again(desk: Desk) -> None:
    task = await desk.keep(cron="0 * * * *")
    await desk.schedules().run_now(task.agent, task.name)
    with pytest.raises(UserError) as refused:
        await desk.schedules().run_now(task.agent, task.name)
    assert refused.value.code is Code.CONFLICT
    other = await desk.keep("other", cron="0 * * * *")
    await desk.schedules().run_now(other.agent, other.name)
    assert len(await desk.told()) == 2


async def test_what_cannot_be_done_now_says_why(desk: Desk) -> None:
    with pytest.raises(UserError) as refused:
        await desk.schedules().run_now(desk.talk.agent.id, "nothing")
    assert refused.value.code is Code.NOT_FOUND
    agent = await desk.core.registry.create_agent(name="unwired")
    task = await desk.keep("far", agent, cron="0 * * * *")
    with pytest.raises(UserError) as refused:
        await desk.schedules().run_now(task.agent, task.name)
    assert refused.value.code is Code.CONFLICT


async def test_a_quiet_task_tells_its_agent_how_to_say_nothing(desk: Desk) -> None:
    task = await desk.keep(cron="0 * * * *", quiet=True)
    await desk.schedules().run_now(task.agent, task.name)
    (message,) = await desk.told()
    assert message.text.startswith("do report\n\n(If there is nothing to report, answer with")
    assert task.id == TaskId("tsk_report")
