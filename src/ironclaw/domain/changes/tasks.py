"""What an agent does at a time of its own, for people of a chat."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, TaskId
from ironclaw.domain.changes.base import (
    NAME_RULE,
    Bearing,
    DropTask,
    Needs,
    PutTask,
    Spec,
    Topic,
    derived_id,
)
from ironclaw.domain.changes.checking import check_chat, check_prose, living, not_there
from ironclaw.domain.model import Misfire, Task
from ironclaw.domain.schedules import check_cron

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State

MAX_TASKS: Final = 64
"""Of one agent."""
LEAST_EVERY_S: Final = 60
MOST_LATE_S: Final = 31 * 86_400
EverySeconds = Annotated[int, msgspec.Meta(ge=LEAST_EVERY_S, le=366 * 86_400)]
LateSeconds = Annotated[int, msgspec.Meta(ge=60, le=MOST_LATE_S)]
AtMs = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Prompt = Annotated[str, msgspec.Meta(min_length=1, max_length=8000)]
ZoneName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Cron = Annotated[str, msgspec.Meta(max_length=200)]
Place = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
LABELS: Final = {
    "agent": "agent",
    "name": "name",
    "channel": "channel",
    "platform_id": "chat that gets the answer",
    "prompt": "what it is told",
    "cron": "when, again and again",
    "zone": "time zone",
    "every_s": "seconds from one time to the next",
    "at_ms": "when, once",
    "misfire": "a time that was missed",
    "late_s": "seconds after which it is too late",
    "quiet": "delivers nothing when there is nothing to report",
}
_AHEAD_MS: Final = 10 * 366 * 86_400 * 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AddTask(Spec, frozen=True, kw_only=True, tag="task.add"):
    """Have an agent do something at a time."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Have an agent do something at a time"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    labels: ClassVar = LABELS

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    channel: Place
    platform_id: Place
    prompt: Prompt
    cron: Cron | None = None
    zone: ZoneName = "UTC"
    every_s: EverySeconds | None = None
    at_ms: AtMs | None = None
    misfire: Misfire = Misfire.ONCE
    late_s: LateSeconds = 86_400
    quiet: bool = False

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(
            agent=self.agent,
            place=(self.channel, self.platform_id),
            task=(self.agent, self.name),
        )

    def check(self, live: Live) -> None:
        check_prose(self.prompt, what="prompt")
        check_chat(self.agent, self.channel, self.platform_id, live.house)
        check_time(self._task(TaskId("")), live.house.now_ms)
        living(live)
        if live.task is not None:
            raise UserError(
                Code.CONFLICT,
                f"The agent has a task {self.name} already.",
                hint="Choose another name, or take that one away first.",
            )
        if live.tasks >= MAX_TASKS:
            raise UserError(
                Code.CONFLICT,
                f"An agent has at most {MAX_TASKS} tasks.",
                hint="Take one away first.",
            )
        check_reaches(self.agent, live)

    def before(self, live: Live) -> State:
        return state_of(live.task)

    def after(self, live: Live) -> State:
        return state_of(self._task(TaskId("")))

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"task:{self.agent}:{self.channel}:{self.platform_id}:{self.prompt}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutTask(self._task(TaskId(derived_id("tsk", change)))),)

    def inverse(self, live: Live, change: ChangeId) -> RemoveTask:
        task = TaskId(derived_id("tsk", change))
        return RemoveTask(agent=self.agent, name=self.name, task=task)

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # What it gave is the task: it ends with the grant, paused or updated meanwhile or not.
        if not isinstance(inverse, RemoveTask) or inverse.task is None:
            return super().way_back(live, inverse)
        return inverse if live.task is not None and live.task.id == inverse.task else None

    def _task(self, task: TaskId) -> Task:
        return Task(
            id=task,
            agent=self.agent,
            name=self.name,
            channel=self.channel,
            platform_id=self.platform_id,
            prompt=self.prompt,
            cron=self.cron,
            zone=self.zone,
            every_s=self.every_s,
            at_ms=self.at_ms,
            misfire=self.misfire,
            late_s=self.late_s,
            quiet=self.quiet,
        )


class RemoveTask(Spec, frozen=True, kw_only=True, tag="task.remove"):
    """Take a task from an agent."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Take a task from an agent"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
        "task": "only that very task",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    task: Annotated[TaskId, msgspec.Meta(pattern=r"\Atsk_[a-z0-9]{1,60}\Z")] | None = None
    """None: whichever has that name."""

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, task=(self.agent, self.name))

    def check(self, live: Live) -> None:
        living(live)
        if self._meant(live) is None:
            raise not_there(
                f"The agent has no task {self.name}.",
                hint="`ironclaw task list` shows those there are.",
            )

    def before(self, live: Live) -> State:
        return state_of(self._meant(live))

    def after(self, live: Live) -> State:
        return state_of(None)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"task.remove:{self.agent}:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        task = self._meant(live)
        return () if task is None else (DropTask(task.id, self.agent),)

    def inverse(self, live: Live, change: ChangeId) -> AddTask | None:
        task = self._meant(live)
        if task is None:
            return None
        return AddTask(
            agent=self.agent,
            name=task.name,
            channel=task.channel,
            platform_id=task.platform_id,
            prompt=task.prompt,
            cron=task.cron,
            zone=task.zone,
            every_s=task.every_s,
            at_ms=task.at_ms,
            misfire=task.misfire,
            late_s=task.late_s,
            quiet=task.quiet,
        )

    def _meant(self, live: Live) -> Task | None:
        return live.task if live.task is not None and self.task in {None, live.task.id} else None


def check_time(task: Task, now_ms: int) -> None:
    """Refuse a task that says in no way, or in several, when it is due. Raises UserError."""
    if [task.cron, task.every_s, task.at_ms].count(None) != 2:  # noqa: PLR2004 - all but one
        raise UserError(
            Code.INVALID,
            "A task has either a `cron`, or `every_s`, or one time `at_ms`.",
            hint="Five fields, for example `0 7 * * 1-5`; seconds; milliseconds since 1970.",
        )
    if task.cron is not None:
        check_cron(task.cron, task.zone, now_ms)
    elif task.at_ms is not None and not now_ms < task.at_ms <= now_ms + _AHEAD_MS:
        raise UserError(
            Code.INVALID,
            f"The time of the task, {_moment(task.at_ms)}, is over or more than ten years ahead.",
            hint="Name a time to come. The API has it in milliseconds since 1970, UTC.",
        )


def check_reaches(agent: AgentId, live: Live) -> None:
    """Refuse a chat that does not lead to the agent. Raises UserError (`CONFLICT`)."""
    if not any(one.agent == agent for one in live.wirings):
        raise UserError(
            Code.CONFLICT,
            "That chat does not reach the agent.",
            hint="Say something in it first (`ironclaw chat`), or ask for the wiring: "
            "`ironclaw wiring create`.",
        )


_NAMES: Final = (
    "task",
    "channel",
    "chat",
    "prompt",
    "again and again",
    "time zone",
    "seconds from one time to the next",
    "once",
    "a time that was missed",
    "too late after seconds",
    "with nothing to report",
    "it",
)


def state_of(task: Task | None) -> State:
    """A task as cards compare it."""
    if task is None:
        return dict.fromkeys(_NAMES)
    skips = task.misfire is Misfire.SKIP
    values = (
        task.name,
        task.channel,
        task.platform_id,
        task.prompt,
        task.cron,
        None if task.cron is None else task.zone,
        task.every_s,
        None if task.at_ms is None else _moment(task.at_ms),
        "is left out" if skips else "is told late, once",
        None if skips else task.late_s,
        "delivers nothing" if task.quiet else "says so",
        "is paused" if task.paused else "runs",
    )
    return dict(zip(_NAMES, values, strict=True))


def _moment(at_ms: int) -> str:
    try:
        at = _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return f"{at_ms} ms after 1970"
    return at.isoformat(sep=" ", timespec="milliseconds")
