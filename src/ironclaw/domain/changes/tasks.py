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
from ironclaw.domain.changes.checking import check_chat, check_prose, living, nothing_to_do
from ironclaw.domain.model import Task
from ironclaw.domain.schedules import check_cron

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State

MAX_TASKS: Final = 64
"""Of one agent."""
_AHEAD_MS: Final = 10 * 366 * 86_400 * 1000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AddTask(Spec, frozen=True, kw_only=True, tag="task.add"):
    """Have an agent do something at a time."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Have an agent do something at a time"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
        "channel": "channel",
        "platform_id": "chat that gets the answer",
        "prompt": "what it is told",
        "cron": "when, again and again",
        "zone": "time zone",
        "at_ms": "when, once",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    platform_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=8000)]
    cron: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "UTC"
    at_ms: Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None = None

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
        self._check_time(live.house.now_ms)
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
        if not any(one.agent == self.agent for one in live.wirings):
            raise UserError(
                Code.CONFLICT,
                "That chat does not reach the agent.",
                hint="Say something in it first (`ironclaw chat`), or ask for the wiring: "
                "`ironclaw wiring create`.",
            )

    def before(self, live: Live) -> State:
        return _state(live.task)

    def after(self, live: Live) -> State:
        return _state(self._task(TaskId("")))

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"task:{self.agent}:{self.channel}:{self.platform_id}:{self.prompt}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutTask(self._task(TaskId(derived_id("tsk", change)))),)

    def inverse(self, live: Live, change: ChangeId) -> RemoveTask:
        return RemoveTask(agent=self.agent, name=self.name)

    def _check_time(self, now_ms: int) -> None:
        if (self.cron is None) == (self.at_ms is None):
            raise UserError(
                Code.INVALID,
                "A task has either a `cron`, or one time `at_ms`.",
                hint="Five fields, for example `0 7 * * 1-5`; or milliseconds since 1970.",
            )
        if self.cron is not None:
            check_cron(self.cron, self.zone, now_ms)
        elif self.at_ms is not None and not now_ms < self.at_ms <= now_ms + _AHEAD_MS:
            raise UserError(
                Code.INVALID,
                "The time of the task is over, or more than ten years ahead.",
                hint="`at_ms` is in milliseconds since 1970, UTC.",
            )

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
            at_ms=self.at_ms,
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
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, task=(self.agent, self.name))

    def check(self, live: Live) -> None:
        living(live)
        if live.task is None:
            raise nothing_to_do(f"The agent has no task {self.name}.")

    def before(self, live: Live) -> State:
        return _state(live.task)

    def after(self, live: Live) -> State:
        return _state(None)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"task.remove:{self.agent}:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return () if live.task is None else (DropTask(live.task.id, self.agent),)

    def inverse(self, live: Live, change: ChangeId) -> AddTask | None:
        task = live.task
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
            at_ms=task.at_ms,
        )


_NAMES: Final = (
    "task",
    "channel",
    "chat",
    "prompt",
    "again and again",
    "time zone",
    "once",
)


def _state(task: Task | None) -> State:
    if task is None:
        return dict.fromkeys(_NAMES)
    values = (
        task.name,
        task.channel,
        task.platform_id,
        task.prompt,
        task.cron,
        task.zone,
        None if task.at_ms is None else _moment(task.at_ms),
    )
    return dict(zip(_NAMES, values, strict=True))


def _moment(at_ms: int) -> str:
    try:
        at = _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return f"{at_ms} ms after 1970"
    return at.isoformat(sep=" ", timespec="milliseconds")
