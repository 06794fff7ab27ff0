"""Where an agent may send beside its own chat."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChatId
from ironclaw.domain.changes.base import (
    NAME_RULE,
    Bearing,
    Needs,
    PutAgent,
    PutChat,
    Spec,
    Topic,
    derived_id,
)
from ironclaw.domain.changes.checking import (
    check_chat,
    check_word,
    existing,
    living,
    not_there,
    nothing_to_do,
)
from ironclaw.domain.model import Destination
from ironclaw.domain.relaying import AGENT_CHANNEL

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State

MAX_DESTINATIONS: Final = 32
"""Of one agent."""


_OF_AGENTS: Final = (
    "The other agent's answers come back into the conversation that it is asked from.",
    "What another agent says is foreign content to this one, marked as such; nobody checks it.",
)


class AddDestination(Spec, frozen=True, kw_only=True, tag="destination.add"):
    """Let an agent send to another chat, or to another agent: channel `agent`, its name."""

    topic: ClassVar = Topic.DESTINATIONS
    title: ClassVar = "Let an agent send to another chat"
    by_agents: ClassVar = True
    always_human: ClassVar = False
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

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        if self._is_agent:
            return Needs(agent=self.agent, peer=self.platform_id)
        return Needs(agent=self.agent, place=(self.channel, self.platform_id))

    def check(self, live: Live) -> None:
        if self._is_agent:
            _check_peer(self.agent, self.platform_id, live)
        else:
            check_chat(self.agent, self.channel, self.platform_id, live.house)
        agent = living(live)
        if (known := _named(live, self.name)) is not None:
            if known == self._destination(live):
                raise nothing_to_do("The agent may send there, by that name, already.")
            raise UserError(
                Code.CONFLICT,
                f"The agent has a destination {self.name} already.",
                hint="Choose another name, or take that one away first.",
            )
        if len(agent.destinations) >= MAX_DESTINATIONS:
            raise UserError(
                Code.CONFLICT,
                f"An agent has at most {MAX_DESTINATIONS} destinations.",
                hint="Take one away first.",
            )

    def before(self, live: Live) -> State:
        return _state(_named(live, self.name)) | self._identity(live)

    def after(self, live: Live) -> State:
        return _state(self._destination(live)) | self._identity(live)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def notices(self) -> tuple[str, ...]:
        return _OF_AGENTS if self._is_agent else ()

    def atoms(self) -> frozenset[str]:
        return frozenset({f"destination:{self.agent}:{self.channel}:{self.platform_id}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        agent = existing(live)
        others = tuple(one for one in agent.destinations if one.name != self.name)
        destinations = (*others, self._destination(live))
        put = PutAgent(msgspec.structs.replace(agent, destinations=destinations))
        if self._is_agent:
            # The chat of the two is made when something is said in it.
            return (put,)
        chat = ChatId(derived_id("cht", change)) if live.chat is None else live.chat.id
        return (PutChat(chat, self.channel, self.platform_id, strangers=None), put)

    def inverse(self, live: Live, change: ChangeId) -> RemoveDestination:
        return RemoveDestination(agent=self.agent, name=self.name)

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # Where the other agent has ended, or its name is another's by now, the way is there still,
        # and open again when it is brought back. What took its place has ended this grant.
        if self._is_agent:
            return None if self.reaches(live) is None else inverse
        return super().way_back(live, inverse)

    def reaches(self, live: Live) -> AgentId | None:
        known = _named(live, self.name)
        is_there = self._is_agent and known is not None and known.channel == AGENT_CHANNEL
        return AgentId(known.platform_id) if is_there and known is not None else None

    @property
    def _is_agent(self) -> bool:
        return self.channel == AGENT_CHANNEL

    def _destination(self, live: Live) -> Destination:
        # By its id: what was approved stays the same agent when names move on.
        is_known = self._is_agent and live.peer is not None
        place = live.peer.id if is_known and live.peer is not None else self.platform_id
        return Destination(name=self.name, channel=self.channel, platform_id=place)

    def _identity(self, live: Live) -> State:
        """Which agent has that name: an approval of another one does not count."""
        if not self._is_agent:
            return {}
        return {"other agent": None if live.peer is None else f"{live.peer.name} ({live.peer.id})"}


class RemoveDestination(Spec, frozen=True, kw_only=True, tag="destination.remove"):
    """Take a destination from an agent."""

    topic: ClassVar = Topic.DESTINATIONS
    title: ClassVar = "Take a destination from an agent"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    labels: ClassVar = {
        "agent": "agent",
        "name": "name",
    }

    agent: AgentId
    name: Annotated[str, msgspec.Meta(pattern=NAME_RULE)]

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        living(live)
        if _named(live, self.name) is None:
            raise not_there(f"The agent has no destination {self.name}.")

    def before(self, live: Live) -> State:
        return _state(_named(live, self.name))

    def after(self, live: Live) -> State:
        return _state(None)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"destination.remove:{self.agent}:{self.name}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        agent = existing(live)
        others = tuple(one for one in agent.destinations if one.name != self.name)
        return (PutAgent(msgspec.structs.replace(agent, destinations=others)),)

    def inverse(self, live: Live, change: ChangeId) -> AddDestination | None:
        known = _named(live, self.name)
        if known is None:
            return None
        return AddDestination(
            agent=self.agent,
            name=self.name,
            channel=known.channel,
            platform_id=known.platform_id,
        )


def _check_peer(agent: AgentId, ref: str, live: Live) -> None:
    """Refuse what is no other agent that is there. Raises UserError."""
    check_word(ref, what="other agent's name")
    if live.peer is None or live.peer.archived:
        raise UserError(
            Code.NOT_FOUND,
            f"There is no agent {ref[:64]!r}.",
            hint="For the channel `agent`, the chat is the name of another agent.",
        )
    if live.peer.id == agent:
        raise UserError(
            Code.INVALID, "An agent does not write to itself.", hint="Name another agent."
        )


def _named(live: Live, name: str) -> Destination | None:
    known = () if live.agent is None else live.agent.destinations
    return next((one for one in known if one.name == name), None)


def _state(known: Destination | None) -> State:
    if known is None:
        return {"destination": None, "channel": None, "chat": None}
    return {"destination": known.name, "channel": known.channel, "chat": known.platform_id}
