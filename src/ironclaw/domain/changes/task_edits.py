"""What becomes another about a task that an agent has: any part of it, and whether it runs."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import NAME_RULE, Bearing, Needs, PutTask, Spec, Topic
from ironclaw.domain.changes.checking import check_chat, check_prose, living, nothing_to_do
from ironclaw.domain.changes.tasks import (
    LABELS,
    AtMs,
    Cron,
    EverySeconds,
    LateSeconds,
    Place,
    Prompt,
    ZoneName,
    check_reaches,
    check_time,
    state_of,
)
from ironclaw.domain.model import Misfire, Task

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State

_WHEN: Final = ("cron", "every_s", "at_ms")
"""One of them takes the place of whichever the task had."""
_PARTS: Final = (
    "channel",
    "platform_id",
    "prompt",
    *_WHEN,
    "zone",
    "misfire",
    "late_s",
    "quiet",
)


class UpdateTask(Spec, frozen=True, kw_only=True, tag="task.update"):
    """Change a task: whatever is named becomes so, all else stays."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Change what an agent does at a time"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    labels: ClassVar = LABELS

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    channel: Place | None = None
    platform_id: Place | None = None
    prompt: Prompt | None = None
    cron: Cron | None = None
    every_s: EverySeconds | None = None
    at_ms: AtMs | None = None
    zone: ZoneName | None = None
    misfire: Misfire | None = None
    late_s: LateSeconds | None = None
    quiet: bool | None = None

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        place = (
            None
            if self.channel is None or self.platform_id is None
            else (self.channel, self.platform_id)
        )
        return Needs(agent=self.agent, place=place, task=(self.agent, self.name))

    def check(self, live: Live) -> None:
        task = _there(self, live)
        if (self.channel is None) != (self.platform_id is None):
            raise UserError(
                Code.INVALID,
                "A chat is a channel and its id there, and one of the two is missing.",
                hint="Name both `channel` and `platform_id`, or none.",
            )
        if self.prompt is not None:
            check_prose(self.prompt, what="prompt")
        wanted = self._with(task)
        if self.channel is not None and self.platform_id is not None:
            check_chat(self.agent, self.channel, self.platform_id, live.house)
            check_reaches(self.agent, live)
        if wanted == task:
            raise nothing_to_do("The task is just like that.")
        if self._times() or self.zone is not None:
            check_time(wanted, live.house.now_ms)

    def is_gone(self, live: Live) -> bool:
        return _is_gone(live)

    def has_come_true(self, live: Live) -> bool:
        # The state hides what has no effect as the task is now: the zone of one without a cron.
        return live.task is not None and self._with(live.task) == live.task

    def before(self, live: Live) -> State:
        return state_of(live.task)

    def after(self, live: Live) -> State:
        return state_of(None if live.task is None else self._with(live.task))

    def bearing(self, live: Live) -> Bearing:
        return Bearing.ALTERS

    def atoms(self) -> frozenset[str]:
        named = {key: getattr(self, key) for key in _PARTS}
        return frozenset(
            f"task.update:{self.agent}:{self.name}:{key}:{value}"
            for key, value in named.items()
            if value is not None
        )

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutTask(self._with(_there(self, live))),)

    def inverse(self, live: Live, change: ChangeId) -> UpdateTask | None:
        task = live.task
        if task is None:
            return None
        touched = {key for key in _PARTS if getattr(self, key) is not None}
        if self._times():
            touched |= {key for key in _WHEN if getattr(task, key) is not None}
            touched -= {key for key in _WHEN if getattr(task, key) is None}
        former: dict[str, Any] = {key: getattr(task, key) for key in touched}
        return UpdateTask(agent=self.agent, name=self.name, **former)

    def _with(self, task: Task) -> Task:
        named: dict[str, Any] = {
            key: getattr(self, key) for key in _PARTS if getattr(self, key) is not None
        }
        if times := self._times():
            named = dict.fromkeys(_WHEN) | named | times
        return msgspec.structs.replace(task, **named)

    def _times(self) -> dict[str, str | int]:
        return {key: getattr(self, key) for key in _WHEN if getattr(self, key) is not None}


class PauseTask(Spec, frozen=True, kw_only=True, tag="task.pause"):
    """Have a task rest: it is not told, and what it misses is not made up for."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Pause a task"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    may_end: ClassVar = True
    labels: ClassVar = {"agent": "agent", "name": "name"}

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, task=(self.agent, self.name))

    def check(self, live: Live) -> None:
        if _there(self, live).paused:
            raise nothing_to_do(f"The task {self.name} is paused already.")

    def is_gone(self, live: Live) -> bool:
        return _is_gone(live)

    def before(self, live: Live) -> State:
        return state_of(live.task)

    def after(self, live: Live) -> State:
        return state_of(None if live.task is None else self._with(live.task))

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"task.pause:{self.agent}:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutTask(self._with(_there(self, live))),)

    def inverse(self, live: Live, change: ChangeId) -> ResumeTask:
        return ResumeTask(agent=self.agent, name=self.name)

    def _with(self, task: Task) -> Task:
        return msgspec.structs.replace(task, paused=True)

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        return inverse if live.task is not None and live.task.paused else None


class ResumeTask(Spec, frozen=True, kw_only=True, tag="task.resume"):
    """Have a paused task go on, from its next time; its failures are counted anew."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Have a paused task go on"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    labels: ClassVar = {"agent": "agent", "name": "name"}

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, task=(self.agent, self.name))

    def check(self, live: Live) -> None:
        if not _there(self, live).paused:
            raise nothing_to_do(f"The task {self.name} is not paused.")

    def is_gone(self, live: Live) -> bool:
        return _is_gone(live)

    def before(self, live: Live) -> State:
        return state_of(live.task)

    def after(self, live: Live) -> State:
        return state_of(None if live.task is None else self._with(live.task))

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"task.resume:{self.agent}:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        # At the end of a pause its agent may be archived: the task is as it was when that is back.
        return () if live.task is None else (PutTask(self._with(live.task)),)

    def inverse(self, live: Live, change: ChangeId) -> PauseTask:
        return PauseTask(agent=self.agent, name=self.name)

    def _with(self, task: Task) -> Task:
        return msgspec.structs.replace(task, paused=False)


def _there(spec: UpdateTask | PauseTask | ResumeTask, live: Live) -> Task:
    """The task that a change is about. Raises UserError (`NOT_FOUND`, `CONFLICT`)."""
    living(live)
    if live.task is None:
        raise UserError(
            Code.NOT_FOUND,
            f"The agent has no task {spec.name}.",
            hint="`ironclaw task list` shows those there are.",
        )
    return live.task


def _is_gone(live: Live) -> bool:
    """Whether the task is; one that is made by the same name later is another one."""
    return live.agent is not None and live.task is None
