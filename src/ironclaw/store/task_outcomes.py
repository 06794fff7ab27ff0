"""What comes of the turns that tasks began: counted, said to nobody, or paused after failures.

Which message tells a task is in the id that the host gave it, which nobody outside can give. So a
turn counts also when it ends before the scheduler has noted that it was told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.schedules import FAILURES, NOTHING, task_of
from ironclaw.store.audit_rows import append
from ironclaw.store.message_rows import add_delivery
from ironclaw.store.task_rows import as_task

if TYPE_CHECKING:
    import apsw

    from ironclaw.domain.model import Delivery, Task
    from ironclaw.store.content import Content
    from ironclaw.store.message_rows import Target

_PAUSED: Final = (
    "The task {name} has failed {count} times in a row, so it is paused. To have it go on: "
    "`ironclaw task resume {agent} {name}`."
)
_NEUTRAL: Final = frozenset({Code.STOPPED})
"""Ends that people brought about: the task is not to blame."""


def ended(
    db: apsw.Connection, content: Content, target: Target, *, code: Code | None, now_ms: int
) -> tuple[Delivery, ...]:
    """A turn is over: count it for the task that began it, and pause one that fails for good.

    Args:
        db: In the transaction that closes the message.
        content: Seals what people are told.
        target: The message that began the turn.
        code: Why it failed; None when it did not.
        now_ms: Milliseconds since the epoch.

    Returns:
        What people are told, if the task was paused.
    """
    task = None if code in _NEUTRAL else _task(db, target)
    if task is None:
        return ()
    if code is None:
        db.execute("UPDATE task SET failures = 0 WHERE id = ? AND failures > 0", (task.id,))
        return ()
    ((failures,),) = list(
        db.execute(
            "UPDATE task SET failures = failures + 1 WHERE id = ? RETURNING failures", (task.id,)
        )
    )
    if failures < FAILURES or task.paused:
        return ()
    paused = msgspec.structs.replace(task, paused=True)
    db.execute(
        "UPDATE task SET body = ?, paused = 1, planned = 1, next_ms = NULL WHERE id = ?",
        (msgspec.msgpack.encode(paused), task.id),
    )
    entry = AuditEntry(
        event=AuditEvent.TASK_PAUSED,
        task=task.id,
        agent=task.agent,
        name=task.name,
        count=failures,
    )
    append(db, entry, at_ms=now_ms)
    words = _PAUSED.format(name=task.name, agent=target.agent, count=failures)
    return (
        add_delivery(
            db,
            content,
            key=f"paused/{target.id}",
            target=target,
            text=words,
            by_host=True,
            now_ms=now_ms,
        ),
    )


def is_silent(db: apsw.Connection, target: Target, text: str) -> bool:
    """Whether an answer is not for people: a quiet task that has nothing to report."""
    if text.strip() != NOTHING:
        return False
    task = _task(db, target)
    return task is not None and task.quiet


def _task(db: apsw.Connection, target: Target) -> Task | None:
    """The task that a message tells, if it is there still."""
    row = db.execute("SELECT external_id FROM message WHERE n = ?", (target.n,)).fetchone()
    id_ = None if row is None else task_of(row[0])
    if id_ is None:
        return None
    row = db.execute("SELECT body FROM task WHERE id = ?", (id_,)).fetchone()
    return None if row is None else as_task(row[0])
