"""Which directories of the host an agent sees under /shared."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import NAME_RULE, Spec, Topic


class AddMount(Spec, frozen=True, kw_only=True, tag="mount.add"):
    """Show a directory of the host to an agent."""

    topic: ClassVar = Topic.MOUNTS
    title: ClassVar = "Show a directory of the host to an agent"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
        "path": "directory",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    path: Annotated[str, msgspec.Meta(min_length=2, max_length=1024)]


class RemoveMount(Spec, frozen=True, kw_only=True, tag="mount.remove"):
    """Take a shared directory from an agent."""

    topic: ClassVar = Topic.MOUNTS
    title: ClassVar = "Take a shared directory from an agent"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
