"""Tasks, when each is due next, and the times that they were told for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import MessageId, TaskId
from ironclaw.domain.model import Task
from ironclaw.domain.schedules import DueTask, KeptTask, Run

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import AgentId
    from ironclaw.store.engine import Store

RUNS_KEPT_MS: Final = 7 * 24 * 60 * 60 * 1000
"""How long, before the newest one, times of a task are remembered."""
_TASKS: Final = (
    "SELECT t.body, t.next_ms, (SELECT max(r.at_ms) FROM task_run r"
    " WHERE r.task = t.id AND r.message IS NOT NULL)"
    " FROM task t"
)
_DUE: Final = (
    "SELECT t.body, t.next_ms, a.archived FROM task t JOIN agent a ON a.id = t.agent"
    " WHERE t.next_ms <= ? ORDER BY t.next_ms, t.id"
)


class TaskRows:
    """The tables of tasks and of their runs. All methods raise HostError."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def tasks(self, *, agent: AgentId | None = None) -> list[KeptTask]:
        """Tasks by name, of one agent or of all."""
        where, values = ("", ()) if agent is None else (" WHERE t.agent = ?", (agent,))
        rows = await self._store.read(
            lambda db: list(db.execute(f"{_TASKS}{where} ORDER BY t.agent, t.name", values))
        )
        return [KeptTask(task=_task(body), next_ms=next_, ran_ms=ran) for body, next_, ran in rows]

    async def next_ms(self, *, after_ms: int) -> int | None:
        """When the first task is due of those that are due later than `after_ms`; None: never."""
        row = await self._store.read(
            lambda db: db.execute(
                "SELECT min(next_ms) FROM task WHERE next_ms > ?", (after_ms,)
            ).fetchone()
        )
        return None if row is None or row[0] is None else int(row[0])

    async def due(self, *, now_ms: int) -> list[DueTask]:
        """Tasks whose time has come, longest ago first."""
        rows = await self._store.read(lambda db: list(db.execute(_DUE, (now_ms,))))
        return [
            DueTask(task=_task(body), due_ms=due_ms, is_archived=bool(archived))
            for body, due_ms, archived in rows
        ]

    async def unplanned(self) -> list[Task]:
        """Tasks of which nobody has said yet when they are due."""
        rows = await self._store.read(
            lambda db: list(db.execute("SELECT body FROM task WHERE planned = 0 ORDER BY id"))
        )
        return [_task(body) for (body,) in rows]

    async def plan(self, task: TaskId, *, next_ms: int | None) -> None:
        """Say when a new task is due first. A repeat changes nothing."""
        await self._store.write(
            lambda db: db.execute(
                "UPDATE task SET next_ms = ?, planned = 1 WHERE id = ? AND planned = 0",
                (next_ms, task),
            )
        )

    async def settle(
        self, task: TaskId, run: Run, *, due_ms: int, next_ms: int | None, at_ms: int
    ) -> None:
        """What became of a task that was due. A repeat, or a task that is gone, changes nothing.

        Args:
            task: Which one.
            run: What became of which of its times.
            due_ms: When it was due, as `due` said.
            next_ms: When it is due next; None: never.
            at_ms: Now.
        """

        def work(db: apsw.Connection) -> None:
            db.execute(
                "UPDATE task SET next_ms = ? WHERE id = ? AND next_ms = ?", (next_ms, task, due_ms)
            )
            if not db.changes():
                return
            db.execute(
                "INSERT INTO task_run (task, due_ms, at_ms, message, code) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (task, run.due_ms, at_ms, run.message, run.why_not),
            )
            db.execute(
                "DELETE FROM task_run WHERE task = ? AND due_ms < ?",
                (task, run.due_ms - RUNS_KEPT_MS),
            )

        await self._store.write(work)

    async def runs(self, task: TaskId, *, limit: int = 100) -> list[Run]:
        """What became of the newest times of a task, newest first."""
        rows = await self._store.read(
            lambda db: list(
                db.execute(
                    "SELECT due_ms, message, code FROM task_run WHERE task = ?"
                    " ORDER BY due_ms DESC LIMIT ?",
                    (task, limit),
                )
            )
        )
        return [
            Run(due_ms, None if message is None else MessageId(message), code)
            for due_ms, message, code in rows
        ]


def put_task(db: apsw.Connection, task: Task, *, next_ms: int | None = None) -> None:
    """Keep a task; the same one again changes nothing, not even when it is due. In a transaction.

    Args:
        db: In a transaction.
        task: One of the same name is replaced.
        next_ms: When it is due first; None: the scheduler says when it sees it.
    """
    known = db.execute("SELECT body FROM task WHERE id = ?", (task.id,)).fetchone()
    if known is not None and _task(known[0]) == task:
        return
    same_name = db.execute(
        "SELECT id FROM task WHERE agent = ? AND name = ?", (task.agent, task.name)
    )
    for gone in (task.id, *[TaskId(id_) for (id_,) in same_name]):
        drop_task(db, gone)
    db.execute(
        "INSERT INTO task (id, agent, name, body, next_ms, planned) VALUES (?, ?, ?, ?, ?, ?)",
        (
            task.id,
            task.agent,
            task.name,
            msgspec.msgpack.encode(task),
            next_ms,
            next_ms is not None,
        ),
    )


def drop_task(db: apsw.Connection, task: TaskId) -> None:
    """Forget a task and its times. Idempotent. In a transaction."""
    db.execute("DELETE FROM task_run WHERE task = ?", (task,))
    db.execute("DELETE FROM task WHERE id = ?", (task,))


def _task(body: bytes) -> Task:
    return msgspec.msgpack.decode(body, type=Task)
