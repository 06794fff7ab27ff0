"""Which tools an agent may use."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import Spec, Topic


class SetTools(Spec, frozen=True, kw_only=True, tag="tools"):
    """Change which tools an agent may use."""

    topic: ClassVar = Topic.TOOLS
    title: ClassVar = "Change which tools an agent may use"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "add": "give",
        "remove": "take away",
    }

    agent: AgentId
    add: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(max_length=128)
    ] = ()
    remove: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(max_length=128)
    ] = ()
