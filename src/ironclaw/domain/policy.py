"""The policy of the gateway: what needs whom, what never does, how long things wait. Data; pure.

It is itself changed through the gateway, by owners alone; no agent can ask for it. Whatever it
says, some things stay: what widens a right needs a person, and a spec's own `deciders` bound it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from ironclaw.domain.changes.base import Bearing, Topic
from ironclaw.domain.model import Role
from ironclaw.domain.principals import API_CHANNEL, channel_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.core.ids import PrincipalId
    from ironclaw.domain.changes.base import Live, Spec

_DAY_S: Final = 86_400
Ttl = Annotated[int, msgspec.Meta(ge=60, le=366 * _DAY_S)]


class Verdict(enum.StrEnum):
    """What a rule says to a request before any person sees it."""

    ALLOW = "allow"
    """Apply it at once. Only for what narrows and is not `always_human`."""
    ASK = "ask"
    DENY = "deny"


class Proof(enum.StrEnum):
    """How somebody who decides has shown who they are."""

    TOKEN = "token"  # noqa: S105 - no secret
    CHANNEL = "channel"
    """A chat platform vouches for its own user."""
    PASSKEY = "passkey"
    """WebAuthn, with user verification, over the change's hash. Not offered by any surface yet."""


class _Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the parts."""


class AutoRule(_Rule, frozen=True):
    """What is decided without a person."""

    topic: Topic
    verdict: Verdict
    bearing: Bearing | None = None
    """Only changes that bear so; None: all. `allow` works for `narrows` alone."""
    agent: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    """Only for this agent (its id); None: for all."""


class ApproverRule(_Rule, frozen=True):
    """Who decides on one kind."""

    topic: Topic
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1, max_length=6)] = (
        Role.OWNER,
        Role.ADMIN,
        Role.APPROVER,
    )
    people: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    """How many different persons must say yes."""
    proofs: Annotated[tuple[Proof, ...], msgspec.Meta(min_length=1, max_length=3)] = (
        Proof.TOKEN,
        Proof.CHANNEL,
        Proof.PASSKEY,
    )


class Policy(_Rule, frozen=True):
    """All of it. The defaults hold everything for a person other than the requester."""

    solo: bool = False
    """Whether somebody may approve what they asked for themselves. Cards say so."""
    pending_s: Ttl = 7 * _DAY_S
    """Seconds after which a request that nobody decided on has expired."""
    escalate_s: Annotated[int, msgspec.Meta(ge=60, le=366 * _DAY_S)] = _DAY_S
    """Seconds after which one that waits is overdue: lists say so, and it is told once more."""
    remember_s: Ttl = 90 * _DAY_S
    """Seconds for which a denial answers the same request by itself."""
    max_pending: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    """Requests of one agent, or of one principal, that may wait at once."""
    approver_channels: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...],
        msgspec.Meta(max_length=16),
    ] = ()
    """Channels whose principals may decide (`api`, `telegram`, …); empty: all."""
    automatic: Annotated[tuple[AutoRule, ...], msgspec.Meta(max_length=64)] = ()
    """The first rule that fits counts; none fits: a person is asked."""
    approvers: Annotated[tuple[ApproverRule, ...], msgspec.Meta(max_length=64)] = ()
    """At most one for each topic; none: one person of those that the kind itself names."""


DEFAULT: Final = Policy()


# --- what it says ---------------------------------------------------------------------------------


class Needed(NamedTuple):
    """Whose word a change needs."""

    roles: frozenset[Role]
    people: int
    """How many different persons."""
    proofs: frozenset[Proof]


def verdict(
    policy: Policy, spec: Spec, live: Live, *, lasts: bool = True, is_tainted: bool = False
) -> Verdict:
    """Say what becomes of a request before any person sees it.

    The floor, whatever the rules are: only what narrows, for good, and is not `always_human` is
    allowed without a person. What ends by itself gives something back at its end. What owners alone
    decide on is never allowed so: taking the role of an owner leaves the house to the others. Nor
    is what an agent asks for with foreign content before it: that may be what really asks.

    Args:
        policy: The one in force.
        spec: What is asked for; `check` has passed.
        live: The state that it asked for.
        lasts: Whether it has no end.
        is_tainted: Whether foreign content was there when it was asked for.
    """
    bearing = spec.bearing(live)
    for rule in policy.automatic:
        if (
            rule.topic is spec.topic
            and rule.bearing in {None, bearing}
            and rule.agent in {None, spec.agent_id}
        ):
            if rule.verdict is not Verdict.ALLOW:
                return rule.verdict
            is_harmless = bearing is Bearing.NARROWS and not spec.always_human and lasts
            is_owners = spec.deciders_for() == {Role.OWNER}
            is_silent = is_harmless and not is_owners and not is_tainted
            return Verdict.ALLOW if is_silent else Verdict.ASK
    return Verdict.ASK


def needed(policy: Policy, spec: Spec) -> Needed:
    """Say whose word a change needs: the rule of its kind within what the spec says itself.

    A rule that leaves nobody (approvers alone, for what only owners may decide) is as none in that.
    """
    floor = spec.deciders_for()
    for rule in policy.approvers:
        if rule.topic is spec.topic:
            return Needed(
                floor.intersection(rule.roles) or floor, rule.people, frozenset(rule.proofs)
            )
    return Needed(floor, 1, frozenset(Proof))


def rulers(policy: Policy, owners: Iterable[PrincipalId]) -> frozenset[PrincipalId]:
    """The owners who could decide on the policy itself, by its channels and proofs.

    Only a channel other than the API vouches for its users, and nobody has a passkey yet.
    """
    rule = _ruling(policy)
    return frozenset(
        owner
        for owner in owners
        if not policy.approver_channels or channel_of(owner) in policy.approver_channels
        if Proof.TOKEN in rule.proofs
        or (Proof.CHANNEL in rule.proofs and channel_of(owner) != API_CHANNEL)
    )


def rulers_needed(policy: Policy) -> int:
    """How many different owners have to agree on another policy."""
    return _ruling(policy).people


def _ruling(policy: Policy) -> ApproverRule:
    of_policy = (rule for rule in policy.approvers if rule.topic is Topic.POLICY)
    return next(of_policy, ApproverRule(topic=Topic.POLICY))
