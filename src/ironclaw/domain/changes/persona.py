"""Who an agent is, in words."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import (
    MAX_PERSONA_BYTES,
    Bearing,
    Needs,
    PutAgent,
    Spec,
    Topic,
)
from ironclaw.domain.changes.checking import check_prose, existing, living, nothing_to_do

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State


class SetPersona(Spec, frozen=True, kw_only=True, tag="persona"):
    """Change who an agent is."""

    topic: ClassVar = Topic.PERSONA
    title: ClassVar = "Change who an agent is"
    by_agents: ClassVar = True
    is_whole: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "persona": "persona",
    }

    agent: AgentId
    persona: Annotated[str, msgspec.Meta(max_length=MAX_PERSONA_BYTES)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        check_prose(self.persona, what="persona")
        if living(live).persona == self.persona:
            raise nothing_to_do("The agent has just that persona.")

    def before(self, live: Live) -> State:
        return {"persona": None if live.agent is None else live.agent.persona}

    def after(self, live: Live) -> State:
        return {"persona": self.persona}

    def bearing(self, live: Live) -> Bearing:
        return Bearing.ALTERS

    def atoms(self) -> frozenset[str]:
        digest = hashlib.sha256(self.persona.encode(errors="replace")).hexdigest()
        return frozenset({f"persona:{self.agent}:{digest}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutAgent(msgspec.structs.replace(existing(live), persona=self.persona)),)

    def inverse(self, live: Live, change: ChangeId) -> SetPersona:
        return SetPersona(agent=self.agent, persona=existing(live).persona)
