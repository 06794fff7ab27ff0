"""Who writes an effect is alone with that change, and with no other."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChangeId

if TYPE_CHECKING:
    from ironclaw.services.gateway.applier import Applier
    from ironclaw.testing.desk import Desk

ONE, OTHER = ChangeId("chg_a"), ChangeId("chg_b")


@pytest.fixture
def applier(desk: Desk) -> Applier:
    return desk.gateway._applier


async def test_one_at_a_time_for_each_change(applier: Applier) -> None:
    inside: list[ChangeId] = []
    most: dict[ChangeId, int] = {}

    async def enter(change: ChangeId) -> None:
        async with applier.alone(change):
            inside.append(change)
            most[change] = max(most.get(change, 0), inside.count(change))
            most[ChangeId("")] = max(most.get(ChangeId(""), 0), len(inside))
            for _ in range(3):
                await asyncio.sleep(0)
            inside.remove(change)

    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(enter((ONE, OTHER)[number % 2]))
    assert most == {ONE: 1, OTHER: 1, ChangeId(""): 2}


async def test_no_lock_outlives_its_use(applier: Applier) -> None:
    async with applier.alone(ONE):
        assert len(applier._locks) == 1
    gc.collect()
    assert len(applier._locks) == 0


async def test_a_change_that_is_not_there_is_not_finished(applier: Applier, desk: Desk) -> None:
    with pytest.raises(UserError):
        await applier.finish(ONE)
    assert desk.gateway.degraded == ()
