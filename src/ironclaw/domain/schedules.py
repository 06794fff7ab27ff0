"""When tasks are due: cron expressions in a time zone, and what becomes of a missed time. Pure.

Five fields as Debian's cron reads them. Where clocks go forward, a time of day that is left out is
due at the first moment after the gap; where they go back, a time of day that comes twice is due
once, the first time. Expressions that mean every so many minutes or hours go by real time, and so
does a task that is told every so many seconds.

Source:
    Debian cron(8), "Notes" on daylight saving time. Zone data are those of the system (`tzdata`).
"""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, NamedTuple

from cronsim import CronSim, CronSimError

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import TaskId
from ironclaw.domain.model import Misfire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.core.ids import MessageId
    from ironclaw.domain.model import Task

GRACE_MS: Final = 10 * 60 * 1000
"""How late a time may be told that is skipped when it is missed: the host sleeps and is busy."""
FAILURES: Final = 5
"""Turns of a task that fail in a row before it is paused."""
NOTHING: Final = "NOTHING TO REPORT"
"""The whole of an answer that a quiet task does not deliver."""
MAX_CRON_CHARS: Final = 200
_HOUR_MS: Final = 60 * 60 * 1000
_FIELDS: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Plan(NamedTuple):
    """What to do with a task that is due."""

    fire_ms: int | None
    """The time that it is told for; None: nothing, it is too late for all that was missed."""
    next_ms: int | None
    """When it is due after that; None: never."""


class DueTask(NamedTuple):
    """A task whose time has come."""

    task: Task
    due_ms: int
    is_archived: bool
    """Whether its agent is."""


class KeptTask(NamedTuple):
    """A task as it is kept."""

    task: Task
    next_ms: int | None
    """When it is due next; None: never again, or nobody knows yet."""
    ran_ms: int | None
    """When it was told last."""
    last: str = ""
    """What came of its newest time: the status of its message, or why it was not told; empty
    before the first."""
    failures: int = 0
    """Of its turns, one after the other, up to now."""


class Run(NamedTuple):
    """What became of one time of a task."""

    due_ms: int
    message: MessageId | None
    """What its agent was told by; None when it was not told."""
    why_not: str = ""
    """`archived`, `not_wired` or `too_late`; empty when it was told."""


TASK_MARK: Final = "\ntask:"
"""How the ids of messages begin that tell tasks. No channel and no client can send a newline."""


def told_as(task: TaskId, which: str) -> str:
    """The id of the message that tells a task.

    Args:
        task: Which one.
        which: Which of its times; the same one is told once.
    """
    return f"{TASK_MARK}{task}:{which}"


def task_of(external_id: str) -> TaskId | None:
    """The task that a message of that id tells; None for any other."""
    if not external_id.startswith(TASK_MARK):
        return None
    return TaskId(external_id.removeprefix(TASK_MARK).partition(":")[0])


def check_cron(cron: str, zone: str, now_ms: int) -> None:
    """Refuse what is no schedule, or one that never comes.

    Args:
        cron: Five fields.
        zone: IANA name.
        now_ms: Milliseconds since the epoch.

    Raises:
        UserError: `INVALID`.

    Trust:
        Both texts are foreign. A schedule that never comes is given up after 50 years of days.
    """
    if next(_times(cron, zone, now_ms), None) is None:
        raise _bad_cron(cron, "it never comes")


def next_time(task: Task, *, after_ms: int) -> int | None:
    """When a task is due next, in milliseconds since the epoch; None: never again.

    Args:
        task: Which one.
        after_ms: Only times later than this; a task of every so many seconds counts from here.

    Raises:
        UserError: `INVALID`: its cron or its zone is of no use here.
    """
    if task.at_ms is not None:
        return task.at_ms if task.at_ms > after_ms else None
    return next(_coming(task, after_ms), None)


def first_time(task: Task, *, now_ms: int) -> int | None:
    """When a task that was just made is due first; None: never.

    What happens once keeps its time: it may have passed between the approval and now.

    Raises:
        UserError: `INVALID`: its cron or its zone is of no use here.
    """
    return task.at_ms if task.at_ms is not None else next_time(task, after_ms=now_ms)


def plan(task: Task, *, due_ms: int, now_ms: int) -> Plan:
    """What becomes of a task whose time has come, however long ago.

    What was missed is made up for once, for the latest time of it, unless that is too long ago.

    Args:
        task: Which one.
        due_ms: When it was due.
        now_ms: Not before `due_ms`.

    Raises:
        UserError: `INVALID`: its cron or its zone is of no use here.
    """
    late_ms = GRACE_MS if task.misfire is Misfire.SKIP else task.late_s * 1000
    fire_ms = due_ms if now_ms - due_ms < late_ms else None
    if task.at_ms is not None:
        return Plan(fire_ms, None)
    next_ms = None
    # What comes every minute is looked at for an hour, not for a month.
    for span_ms in (_HOUR_MS, 24 * _HOUR_MS, late_ms):
        is_missed = False
        next_ms = None
        for at_ms in _coming(task, due_ms, over_ms=now_ms - min(span_ms, late_ms)):
            if at_ms > now_ms:
                next_ms = at_ms
                break
            fire_ms, is_missed = at_ms, True
        if is_missed:
            break
    return Plan(fire_ms, next_ms)


def _coming(task: Task, after_ms: int, *, over_ms: int = 0) -> Iterator[int]:
    """Times of a task after one of them, and over `over_ms`, in order. Raises UserError."""
    if task.cron is not None:
        yield from _times(task.cron, task.zone, max(after_ms, over_ms))
    elif task.every_s is not None:
        step_ms = task.every_s * 1000
        at_ms = after_ms + max(0, over_ms - after_ms) // step_ms * step_ms
        while True:
            at_ms += step_ms
            yield at_ms


def _times(cron: str, zone: str, after_ms: int) -> Iterator[int]:
    """Times after `after_ms`, each later than the one before it. Raises UserError (`INVALID`)."""
    place = _zone(zone)
    if len(cron) > MAX_CRON_CHARS or len(cron.split()) != _FIELDS:
        raise _bad_cron(cron, "it needs five fields: minute, hour, day, month, day of the week")
    last_ms = after_ms
    try:
        begin = (_EPOCH + timedelta(milliseconds=after_ms)).astimezone(place)
        for moment in CronSim(cron, begin):
            at_ms = (moment.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
            # Within the hour that comes twice, the same time of day is offered again.
            if at_ms > last_ms:
                yield at_ms
                last_ms = at_ms
    except CronSimError as error:
        raise _bad_cron(cron, str(error).lower()) from error
    except (OverflowError, ValueError):
        # The end of the calendar: nothing comes after it.
        return


def moment_ms(text: str, zone: str) -> int:
    """A time as people write it, in milliseconds since the epoch.

    Args:
        text: As ISO 8601 has it: `2027-01-31T08:30`, or with an offset of its own.
        zone: Where it is that time, if it has no offset.

    Raises:
        UserError: `INVALID`.
    """
    try:
        local = datetime.fromisoformat(text)
        return (local.replace(tzinfo=local.tzinfo or _zone(zone)) - _EPOCH) // timedelta(
            milliseconds=1
        )
    except (ValueError, OverflowError) as error:
        raise UserError(
            Code.INVALID,
            f"{text[:40]!r} is no time.",
            hint="Write 2027-01-31T08:30, and a zone as Europe/Berlin.",
        ) from error


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UserError(
            Code.INVALID,
            f"The time zone {name[:64]!r} is not known here.",
            hint="Use an IANA name as Europe/Vienna, or UTC. The system's package tzdata has them.",
        ) from error


def _bad_cron(cron: str, why: str) -> UserError:
    return UserError(
        Code.INVALID,
        f"The schedule {cron[:MAX_CRON_CHARS]!r} does not work: {why}.",
        hint="For example `30 7 * * MON-FRI`: at half past seven on every working day.",
    )
