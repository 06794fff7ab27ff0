"""Tasks as rows: kept once, due in order, with what became of their times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from tests.support.past_gateway import archive_agent

from ironclaw.core.ids import AgentId, MessageId, TaskId
from ironclaw.domain.model import Task
from ironclaw.domain.schedules import Run
from ironclaw.store.task_rows import RUNS_KEPT_MS, TaskRows, drop_task, put_task

if TYPE_CHECKING:
    import apsw

    from ironclaw.testing.fakes_store import Conversation, CoreStore


def a_task(agent: AgentId, name: str = "report", **fields: object) -> Task:
    return Task(
        id=TaskId(f"tsk_{name}"), agent=agent, name=name, channel="api", platform_id="desk",
        prompt="p", cron="0 * * * *", **fields,  # type: ignore[arg-type]
    )  # fmt: skip


async def put(core: CoreStore, task: Task, next_ms: int | None = None) -> int:
    """Keep a task; returns how many rows that changed."""

    def work(db: apsw.Connection) -> int:
        before = db.total_changes()
        put_task(db, task, next_ms=next_ms)
        return db.total_changes() - before

    return await core.store.write(work)


async def test_a_new_task_waits_to_be_planned_once(core: CoreStore, talk: Conversation):
    book, task = TaskRows(core.store), a_task(talk.agent.id)
    await put(core, task)
    assert await book.unplanned() == [task]
    assert await book.next_ms(after_ms=0) is None
    await book.plan(task.id, next_ms=100)
    await book.plan(task.id, next_ms=200)
    assert await book.unplanned() == []
    assert await book.next_ms(after_ms=0) == 100
    assert await book.next_ms(after_ms=100) is None


async def test_the_same_task_again_changes_nothing(core: CoreStore, talk: Conversation):
    task = a_task(talk.agent.id)
    assert await put(core, task) > 0
    await TaskRows(core.store).plan(task.id, next_ms=100)
    assert await put(core, task) == 0
    assert await TaskRows(core.store).next_ms(after_ms=0) == 100


async def test_another_one_of_the_same_name_takes_its_place(core: CoreStore, talk: Conversation):
    book, old = TaskRows(core.store), a_task(talk.agent.id)
    new = msgspec.structs.replace(old, id=TaskId("tsk_new"), prompt="other")
    await put(core, old, 100)
    await put(core, new, 200)
    assert [kept.task for kept in await book.tasks()] == [new]
    assert await book.next_ms(after_ms=0) == 200


async def test_those_that_are_due_come_longest_ago_first(core: CoreStore, talk: Conversation):
    book = TaskRows(core.store)
    for name, next_ms in (("b", 300), ("a", 100), ("c", 301)):
        await put(core, a_task(talk.agent.id, name), next_ms)
    assert [one.task.name for one in await book.due(now_ms=300)] == ["a", "b"]
    assert not any(one.is_archived for one in await book.due(now_ms=300))
    await archive_agent(core.registry, "helper")
    assert all(one.is_archived for one in await book.due(now_ms=300))


async def test_tasks_of_one_agent_are_told_apart(core: CoreStore, talk: Conversation):
    other = await core.begin(name="other", place="elsewhere")
    await put(core, a_task(talk.agent.id, "mine"))
    await put(core, a_task(other.agent.id, "theirs"))
    book = TaskRows(core.store)
    assert [kept.task.name for kept in await book.tasks(agent=other.agent.id)] == ["theirs"]
    assert len(await book.tasks()) == 2


async def test_a_time_is_settled_once(core: CoreStore, talk: Conversation):
    book, task = TaskRows(core.store), a_task(talk.agent.id)
    await put(core, task, 100)
    run = Run(100, MessageId("msg_a"))
    await book.settle(task.id, run, due_ms=100, next_ms=200, at_ms=105)
    await book.settle(task.id, Run(100, None, "late"), due_ms=100, next_ms=900, at_ms=106)
    (kept,) = await book.tasks()
    assert (kept.next_ms, kept.ran_ms) == (200, 105)
    assert await book.runs(task.id) == [run]


async def test_a_task_that_is_gone_leaves_no_times(core: CoreStore, talk: Conversation):
    book, task = TaskRows(core.store), a_task(talk.agent.id)
    await put(core, task, 100)
    await book.settle(task.id, Run(100, MessageId("m")), due_ms=100, next_ms=200, at_ms=100)
    await core.store.write(lambda db: drop_task(db, task.id))
    await book.settle(task.id, Run(200, MessageId("m")), due_ms=200, next_ms=300, at_ms=200)
    assert await book.tasks() == []
    assert await book.runs(task.id) == []


async def test_times_of_long_ago_are_forgotten_but_never_the_last(
    core: CoreStore, talk: Conversation
):
    book, task = TaskRows(core.store), a_task(talk.agent.id)
    times = [100, 200, 200 + RUNS_KEPT_MS]
    await put(core, task, times[0])
    for due, next_ms in zip(times, [*times[1:], None], strict=True):
        run = Run(due, MessageId("m"))
        await book.settle(task.id, run, due_ms=due, next_ms=next_ms, at_ms=due)
    assert [run.due_ms for run in await book.runs(task.id)] == [times[2], times[1]]
