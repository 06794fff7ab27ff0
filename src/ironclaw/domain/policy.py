"""The policy of the gateway: what needs whom, what never does, how long things wait. Data; pure.

It is itself changed through the gateway, by owners alone; no agent can ask for it. Whatever it
says, some things stay: what widens a right needs a person, and a spec's own `deciders` bound it.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

import msgspec

from ironclaw.domain.changes.base import Bearing, Topic
from ironclaw.domain.model import Role

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
    agent: str | None = None
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
    """Seconds after which the owners are told of one that waits."""
    remember_s: Ttl = 90 * _DAY_S
    """Seconds for which a denial answers the same request by itself."""
    max_pending: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    """Requests of one agent, or of one principal, that may wait at once."""
    approver_channels: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)] = ()
    """Channels whose principals may decide (`api`, `telegram`, …); empty: all."""
    automatic: Annotated[tuple[AutoRule, ...], msgspec.Meta(max_length=64)] = ()
    """The first rule that fits counts; none fits: a person is asked."""
    approvers: Annotated[tuple[ApproverRule, ...], msgspec.Meta(max_length=64)] = ()
    """At most one for each kind; none: the spec's own `deciders`, one person."""


DEFAULT: Final = Policy()
