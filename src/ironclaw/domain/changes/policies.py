"""The policy of the gateway itself."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.changes.base import Bearing, Needs, PutPolicy, Spec, Topic
from ironclaw.domain.changes.checking import check_word, nothing_to_do
from ironclaw.domain.model import Role
from ironclaw.domain.policy import Policy, Proof, Verdict, rulers, rulers_needed

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State
    from ironclaw.domain.policy import ApproverRule, AutoRule

HARMLESS: Final = frozenset(
    {
        Topic.TOOLS,
        Topic.WIRING,
        Topic.ACCESS,
        Topic.DESTINATIONS,
        Topic.MOUNTS,
        Topic.LIMITS,
        Topic.TASKS,
    }
)
"""Kinds in which something can be allowed without a person: those not `always_human`."""
_AGENT_ID: Final = r"\Aagt_[a-z0-9]{1,60}\Z"


class SetPolicy(Spec, frozen=True, kw_only=True, tag="policy"):
    """Change who decides on changes."""

    topic: ClassVar = Topic.POLICY
    title: ClassVar = "Change who decides on changes"
    deciders: ClassVar = frozenset({Role.OWNER})
    is_whole: ClassVar = True
    labels: ClassVar = {
        "policy": "policy",
    }

    policy: Policy

    @property
    def agent_id(self) -> None:
        return None

    def needs(self) -> Needs:
        return Needs()

    def check(self, live: Live) -> None:
        if live.policy == self.policy:
            raise nothing_to_do("That is the policy in force.")
        for rule in self.policy.automatic:
            _check_automatic(rule)
        _check_approvers(self.policy)
        _check_rulers(self.policy, live)

    def before(self, live: Live) -> State:
        return state_of(live.policy)

    def after(self, live: Live) -> State:
        return state_of(self.policy)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.ALTERS

    def atoms(self) -> frozenset[str]:
        body = msgspec.json.encode(self.policy, order="sorted")
        return frozenset({f"policy:{hashlib.sha256(body).hexdigest()}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutPolicy(self.policy),)

    def inverse(self, live: Live, change: ChangeId) -> SetPolicy:
        return SetPolicy(policy=live.policy)

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # Owners may have gone since, as this policy lets them.
        can_be_ruled = isinstance(inverse, SetPolicy) and _has_rulers(inverse.policy, live)
        return super().way_back(live, inverse) if can_be_ruled else None

    def is_left(self, live: Live, inverse: Spec) -> bool:
        return self.before(live) == self.after(live)


def _check_automatic(rule: AutoRule) -> None:
    if rule.agent is not None and not re.match(_AGENT_ID, rule.agent):
        # A name would fit no agent, now or ever: a rule that denies would let through.
        raise UserError(
            Code.INVALID,
            "A rule names its agent by its id.",
            hint="`ironclaw agent show` says it: `agt_…`.",
        )
    if rule.verdict is Verdict.ALLOW and (
        rule.bearing is not Bearing.NARROWS or rule.topic not in HARMLESS
    ):
        raise UserError(
            Code.INVALID,
            f"No rule can allow changes of the kind {rule.topic.value} that do more than narrow "
            "what the agent may.",
            hint="Set `bearing` to `narrows`, on one of: "
            f"{', '.join(sorted(topic.value for topic in HARMLESS))}.",
        )
    if rule.verdict is Verdict.DENY and rule.topic is Topic.POLICY:
        raise UserError(
            Code.INVALID,
            "A policy that denies every change of the policy could never be changed again.",
            hint="Leave that rule out.",
        )


def _check_approvers(policy: Policy) -> None:
    topics = [rule.topic for rule in policy.approvers]
    if len(set(topics)) != len(topics):
        raise UserError(
            Code.INVALID, "A kind has two rules for its approvers.", hint="Make them one."
        )
    for rule in policy.approvers:
        if set(rule.proofs) == {Proof.PASSKEY}:
            raise UserError(
                Code.INVALID,
                f"Nobody could decide on changes of the kind {rule.topic.value}: passkeys are not "
                "offered yet.",
                hint="Name `token` or `channel` too.",
            )


def _check_rulers(policy: Policy, live: Live) -> None:
    for channel in policy.approver_channels:
        check_word(channel, what="channel")
    if not _has_rulers(policy, live):
        raise UserError(
            Code.CONFLICT,
            f"Nobody could ever change that policy again: it takes {rulers_needed(policy)} owners "
            "with a principal on its channels, and with a proof that it asks for.",
            hint="Give an owner's role there first, or ask for less.",
        )


def _has_rulers(policy: Policy, live: Live) -> bool:
    """Whether it can be changed again by the owners that there are."""
    there_are = min(len(live.owner_persons), len(rulers(policy, live.owners)))
    return rulers_needed(policy) <= there_are


def state_of(policy: Policy) -> State:
    """All of a policy, in names and words that people read."""
    return {
        "solo mode": "on" if policy.solo else "off",
        "requests expire after, in seconds": policy.pending_s,
        "requests are overdue after, in seconds": policy.escalate_s,
        "denials are remembered for, in seconds": policy.remember_s,
        "requests that may wait": policy.max_pending,
        "channels for decisions": list(policy.approver_channels),
        "without a person": [_automatic(rule) for rule in policy.automatic],
        "who decides": [_approvers(rule) for rule in policy.approvers],
    }


def _automatic(rule: AutoRule) -> str:
    bearing = "all" if rule.bearing is None else f"what {rule.bearing.value}"
    agent = "any agent" if rule.agent is None else f"the agent {rule.agent!r}"
    return f"{rule.topic.value}, {bearing}, for {agent}: {rule.verdict.value}"


def _approvers(rule: ApproverRule) -> str:
    roles = ", ".join(role.value for role in rule.roles)
    proofs = ", ".join(proof.value for proof in rule.proofs)
    return f"{rule.topic.value}: {rule.people} of ({roles}), shown by ({proofs})"
