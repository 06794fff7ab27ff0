"""What an agent does at a time of its own, for people of a chat."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import NAME_RULE, Spec, Topic


class AddTask(Spec, frozen=True, kw_only=True, tag="task.add"):
    """Have an agent do something at a time."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Have an agent do something at a time"
    by_agents: ClassVar = True
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


class RemoveTask(Spec, frozen=True, kw_only=True, tag="task.remove"):
    """Take a task from an agent."""

    topic: ClassVar = Topic.TASKS
    title: ClassVar = "Take a task from an agent"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
