"""Which model answers for an agent."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import Spec, Topic


class SetModel(Spec, frozen=True, kw_only=True, tag="model"):
    """Change which model answers."""

    topic: ClassVar = Topic.MODEL
    title: ClassVar = "Change which model answers"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "model": "model",
    }

    agent: AgentId
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
