"""Tasks, when each is due next, and the times that they were told for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import MessageId, TaskId
from ironclaw.domain.model import Task
from ironclaw.domain.schedules import DueTask, KeptTask, Run, told_as

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import AgentId
    from ironclaw.store.engine import Store

RUNS_KEPT_MS: Final = 7 * 24 * 60 * 60 * 1000
"""How long, before the newest one, times of a task are remembered."""
_TASKS: Final = (
    "SELECT t.body, t.next_ms, (SELECT max(r.at_ms) FROM task_run r"
    " WHERE r.task = t.id AND r.message IS NOT NULL),"
    " (SELECT ifnull(m.status, r.code) FROM task_run r LEFT JOIN message m ON m.id = r.message"
    " WHERE r.task = t.id ORDER BY r.due_ms DESC LIMIT 1), t.failures FROM task t"
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
        return [
            KeptTask(as_task(body), next_, ran, last or "", failures)
            for body, next_, ran, last, failures in rows
        ]

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
            DueTask(task=as_task(body), due_ms=due_ms, is_archived=bool(archived))
            for body, due_ms, archived in rows
        ]

    async def unplanned(self) -> list[Task]:
        """Tasks of which nobody has said yet when they are due."""
        rows = await self._store.read(
            lambda db: list(db.execute("SELECT body FROM task WHERE planned = 0 ORDER BY id"))
        )
        return [as_task(body) for (body,) in rows]

    async def plan(self, task: TaskId, *, next_ms: int | None) -> None:
        """Say when a new task is due first. A repeat changes nothing.

        What happened once does not happen again because something else about it was changed.
        """
        await self._store.write(
            lambda db: db.execute(
                "UPDATE task SET planned = 1, next_ms = CASE WHEN EXISTS (SELECT 1 FROM task_run r"
                " WHERE r.task = ?2 AND r.due_ms = ?1) THEN NULL ELSE ?1 END"
                " WHERE id = ?2 AND planned = 0",
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
            if db.changes() or _is_resting(db, task):
                _note_run(db, task, run, at_ms=at_ms)

        await self._store.write(work)

    async def ran(self, task: TaskId, message: MessageId, *, at_ms: int) -> None:
        """It was told beside its times. A task that is gone changes nothing."""

        def work(db: apsw.Connection) -> None:
            known = db.execute(
                "SELECT 1 FROM task_run WHERE task = ? AND message = ?", (task, message)
            ).fetchone()
            if known is None and db.execute("SELECT 1 FROM task WHERE id = ?", (task,)).fetchone():
                _note_run(db, task, Run(at_ms, message), at_ms=at_ms)

        await self._store.write(work)

    async def is_under_way(self, task: TaskId) -> bool:
        """Whether the agent has not done yet what the task told it. Raises HostError."""
        row = await self._store.read(
            lambda db: db.execute(
                "SELECT 1 FROM message WHERE open = 1 AND engage = 1 AND external_id GLOB ?"
                " LIMIT 1",
                (f"{told_as(task, '')}*",),
            ).fetchone()
        )
        return row is not None

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
    if known is not None and as_task(known[0]) == task:
        return
    same_name = db.execute(
        "SELECT id FROM task WHERE agent = ? AND name = ?", (task.agent, task.name)
    )
    for gone in (task.id, *[TaskId(id_) for (id_,) in same_name]):
        drop_task(db, gone)
    db.execute(
        "INSERT INTO task (id, agent, name, body, next_ms, planned, paused)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            task.id,
            task.agent,
            task.name,
            msgspec.msgpack.encode(task),
            next_ms,
            next_ms is not None or task.paused,
            int(task.paused),
        ),
    )


def drop_task(db: apsw.Connection, task: TaskId) -> None:
    """Forget a task and its times. Idempotent. In a transaction."""
    db.execute("DELETE FROM task_run WHERE task = ?", (task,))
    db.execute("DELETE FROM task WHERE id = ?", (task,))


def change_task(db: apsw.Connection, task: Task) -> bool:
    """Have a task that is kept be as this says; its failures are counted anew. In a transaction.

    It is planned anew when its times have changed, or when it goes on after a pause.

    Returns:
        Whether anything is otherwise than before.
    """
    row = db.execute("SELECT body FROM task WHERE id = ?", (task.id,)).fetchone()
    if row is None or (former := as_task(row[0])) == task:
        return False
    keeps_time = _times(former) == _times(task) and not former.paused
    db.execute(
        "UPDATE task SET name = ?2, body = ?3, paused = ?4, failures = 0,"
        " planned = iif(?4, 1, iif(?5, planned, 0)), next_ms = iif(?5 AND NOT ?4, next_ms, NULL)"
        " WHERE id = ?1",
        (task.id, task.name, msgspec.msgpack.encode(task), int(task.paused), int(keeps_time)),
    )
    return True


def as_task(body: bytes) -> Task:
    """A body as a value."""
    return msgspec.msgpack.decode(body, type=Task)


def _times(task: Task) -> tuple[object, ...]:
    return task.cron, task.zone, task.every_s, task.at_ms


def _is_resting(db: apsw.Connection, task: TaskId) -> bool:
    """Whether it was paused while it was told."""
    row = db.execute("SELECT paused FROM task WHERE id = ?", (task,)).fetchone()
    return row is not None and bool(row[0])


def _note_run(db: apsw.Connection, task: TaskId, run: Run, *, at_ms: int) -> None:
    db.execute(
        "INSERT INTO task_run (task, due_ms, at_ms, message, code) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (task, run.due_ms, at_ms, run.message, run.why_not),
    )
    db.execute(
        "DELETE FROM task_run WHERE task = ? AND due_ms < ?", (task, run.due_ms - RUNS_KEPT_MS)
    )
