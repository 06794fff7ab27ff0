"""Agents: made, ended, brought back."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import MAX_PERSONA_BYTES, NAME_RULE, Spec, Topic


class CreateAgent(Spec, frozen=True, kw_only=True, tag="agent.create"):
    """Make an agent."""

    topic: ClassVar = Topic.AGENTS
    title: ClassVar = "Make an agent"
    by_agents: ClassVar = True
    labels: ClassVar = {
        "name": "name",
        "persona": "persona",
        "model": "model",
        "tools": "tools",
        "pool_size": "blank slots kept ready",
    }

    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]
    persona: Annotated[str, msgspec.Meta(max_length=MAX_PERSONA_BYTES)] = ""
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] = "scripted"
    tools: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(max_length=128)
    ] = ()
    pool_size: Annotated[int, msgspec.Meta(ge=0, le=64)] = 1


class ArchiveAgent(Spec, frozen=True, kw_only=True, tag="agent.archive"):
    """End an agent."""

    topic: ClassVar = Topic.AGENTS
    title: ClassVar = "End an agent"
    labels: ClassVar = {
        "agent": "agent",
    }

    agent: AgentId


class RestoreAgent(Spec, frozen=True, kw_only=True, tag="agent.restore"):
    """Bring an ended agent back."""

    topic: ClassVar = Topic.AGENTS
    title: ClassVar = "Bring an ended agent back"
    labels: ClassVar = {
        "agent": "agent",
    }

    agent: AgentId
