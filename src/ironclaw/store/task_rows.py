"""Tasks, when each is due next, and the times that they were told for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.domain.model import Task
from ironclaw.domain.schedules import DueTask, KeptTask

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import AgentId, TaskId
    from ironclaw.store.engine import Store

RUNS_KEPT_MS: Final = 7 * 24 * 60 * 60 * 1000
"""How long, before the newest one, times of a task are remembered."""
_TASKS: Final = (
    "SELECT t.body, t.next_ms, (SELECT max(r.at_ms) FROM task_run r WHERE r.task = t.id)"
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
        """When the first task is due of those that are due later than `after_ms`."""
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

    async def settle(
        self, task: TaskId, *, due_ms: int, fired_ms: int | None, next_ms: int | None, at_ms: int
    ) -> None:
        """What became of a task that was due. A repeat, or a task that is gone, changes nothing.

        Args:
            task: Which one.
            due_ms: When it was due, as `due` said.
            fired_ms: The time that it was told for; None when it was not.
            next_ms: When it is due next; None: never.
            at_ms: Now.
        """

        def work(db: apsw.Connection) -> None:
            db.execute(
                "UPDATE task SET next_ms = ? WHERE id = ? AND next_ms = ?", (next_ms, task, due_ms)
            )
            if not db.changes() or fired_ms is None:
                return
            db.execute(
                "INSERT INTO task_run (task, due_ms, at_ms) VALUES (?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (task, fired_ms, at_ms),
            )
            db.execute(
                "DELETE FROM task_run WHERE task = ? AND due_ms < ?",
                (task, fired_ms - RUNS_KEPT_MS),
            )

        await self._store.write(work)

    async def set_next(self, task: TaskId, *, next_ms: int) -> None:
        """Let a task that has stopped be due again; one that is due anyway stays as it is."""
        await self._store.write(
            lambda db: db.execute(
                "UPDATE task SET next_ms = ? WHERE id = ? AND next_ms IS NULL", (next_ms, task)
            )
        )


def put_task(db: apsw.Connection, task: Task, *, next_ms: int | None) -> None:
    """Keep a task; the same one again changes nothing, not even when it is due. In a transaction.

    One with the same name, and another id, is replaced.
    """
    known = db.execute("SELECT body FROM task WHERE id = ?", (task.id,)).fetchone()
    if known is not None and _task(known[0]) == task:
        return
    for (other,) in list(
        db.execute("SELECT id FROM task WHERE agent = ? AND name = ?", (task.agent, task.name))
    ):
        drop_task(db, other)
    drop_task(db, task.id)
    db.execute(
        "INSERT INTO task (id, agent, name, body, next_ms) VALUES (?, ?, ?, ?, ?)",
        (task.id, task.agent, task.name, msgspec.msgpack.encode(task), next_ms),
    )


def drop_task(db: apsw.Connection, task: TaskId) -> None:
    """Forget a task and when it ran. Idempotent. In a transaction."""
    db.execute("DELETE FROM task_run WHERE task = ?", (task,))
    db.execute("DELETE FROM task WHERE id = ?", (task,))


def _task(body: bytes) -> Task:
    return msgspec.msgpack.decode(body, type=Task)
