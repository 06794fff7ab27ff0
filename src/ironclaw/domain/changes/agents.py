"""Agents: made, ended, brought back."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import (
    MAX_PERSONA_BYTES,
    NAME_RULE,
    Bearing,
    Needs,
    NewAgent,
    SetArchived,
    Spec,
    Topic,
    derived_id,
)
from ironclaw.domain.changes.checking import (
    check_known_tools,
    check_model,
    check_prose,
    existing,
    nothing_to_do,
)
from ironclaw.domain.model import Agent, Role

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State

MAX_AGENTS: Final = 1000
"""That have not ended."""


class CreateAgent(Spec, frozen=True, kw_only=True, tag="agent.create"):
    """Make an agent."""

    topic: ClassVar = Topic.AGENTS
    title: ClassVar = "Make an agent"
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
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

    @property
    def agent_id(self) -> None:
        return None

    def needs(self) -> Needs:
        return Needs(agent_name=self.name)

    def check(self, live: Live) -> None:
        check_prose(self.persona, what="persona")
        check_model(self.model, live.house)
        check_known_tools(self.tools, live.house)
        if len(set(self.tools)) != len(self.tools):
            raise UserError(Code.INVALID, "A tool is named twice.", hint="Name each one once.")
        if live.named is not None:
            raise _name_taken(self.name)
        _check_room(live)

    def before(self, live: Live) -> State:
        return _state(live.named)

    def after(self, live: Live) -> State:
        return _state(self._agent(AgentId(""), 0))

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"agent:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (NewAgent(self._agent(AgentId(derived_id("agt", change)), live.house.now_ms)),)

    def inverse(self, live: Live, change: ChangeId) -> ArchiveAgent:
        return ArchiveAgent(agent=AgentId(derived_id("agt", change)))

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # Whatever became of it since: the agent is what was given.
        is_there = (
            isinstance(inverse, ArchiveAgent)
            and live.named is not None
            and live.named.id == inverse.agent
        )
        return inverse if is_there else None

    def _agent(self, agent: AgentId, now_ms: int) -> Agent:
        return Agent(
            id=agent,
            name=self.name,
            persona=self.persona,
            model=self.model,
            tools=self.tools,
            pool_size=self.pool_size,
            created_ms=now_ms,
        )


class ArchiveAgent(Spec, frozen=True, kw_only=True, tag="agent.archive"):
    """End an agent."""

    topic: ClassVar = Topic.AGENTS
    title: ClassVar = "End an agent"
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
    labels: ClassVar = {
        "agent": "agent",
    }

    agent: AgentId

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        if existing(live).archived:
            raise nothing_to_do("The agent has ended already.")

    def before(self, live: Live) -> State:
        return _ended(live, is_ended=None if live.agent is None else live.agent.archived)

    def after(self, live: Live) -> State:
        return _ended(live, is_ended=True)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"agent.archive:{self.agent}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (SetArchived(self.agent, archived=True),)

    def inverse(self, live: Live, change: ChangeId) -> RestoreAgent:
        return RestoreAgent(agent=self.agent)


class RestoreAgent(Spec, frozen=True, kw_only=True, tag="agent.restore"):
    """Bring an ended agent back."""

    topic: ClassVar = Topic.AGENTS
    title: ClassVar = "Bring an ended agent back"
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
    labels: ClassVar = {
        "agent": "agent",
    }

    agent: AgentId

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        agent = existing(live)
        if not agent.archived:
            raise nothing_to_do("The agent has not ended.")
        if live.named is not None:
            raise UserError(
                Code.CONFLICT,
                f"There is an agent named {agent.name} already.",
                hint=f"End that one first: `ironclaw agent archive {agent.name}`; then bring this "
                f"one back by its id: `ironclaw agent restore {agent.id}`.",
            )
        _check_room(live)

    def before(self, live: Live) -> State:
        return _back(live, is_there=live.agent is not None and not live.agent.archived)

    def after(self, live: Live) -> State:
        return _back(live, is_there=True)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"agent.restore:{self.agent}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (SetArchived(self.agent, archived=False),)

    def inverse(self, live: Live, change: ChangeId) -> ArchiveAgent:
        return ArchiveAgent(agent=self.agent)


def _name_taken(name: str) -> UserError:
    return UserError(
        Code.CONFLICT,
        f"There is an agent named {name} already.",
        hint="Choose another name: `ironclaw agent list` shows those taken.",
    )


def _check_room(live: Live) -> None:
    if live.agents >= MAX_AGENTS:
        raise UserError(
            Code.CONFLICT,
            f"A house has at most {MAX_AGENTS} agents.",
            hint="End one that nobody needs: `ironclaw agent archive`.",
        )


_NAMES: Final = ("agent", "persona", "model", "tools", "blank slots kept ready")


def _state(agent: Agent | None) -> State:
    if agent is None:
        return dict.fromkeys(_NAMES)
    values = (agent.name, agent.persona, agent.model, sorted(agent.tools), agent.pool_size)
    return dict(zip(_NAMES, values, strict=True))


def _ended(live: Live, *, is_ended: bool | None) -> State:
    name = None if live.agent is None else live.agent.name
    words = {None: None, True: "has ended", False: "is there"}
    return {"agent": name, "it": words[is_ended]}


def _back(live: Live, *, is_there: bool) -> State:
    """The same of one that may come back, with all that it then has again."""
    agent = live.agent
    is_ended = None if agent is None else not is_there
    state = _ended(live, is_ended=is_ended) | dict.fromkeys(_HAS)
    if agent is None or not is_there:
        return state
    values = (
        agent.persona,
        agent.model,
        sorted(agent.tools),
        [f"{one.name}: {one.channel}, {one.platform_id}" for one in agent.destinations],
        [f"{one.name}: {one.path}" for one in agent.mounts],
        [f"{one.name}: {one.digest}" for one in agent.skills],
    )
    return state | dict(zip(_HAS, values, strict=True))


_HAS: Final = ("persona", "model", "tools", "may send to", "sees directories", "skills")
