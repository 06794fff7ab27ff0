"""Which model answers for an agent."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import Bearing, Needs, PutAgent, Spec, Topic
from ironclaw.domain.changes.checking import check_model, existing, living, nothing_to_do

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State


class SetModel(Spec, frozen=True, kw_only=True, tag="model"):
    """Change which model answers."""

    topic: ClassVar = Topic.MODEL
    title: ClassVar = "Change which model answers"
    by_agents: ClassVar = True
    is_whole: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "model": "model",
    }

    agent: AgentId
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        check_model(self.model, live.house)
        if living(live).model == self.model:
            raise nothing_to_do("The agent has just that model.")

    def before(self, live: Live) -> State:
        return {"model": None if live.agent is None else live.agent.model}

    def after(self, live: Live) -> State:
        return {"model": self.model}

    def bearing(self, live: Live) -> Bearing:
        return Bearing.ALTERS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"model:{self.agent}:{self.model}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutAgent(msgspec.structs.replace(existing(live), model=self.model)),)

    def inverse(self, live: Live, change: ChangeId) -> SetModel:
        return SetModel(agent=self.agent, model=existing(live).model)
