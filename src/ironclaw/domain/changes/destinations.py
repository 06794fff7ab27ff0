"""Where an agent may send beside its own chat."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import NAME_RULE, Spec, Topic


class AddDestination(Spec, frozen=True, kw_only=True, tag="destination.add"):
    """Let an agent send to another chat."""

    topic: ClassVar = Topic.DESTINATIONS
    title: ClassVar = "Let an agent send to another chat"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
        "channel": "channel",
        "platform_id": "chat",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    platform_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class RemoveDestination(Spec, frozen=True, kw_only=True, tag="destination.remove"):
    """Take a destination from an agent."""

    topic: ClassVar = Topic.DESTINATIONS
    title: ClassVar = "Take a destination from an agent"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
