"""Who may do what: roles, unknown senders, and which principals are one person."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.changes.base import (
    Bearing,
    DropStanding,
    Needs,
    PutChat,
    PutPerson,
    PutStanding,
    Spec,
    Topic,
)
from ironclaw.domain.changes.checking import living, not_there, nothing_to_do
from ironclaw.domain.model import Role, Standing, UnknownSender
from ironclaw.domain.policy import rulers, rulers_needed
from ironclaw.domain.principals import check_principal
from ironclaw.domain.rights import RIGHTS

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State
    from ironclaw.domain.rights import Right


class GiveRole(Spec, frozen=True, kw_only=True, tag="role.give"):
    """Give a person a role."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Give a person a role"
    labels: ClassVar = {
        "principal": "principal",
        "role": "role",
        "agent": "agent",
    }

    principal: PrincipalId
    role: Role
    agent: AgentId | None = None

    @property
    def agent_id(self) -> AgentId | None:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, principal=self.principal)

    def check(self, live: Live) -> None:
        check_principal(self.principal)
        if self.role is Role.OWNER and self.agent is not None:
            raise UserError(
                Code.INVALID, "An owner owns everything.", hint="Give `admin` for one agent."
            )
        if self.agent is not None:
            living(live)
        if self.role in _roles(live, self.agent):
            raise nothing_to_do(f"They hold the role {self.role.value} there already.")

    def before(self, live: Live) -> State:
        roles = _roles(live, self.agent)
        return _state(self.agent, roles) | self._tokens(live, has_role=self.role in roles)

    def after(self, live: Live) -> State:
        roles = _roles(live, self.agent) | {self.role}
        return _state(self.agent, roles) | self._tokens(live, has_role=True)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"role:{self.role.value}:{self.agent or '*'}:{self.principal}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutStanding(self._standing),)

    def inverse(self, live: Live, change: ChangeId) -> TakeRole:
        return TakeRole(principal=self.principal, role=self.role, agent=self.agent)

    def deciders_for(self) -> frozenset[Role]:
        return _deciders(self.role, self.agent, self.deciders)

    def demands(self) -> frozenset[Right]:
        return RIGHTS[self.role]

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # Nobody could ever change anything of the house again.
        if self.role is Role.OWNER and not _is_ruled_without(self.principal, live):
            return None
        return super().way_back(live, inverse)

    def is_left(self, live: Live, inverse: Spec) -> bool:
        return self.before(live) == self.after(live)

    @staticmethod
    def _tokens(live: Live, *, has_role: bool) -> State:
        """Who speaks as the principal; a token that is minted meanwhile has to be seen first."""
        # Their names are for who may look at the whole house.
        return {
            "tokens of the principal": live.tokens,
            "tokens that have the role": live.tokens if has_role else 0,
        }

    @property
    def _standing(self) -> Standing:
        return Standing(principal=self.principal, role=self.role, agent=self.agent)


class TakeRole(Spec, frozen=True, kw_only=True, tag="role.take"):
    """Take a role from a person."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Take a role from a person"
    always_human: ClassVar = False
    labels: ClassVar = {
        "principal": "principal",
        "role": "role",
        "agent": "agent",
    }

    principal: PrincipalId
    role: Role
    agent: AgentId | None = None

    @property
    def agent_id(self) -> AgentId | None:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, principal=self.principal)

    def check(self, live: Live) -> None:
        # Of an agent that has ended too: who was let in there can still be kept out.
        if self.role not in _roles(live, self.agent):
            raise not_there(
                f"They do not hold the role {self.role.value} there.",
                hint="`ironclaw role list` shows who holds which.",
            )
        if self.role is Role.OWNER and live.owners == (self.principal,):
            raise UserError(
                Code.CONFLICT,
                "The last owner stays one.",
                hint="Give somebody else the role first.",
            )
        if self.role is Role.OWNER and not _is_ruled_without(self.principal, live):
            raise _too_few_rulers()

    def before(self, live: Live) -> State:
        return _state(self.agent, _roles(live, self.agent))

    def after(self, live: Live) -> State:
        return _state(self.agent, _roles(live, self.agent) - {self.role})

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"role.take:{self.role.value}:{self.agent or '*'}:{self.principal}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (DropStanding(Standing(principal=self.principal, role=self.role, agent=self.agent)),)

    def inverse(self, live: Live, change: ChangeId) -> GiveRole:
        return GiveRole(principal=self.principal, role=self.role, agent=self.agent)

    def demands(self) -> frozenset[Right]:
        # Nobody unseats somebody who may do more than they.
        return RIGHTS[self.role]

    def deciders_for(self) -> frozenset[Role]:
        return _deciders(self.role, self.agent, self.deciders)


class SetStrangers(Spec, frozen=True, kw_only=True, tag="strangers"):
    """Change what happens to unknown senders of a chat."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Change what happens to unknown senders of a chat"
    labels: ClassVar = {
        "channel": "channel",
        "platform_id": "chat",
        "policy": "unknown senders",
    }

    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    platform_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    policy: UnknownSender

    @property
    def agent_id(self) -> None:
        return None

    def needs(self) -> Needs:
        return Needs(place=(self.channel, self.platform_id))

    def check(self, live: Live) -> None:
        if live.chat is None:
            raise UserError(
                Code.NOT_FOUND,
                "There is no such chat.",
                hint="`ironclaw wiring list` shows those that reach an agent.",
            )
        if live.chat.unknown_sender is self.policy:
            raise nothing_to_do("That is what happens to unknown senders there.")

    def before(self, live: Live) -> State:
        return {"unknown senders": None if live.chat is None else live.chat.unknown_sender.value}

    def after(self, live: Live) -> State:
        return {"unknown senders": self.policy.value}

    def bearing(self, live: Live) -> Bearing:
        if live.chat is None:
            return Bearing.WIDENS
        is_wider = _OPENNESS[self.policy] > _OPENNESS[live.chat.unknown_sender]
        return Bearing.WIDENS if is_wider else Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"strangers:{self.policy.value}:{self.channel}:{self.platform_id}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        if live.chat is None:
            return ()
        return (PutChat(live.chat.id, self.channel, self.platform_id, self.policy),)

    def inverse(self, live: Live, change: ChangeId) -> SetStrangers | None:
        if live.chat is None:
            return None
        return SetStrangers(
            channel=self.channel, platform_id=self.platform_id, policy=live.chat.unknown_sender
        )


class LinkPerson(Spec, frozen=True, kw_only=True, tag="person.link"):
    """Say that two principals are one person."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Say that two principals are one person"
    deciders: ClassVar = frozenset({Role.OWNER})
    labels: ClassVar = {
        "principal": "principal",
        "same_as": "is the same person as",
    }

    principal: PrincipalId
    same_as: PrincipalId

    @property
    def agent_id(self) -> None:
        return None

    def needs(self) -> Needs:
        return Needs(principal=self.principal, other=self.same_as)

    def check(self, live: Live) -> None:
        check_principal(self.principal)
        check_principal(self.same_as)
        if self.principal == self.same_as or live.person == live.other_person:
            raise nothing_to_do("They are one person already.")
        if live.person != self.principal:
            raise UserError(
                Code.CONFLICT,
                "That principal is linked to somebody else.",
                hint="Ask for that link to be taken away first.",
            )
        if live.joined or live.other_person != self.same_as:
            # Parted again, or at the end of its time, one of them would be left with somebody else:
            # what is one person would be two.
            raise UserError(
                Code.CONFLICT,
                "Others are linked to that principal, or the other one is linked itself.",
                hint="Link each to the one that stands for the person: `ironclaw principal list`.",
            )
        are_owners = {live.person, live.other_person} <= set(live.owner_persons)
        if are_owners and len(live.owner_persons) <= rulers_needed(live.policy):
            raise _too_few_rulers()

    def before(self, live: Live) -> State:
        return {"person": live.person}

    def after(self, live: Live) -> State:
        return {"person": live.other_person or self.same_as}

    def bearing(self, live: Live) -> Bearing:
        return Bearing.ALTERS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"person:{self.principal}={self.same_as}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutPerson(self.principal, live.other_person or self.same_as),)

    def inverse(self, live: Live, change: ChangeId) -> UnlinkPerson:
        return UnlinkPerson(principal=self.principal)


class UnlinkPerson(Spec, frozen=True, kw_only=True, tag="person.unlink"):
    """Say that a principal is a person of its own."""

    topic: ClassVar = Topic.ACCESS
    title: ClassVar = "Say that a principal is a person of its own"
    deciders: ClassVar = frozenset({Role.OWNER})
    labels: ClassVar = {
        "principal": "principal",
    }

    principal: PrincipalId

    @property
    def agent_id(self) -> None:
        return None

    def needs(self) -> Needs:
        return Needs(principal=self.principal)

    def check(self, live: Live) -> None:
        check_principal(self.principal)
        if live.person == self.principal:
            raise not_there(
                "That principal is a person of its own.",
                hint="`ironclaw principal list` shows who is linked.",
            )

    def before(self, live: Live) -> State:
        return {"person": live.person}

    def after(self, live: Live) -> State:
        return {"person": self.principal}

    def bearing(self, live: Live) -> Bearing:
        # One person's two principals could count as two afterwards.
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"person:{self.principal}="})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutPerson(self.principal, self.principal),)

    def inverse(self, live: Live, change: ChangeId) -> LinkPerson | None:
        if live.person is None:
            return None
        return LinkPerson(principal=self.principal, same_as=live.person)


_OPENNESS: Final = {UnknownSender.DROP: 0, UnknownSender.ASK: 1, UnknownSender.PUBLIC: 2}


def _deciders(role: Role, agent: AgentId | None, usual: frozenset[Role]) -> frozenset[Role]:
    """Owners and global administrators are made and unmade by owners alone."""
    if role is Role.OWNER or (role is Role.ADMIN and agent is None):
        return frozenset({Role.OWNER})
    return usual


def _over(agent: AgentId | None) -> str:
    return "roles over the whole house" if agent is None else "roles over the agent"


def _roles(live: Live, agent: AgentId | None) -> frozenset[Role]:
    return frozenset(one.role for one in live.standings if one.agent == agent)


def _state(agent: AgentId | None, roles: frozenset[Role]) -> State:
    return {_over(agent): sorted(role.value for role in roles)}


def _is_ruled_without(owner: PrincipalId, live: Live) -> bool:
    """Whether the policy can still be changed when somebody is no owner any more."""
    left = set(live.owners) - {owner}
    wanted = rulers_needed(live.policy)
    # Where some are one person, it is not known here who: then they may be enough.
    are_all_different = len(live.owners) == len(live.owner_persons)
    persons = len(left) if are_all_different else len(live.owner_persons)
    return wanted <= min(persons, len(rulers(live.policy, left)))


def _too_few_rulers() -> UserError:
    return UserError(
        Code.CONFLICT,
        "Too few owners would be left to ever change the policy again.",
        hint="Change the policy first, or give somebody else the role.",
    )
