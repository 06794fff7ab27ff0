"""Who an agent is, in words."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import MAX_PERSONA_BYTES, Spec, Topic


class SetPersona(Spec, frozen=True, kw_only=True, tag="persona"):
    """Change who an agent is."""

    topic: ClassVar = Topic.PERSONA
    title: ClassVar = "Change who an agent is"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "persona": "persona",
    }

    agent: AgentId
    persona: Annotated[str, msgspec.Meta(max_length=MAX_PERSONA_BYTES)]
