"""Schedules: tells agents of their tasks when these are due. No polling: it sleeps until the first.

look: new tasks get a time -> due ones: plan (fire, or too late) -> the router's `tell` -> settle

A time is told under an id made of task and time, which the ledger takes once. So a core that ends
between telling and settling tells nothing twice, and nothing is settled that was not told.

* What became due while nobody looked is told once, late, for its latest time, or left out, as the
  task says (`misfire`, `late_s`).
* A task that happens once stays, with no next time, until it is removed: it was approved, and
  people can see that it ran.
* While its agent is archived a task is not told, and is not made up for later.
* While its chat does not lead to the agent it is not told either; the refusal is recorded.
* A paused task is not told. Anybody who may can have a task told now, beside its times, unless its
  agent is at it already.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.alarm import Alarm
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, UserError
from ironclaw.core.ids import new_id
from ironclaw.core.log import get_logger
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.model import Event
from ironclaw.domain.schedules import NOTHING, Run, first_time, plan, told_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, MessageId, SessionId, TaskId
    from ironclaw.domain.audit import By
    from ironclaw.domain.model import Task
    from ironclaw.domain.schedules import DueTask, KeptTask
    from ironclaw.services.house import Routed

LONGEST_MS: Final = 300_000
"""Longest sleep: clocks get set, and machines are suspended."""
RETRY_MS: Final = 60_000
"""After a task could not be told, or the store failed."""

_log = get_logger("schedules")


class TaskBook(Protocol):
    """Where tasks are kept: `ironclaw.store.task_rows.TaskRows`. All methods raise HostError."""

    async def tasks(self, *, agent: AgentId | None = None) -> Sequence[KeptTask]:
        """Tasks, of one agent or of all."""
        ...

    async def next_ms(self, *, after_ms: int) -> int | None:
        """When the first task is due of those that are due later than `after_ms`."""
        ...

    async def due(self, *, now_ms: int) -> Sequence[DueTask]:
        """Tasks whose time has come, longest ago first."""
        ...

    async def unplanned(self) -> Sequence[Task]:
        """Tasks of which nobody has said yet when they are due."""
        ...

    async def plan(self, task: TaskId, *, next_ms: int | None) -> None:
        """Say when a new task is due first."""
        ...

    async def settle(
        self, task: TaskId, run: Run, *, due_ms: int, next_ms: int | None, at_ms: int
    ) -> None:
        """What became of a task that was due."""
        ...

    async def ran(self, task: TaskId, message: MessageId, *, at_ms: int) -> None:
        """It was told beside its times."""
        ...

    async def is_under_way(self, task: TaskId) -> bool:
        """Whether the agent has not done yet what the task told it."""
        ...


class Teller(Protocol):
    """Who tells agents: `ironclaw.services.router.Router`."""

    async def tell(self, event: Event, agent: AgentId, *, hops: int = 0) -> Routed:
        """Have an agent act in one of its chats, once; durable on return."""
        ...


class Record(Protocol):
    """Adds to the audit: `services.auditing.Auditing.append`."""

    async def __call__(self, entry: AuditEntry, by: By) -> None:
        """Durable on return. Raises HostError."""
        ...


async def _unrecorded(entry: AuditEntry, by: By) -> None:
    """For tests of what is told alone."""


class Schedules:
    """Tells tasks. `run` is its one task.

    Args:
        book: Where tasks are kept.
        teller: Who tells the agents.
        clock: What time it is.
        record: Keeps who had a task told beside its times.
    """

    def __init__(
        self, *, book: TaskBook, teller: Teller, clock: Clock, record: Record = _unrecorded
    ) -> None:
        self._book = book
        self._teller = teller
        self._clock = clock
        self._record = record
        self._alarm = Alarm()
        self._telling = asyncio.Lock()
        self._put_off: dict[TaskId, int] = {}

    async def rearm(self) -> None:
        """Tasks, agents or wirings have changed: look again.

        On return no telling is under way that began before: a task that was taken away and is not
        in a chat yet will never be.
        """
        async with self._telling:
            self._alarm.ring()

    async def run_now(
        self,
        agent: AgentId,
        name: str,
        *,
        by: By = CORE,
        session: SessionId | None = None,
        key: str = "",
        hops: int = 0,
    ) -> Routed:
        """Have a task told now, whether it is paused or over; durable on return.

        Args:
            agent: Whose task it is; it is not archived.
            name: Which one.
            by: Who has it told.
            session: The conversation that it is told from, for an agent's own wish.
            key: What it is: the same wish of somebody is one. Empty: a new one.
            hops: Agents that the wish has come through.

        Raises:
            UserError: `NOT_FOUND`; `CONFLICT`: the agent is at it already, or is not in its chat.
            PolicyError: `RATE_LIMITED`: too much waits for the agent.
            HostError: The store failed.
        """
        async with self._telling:
            kept = await self._book.tasks(agent=agent)
            task = next((one.task for one in kept if one.task.name == name), None)
            if task is None:
                raise UserError(
                    Code.NOT_FOUND,
                    f"The agent has no task {name[:64]!r}.",
                    hint="`ironclaw task list` shows those there are.",
                )
            if await self._book.is_under_way(task.id):
                raise UserError(
                    Code.CONFLICT,
                    f"The agent is at the task {task.name} already.",
                    hint="Wait for its answer.",
                )
            entry = AuditEntry(
                event=AuditEvent.TASK_RUN,
                task=task.id,
                agent=agent,
                name=task.name,
                session=session,
            )
            await self._record(entry, by)
            event = _event(task, f"now/{key or new_id('run')}")
            routed = await self._teller.tell(event, agent, hops=hops)
            if routed.message is None:
                raise UserError(
                    Code.CONFLICT,
                    "The chat of the task does not lead to the agent.",
                    hint="Wire it again (`ironclaw wiring create`), or give the task another chat.",
                )
            await self._book.ran(task.id, routed.message, at_ms=self._clock.now_ms())
            return routed

    async def run(self) -> None:
        """Tell tasks until cancelled. A failing store is waited for."""
        await self._alarm.keep(self._try_to_look)

    async def _try_to_look(self) -> float:
        try:
            return await self._look()
        except HostError as error:
            _log.error("tasks_unreadable", code=error.code, detail=error.detail)
            return RETRY_MS / 1000

    async def _look(self) -> float:
        """Tell what is due; return how long there is nothing to do, in seconds."""
        now = self._clock.now_ms()
        await self._plan_new(now)
        async with self._telling:
            self._put_off = {task: at for task, at in self._put_off.items() if at > now}
            for due in await self._book.due(now_ms=now):
                if due.task.id not in self._put_off:
                    await self._try(due, now)
        coming = list(self._put_off.values())
        if (first := await self._book.next_ms(after_ms=now)) is not None:
            coming.append(first)
        left_ms = min(coming, default=now + LONGEST_MS) - self._clock.now_ms()
        return min(max(0, left_ms), LONGEST_MS) / 1000

    async def _try(self, due: DueTask, now: int) -> None:
        try:
            await self._tell(due, now)
        except IronClawError as error:
            # One task that cannot be told (its zone is gone from the system, too much waits for its
            # agent) must not hold the others up.
            self._put_off[due.task.id] = now + RETRY_MS
            _log.error("task_put_off", task=due.task.id, code=error.code, detail=error.detail)

    async def _tell(self, due: DueTask, now: int) -> None:
        task = due.task
        fire_ms, next_ms = plan(task, due_ms=due.due_ms, now_ms=now)
        run = await self._run(due, fire_ms)
        if run.message is None:
            _log.warning("task_left_out", task=task.id, agent=task.agent, why=run.why_not)
        await self._book.settle(task.id, run, due_ms=due.due_ms, next_ms=next_ms, at_ms=now)

    async def _run(self, due: DueTask, fire_ms: int | None) -> Run:
        if fire_ms is None:
            return Run(due.due_ms, None, "too_late")
        if due.is_archived:
            return Run(fire_ms, None, "archived")
        routed = await self._teller.tell(_event(due.task, str(fire_ms)), due.task.agent)
        return Run(fire_ms, routed.message, "" if routed.message is not None else routed.reason)

    async def _plan_new(self, now: int) -> None:
        for task in await self._book.unplanned():
            try:
                next_ms = first_time(task, now_ms=now)
            except UserError as error:
                # Looked at again later: the system may get to know its zone.
                _log.error("task_not_planned", task=task.id, problem=error.message)
            else:
                await self._book.plan(task.id, next_ms=next_ms)


def _event(task: Task, which: str) -> Event:
    """A task as its agent hears it.

    Args:
        task: What it is told, by whom.
        which: Which of its times.
    """
    quiet = (
        f"\n\n(If there is nothing to report, answer with exactly {NOTHING}: then nobody is "
        "disturbed.)"
    )
    return Event(
        channel=task.channel,
        platform_id=task.platform_id,
        handle=f"task:{task.id}",
        sender=task.name,
        text=task.prompt + (quiet if task.quiet else ""),
        # No channel and no client can send this id: see `Router.tell`.
        external_id=told_as(task.id, which),
    )
