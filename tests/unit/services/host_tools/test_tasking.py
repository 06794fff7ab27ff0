"""What an agent sees of its own tasks, and how it does one now."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ironclaw.core.ids import TaskId
from ironclaw.domain.model import Task
from ironclaw.services.host_tools.service import RUN_PER_HOUR
from ironclaw.store.task_rows import TaskRows, put_task

if TYPE_CHECKING:
    from tests.unit.services.host_tools.conftest import Desk


async def keep(desk: Desk, name: str = "daily", **fields: Any) -> Task:
    fields = {"cron": "0 7 * * *", "agent": desk.talk.agent.id} | fields
    task = Task(
        id=TaskId(f"tsk_{name}"), name=name, channel="api",
        platform_id=desk.talk.chat.platform_id, prompt=f"do {name}", **fields,
    )  # fmt: skip
    await desk.core.store.write(lambda db: put_task(db, task))
    return task


async def told(desk: Desk) -> list[str]:
    return [one.text for one in await desk.core.ledger.backlog(desk.talk.session)][1:]


async def test_it_lists_its_own_tasks_and_nobody_elses(desk: Desk):
    other = await desk.core.registry.create_agent(name="other")
    await keep(desk, "theirs", agent=other.id)
    await keep(desk, every_s=60, cron=None, paused=True)
    used = await desk.use("tasks", {})
    assert json.loads(used.text) == [{"name": "daily", "when": "every 60 s", "paused": True}]


async def test_it_does_one_now_and_the_same_use_again_is_one(desk: Desk):
    await keep(desk)
    first = await desk.use("run_task", {"name": "daily"})
    assert not first.is_error, first.text
    again = await desk.again().use("run_task", {"name": "daily"})
    assert "at the task daily already" in again.text
    assert await told(desk) == ["do daily"]
    (kept,) = await TaskRows(desk.core.store).tasks()
    assert kept.last == "pending"


async def test_what_it_does_now_has_come_as_far_as_what_made_it_do_so(desk: Desk):
    await keep(desk)
    await desk.core.store.write(
        lambda db: db.execute("UPDATE message SET hops = 3 WHERE id = ?", (desk.turn,))
    )
    await desk.use("run_task", {"name": "daily"})
    rows = await desk.core.store.read(
        lambda db: list(db.execute("SELECT hops FROM message ORDER BY n"))
    )
    assert rows == [(3,), (3,)]


async def test_it_does_none_that_is_paused_or_not_its_own(desk: Desk):
    await keep(desk, paused=True)
    assert "task.resume" in (await desk.use("run_task", {"name": "daily"})).text
    missing = await desk.use("run_task", {"name": "other"})
    assert (missing.is_error, missing.text) == (
        True,
        "not_found: you have no task of that name. They are: daily",
    )
    assert await told(desk) == []


async def test_how_often_it_may_has_an_end(desk: Desk):
    for number in range(RUN_PER_HOUR + 1):
        await keep(desk, f"t{number}")
        used = await desk.use("run_task", {"name": f"t{number}"}, key=f"k{number}")
        assert used.is_error == (number == RUN_PER_HOUR), used.text
    assert "rate_limited" in used.text
