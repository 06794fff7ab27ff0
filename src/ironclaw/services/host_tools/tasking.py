"""`tasks` and `run_task`: what an agent does at times of its own, and doing it now.

Only what people have approved is told, in the chat that they have approved, so it needs no approval
of its own; how often it may be done beside its times has an end. With foreign content before it an
agent has nothing done by itself: then people have it told.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec

from ironclaw.domain.audit import By, Via
from ironclaw.domain.changes.base import NAME_RULE
from ironclaw.domain.taint import in_words as taint_in_words
from ironclaw.services.host_tools.tool import Arguments, NotDoneError, principal_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.model import Task
    from ironclaw.domain.schedules import KeptTask
    from ironclaw.services.host_tools.pace import Pace
    from ironclaw.services.host_tools.tool import Call, Taints
    from ironclaw.services.house import Routed

MAX_LISTED: Final = 100
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Nothing(Arguments, frozen=True, kw_only=True):
    """Arguments of `tasks`: none."""


class Named(Arguments, frozen=True, kw_only=True):
    """Arguments of `run_task`."""

    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]


class ShownTask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task of the agent."""

    name: str
    when: str
    """A cron expression with its zone, `every … s`, or `once`."""
    next: str = ""
    """ISO time in UTC; empty when it is over."""
    last: str = ""
    """What came of its last time: `answered`, `failed`, `pending`, or why it was not told."""
    paused: bool = False
    failures: int = 0
    """In a row."""


class Book(Protocol):
    """The agents' tasks: `ironclaw.store.task_rows.TaskRows`."""

    async def tasks(self, *, agent: AgentId | None = None) -> Sequence[KeptTask]:
        """Tasks of one agent. Raises HostError."""
        ...


class Runs(Protocol):
    """Who tells them: `ironclaw.services.schedules.Schedules`."""

    async def run_now(
        self,
        agent: AgentId,
        name: str,
        *,
        by: By,
        session: SessionId | None = None,
        key: str = "",
        hops: int = 0,
    ) -> Routed:
        """Have a task told now. Raises UserError, PolicyError, HostError."""
        ...


class Trips(Protocol):
    """How far a turn has come: `ironclaw.store.ledger.Ledger`."""

    async def hops(self, session: SessionId, turn: str) -> int:
        """Agents that what began a turn has come through. Raises HostError."""
        ...


class Tasking:
    """The two tools.

    Args:
        book: What there is.
        runs: Tells it.
        trips: How far the turn has come.
        pace: How often an agent may have a task told beside its times.
        taints: What the turn has read.
    """

    def __init__(self, *, book: Book, runs: Runs, trips: Trips, pace: Pace, taints: Taints) -> None:
        self._taints = taints
        self._book = book
        self._runs = runs
        self._trips = trips
        self._pace = pace

    async def tell(self, call: Call) -> str:
        """List them, as JSON text."""
        read(call.arguments or "{}", Nothing)
        kept = await self._book.tasks(agent=call.agent.id)
        shown = list(map(shown_task, kept[:MAX_LISTED]))
        return msgspec.json.format(msgspec.json.encode(shown), indent=1).decode()

    async def run(self, call: Call) -> str:
        """Have one told now."""
        name = read(call.arguments, Named).name
        kept = await self._book.tasks(agent=call.agent.id)
        task = next((one.task for one in kept if one.task.name == name), None)
        if task is None:
            names = ", ".join(one.task.name for one in kept[:MAX_LISTED])
            known = f"They are: {names}" if names else "You have none"
            raise NotDoneError(f"not_found: you have no task of that name. {known}")
        if task.paused:
            raise NotDoneError(
                "conflict: this task is paused. Your people can have it go on; you can ask them "
                "for that with request_change (`task.resume`)"
            )
        if taint := await self._taints.taint_of(call.session, call.turn):
            raise NotDoneError(
                f"forbidden: this turn has foreign content before it ({taint_in_words(taint)}): "
                "only your people have a task told now. Tell them why it should be"
            )
        self._pace.take(call.agent.id)
        await self._runs.run_now(
            call.agent.id,
            name,
            by=By(principal_of(call.agent.id), Via.AGENT),
            session=call.session,
            key=f"{call.session}/{call.turn}/{call.key}",
            hops=await self._trips.hops(call.session, call.turn),
        )
        return f"told: {name} comes to you after this turn, in its own chat"


def shown_task(kept: KeptTask) -> ShownTask:
    """A task as its agent sees it."""
    next_ms = kept.next_ms
    next_ = None if next_ms is None else _EPOCH + timedelta(milliseconds=next_ms)
    return ShownTask(
        name=kept.task.name,
        when=in_words(kept.task),
        next="" if next_ is None else next_.isoformat(timespec="seconds"),
        last=kept.last,
        paused=kept.task.paused,
        failures=kept.failures,
    )


def in_words(task: Task) -> str:
    """When a task is due, in a few words."""
    if task.cron is not None:
        return f"{task.cron} {task.zone}"
    return "once" if task.every_s is None else f"every {task.every_s} s"
