"""Which tools an agent may use."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import Bearing, Needs, PutAgent, Spec, Topic
from ironclaw.domain.changes.checking import check_known_tools, existing, living, nothing_to_do

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State

MAX_TOOLS: Final = 128
"""Of one agent."""


class SetTools(Spec, frozen=True, kw_only=True, tag="tools"):
    """Change which tools an agent may use."""

    topic: ClassVar = Topic.TOOLS
    title: ClassVar = "Change which tools an agent may use"
    by_agents: ClassVar = True
    always_human: ClassVar = False
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

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        check_known_tools(self.add, live.house)
        named = (*self.add, *self.remove)
        if len(set(named)) != len(named):
            raise UserError(
                Code.INVALID, "A tool is named twice.", hint="Give it, or take it away; once."
            )
        living(live)
        if not self._given(live) and not self._taken(live):
            raise nothing_to_do("The agent has these tools, and has not those, already.")
        if len(self._tools(live)) > MAX_TOOLS:
            raise UserError(
                Code.INVALID,
                f"An agent has at most {MAX_TOOLS} tools.",
                hint="Take some away in the same change.",
            )

    def before(self, live: Live) -> State:
        return {"tools": None if live.agent is None else sorted(live.agent.tools)}

    def after(self, live: Live) -> State:
        return {"tools": sorted(self._tools(live))}

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS if self._given(live) else Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset(
            {f"tool:{self.agent}:{name}" for name in self.add}
            | {f"tool.remove:{self.agent}:{name}" for name in self.remove}
        )

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutAgent(msgspec.structs.replace(existing(live), tools=self._tools(live))),)

    def inverse(self, live: Live, change: ChangeId) -> SetTools:
        return SetTools(agent=self.agent, add=self._taken(live), remove=self._given(live))

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # What was taken away beside does not come back by itself: that would give.
        if not isinstance(inverse, SetTools):
            return None
        held = frozenset(_held(live))
        given = tuple(name for name in inverse.remove if name in held)
        return SetTools(agent=self.agent, remove=given) if given else None

    def _given(self, live: Live) -> tuple[str, ...]:
        return tuple(name for name in self.add if name not in _held(live))

    def _taken(self, live: Live) -> tuple[str, ...]:
        return tuple(name for name in self.remove if name in _held(live))

    def _tools(self, live: Live) -> tuple[str, ...]:
        kept = tuple(name for name in _held(live) if name not in self.remove)
        return kept + self._given(live)


def _held(live: Live) -> tuple[str, ...]:
    return () if live.agent is None else live.agent.tools
