"""Deadlines: what is due happens, nothing is polled, and what fails is tried again, later."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import until

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, UserError
from ironclaw.core.ids import ChangeId, GrantId
from ironclaw.services.gateway import deadlines
from ironclaw.services.gateway.deadlines import Deadlines
from ironclaw.services.gateway.rows import Due

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Plan:
    """A store that knows what is due, and a way to carry it out that can fail."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.due: list[Due] = []
        self.happened: list[str] = []
        self.looks = 0
        self.errors: list[IronClawError] = []
        self.is_stuck = False
        self.deadlines = Deadlines(store=self, clock=self.clock, happen=self.happen)  # type: ignore[arg-type]

    def add(self, name: str, *, in_s: float) -> None:
        at_ms = self.clock.now_ms() + round(in_s * 1000)
        self.due.append(Due(at_ms, "expire", ChangeId(name), None))
        self.due.sort()

    async def next_due(self) -> Due | None:
        self.looks += 1
        return self.due[0] if self.due else None

    async def happen(self, due: Due) -> None:
        if self.errors:
            raise self.errors.pop()
        self.happened.append(due.change)
        if not self.is_stuck:
            self.due.remove(due)


@pytest.fixture
def plan() -> Plan:
    return Plan()


@contextlib.asynccontextmanager
async def running(plan: Plan) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(plan.deadlines.run())
        yield
        task.cancel()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_what_became_due_while_nobody_ran_happens_at_the_start_in_order(plan: Plan) -> None:
    plan.add("chg_b", in_s=-5)
    plan.add("chg_a", in_s=-50)
    plan.add("chg_c", in_s=50)
    async with running(plan):
        await turns()
    assert plan.happened == ["chg_a", "chg_b"]


async def test_it_sleeps_until_something_is_due_and_looks_once(plan: Plan) -> None:
    plan.add("chg_a", in_s=0.02)
    async with running(plan):
        await turns()
        assert plan.looks == 1
        plan.clock.advance(0.02)
        await until(lambda: bool(plan.happened), "it to happen")
    assert plan.happened == ["chg_a"]


async def test_news_wake_it(plan: Plan) -> None:
    async with running(plan):
        await turns()
        assert plan.looks == 1
        plan.add("chg_a", in_s=-1)
        plan.deadlines.wake()
        await turns()
        assert plan.happened == ["chg_a"]


async def test_a_store_that_fails_is_a_word_and_is_asked_again_later(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "BASE_S", 0.01)
    plan.add("chg_a", in_s=-1)
    plan.errors = [HostError(Code.DISK_FULL, "It is full.") for _ in range(2)]
    async with running(plan):
        await turns()
        assert "disk_full" in plan.deadlines.trouble
        plan.deadlines.wake()
        await turns()
        assert plan.happened == []
        await until(lambda: bool(plan.happened), "it to happen")
        await turns()
    assert plan.deadlines.trouble == ""


async def test_where_somebody_was_quicker_nothing_is_wrong(plan: Plan) -> None:
    plan.add("chg_a", in_s=-1)
    plan.add("chg_b", in_s=-1)

    async def decided(due: Due) -> None:
        plan.due.remove(due)
        if due.change == "chg_a":
            raise UserError(Code.CONFLICT, "It was decided on.")
        plan.happened.append(due.change)

    plan.deadlines._happen = decided
    async with running(plan):
        await turns()
    assert plan.happened == ["chg_b"]
    assert plan.deadlines.trouble == ""


async def test_what_has_no_effect_does_not_spin(plan: Plan) -> None:
    plan.is_stuck = True
    plan.add("chg_a", in_s=-1)
    async with running(plan):
        await turns(200)
    assert plan.happened == ["chg_a"]
    assert "chg_a" in plan.deadlines.trouble


async def test_the_longest_sleep_is_bounded(plan: Plan) -> None:
    plan.add("chg_a", in_s=400 * 86_400)
    assert await plan.deadlines._step() == deadlines.LOOK_S


async def test_the_end_of_a_grant_is_named_by_its_grant(plan: Plan) -> None:
    plan.is_stuck = True
    plan.due = [Due(0, "end", ChangeId("chg_a"), GrantId("grn_a"))]
    await plan.deadlines._step()
    assert "end grn_a" in plan.deadlines.trouble
