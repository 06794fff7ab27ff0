"""Access: the highest standing counts, deny wins, order does not matter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.access import AccessReason, Decision, Rank, decide_access, rank
from ironclaw.domain.model import Role, SenderScope, Standing, UnknownSender
from ironclaw.domain.rights import Right, rights

MINE, OTHER = AgentId("agt_mine"), AgentId("agt_other")
standings = st.lists(
    st.builds(
        Standing,
        principal=st.just(PrincipalId("api:ann")),
        role=st.sampled_from(Role),
        agent=st.sampled_from([None, MINE, OTHER]),
    ),
    max_size=6,
)
policies = st.sampled_from(UnknownSender)
scopes = st.sampled_from(SenderScope)


def hold(role: Role, agent: AgentId | None) -> Standing:
    return Standing(principal=PrincipalId("api:ann"), role=role, agent=agent)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        ([], Rank.UNKNOWN),
        ([hold(Role.MEMBER, OTHER), hold(Role.ADMIN, OTHER)], Rank.UNKNOWN),
        ([hold(Role.OWNER, MINE)], Rank.UNKNOWN),
        ([hold(Role.MEMBER, MINE)], Rank.MEMBER),
        ([hold(Role.MEMBER, None)], Rank.MEMBER),
        ([hold(Role.MEMBER, None), hold(Role.ADMIN, MINE)], Rank.SCOPED_ADMIN),
        ([hold(Role.ADMIN, MINE), hold(Role.ADMIN, None)], Rank.GLOBAL_ADMIN),
        ([hold(Role.ADMIN, None), hold(Role.OWNER, None)], Rank.OWNER),
    ],
)
def test_the_highest_standing_over_this_agent_counts(held: list[Standing], expected: Rank):
    assert rank(held, MINE) is expected


@pytest.mark.parametrize(
    ("policy", "scope", "decision", "reason"),
    [
        (UnknownSender.DROP, SenderScope.ALL, Decision.DENY, AccessReason.UNKNOWN_SENDER),
        (UnknownSender.DROP, SenderScope.KNOWN, Decision.DENY, AccessReason.UNKNOWN_SENDER),
        (UnknownSender.ASK, SenderScope.ALL, Decision.ASK, AccessReason.PAIRING_NEEDED),
        (UnknownSender.ASK, SenderScope.KNOWN, Decision.ASK, AccessReason.PAIRING_NEEDED),
        (UnknownSender.PUBLIC, SenderScope.ALL, Decision.ALLOW, AccessReason.PUBLIC),
        (UnknownSender.PUBLIC, SenderScope.KNOWN, Decision.DENY, AccessReason.NOT_A_MEMBER),
    ],
)
def test_what_happens_to_a_stranger(
    policy: UnknownSender, scope: SenderScope, decision: Decision, reason: AccessReason
):
    found = decide_access([], MINE, unknown_sender=policy, sender_scope=scope)
    assert found == (decision, reason)


@given(held=standings, policy=policies, scope=scopes, data=st.data())
def test_the_order_of_standings_does_not_matter(
    held: list[Standing], policy: UnknownSender, scope: SenderScope, data: st.DataObject
):
    shuffled = data.draw(st.permutations(held))
    assert decide_access(held, MINE, unknown_sender=policy, sender_scope=scope) == decide_access(
        shuffled, MINE, unknown_sender=policy, sender_scope=scope
    )


@given(held=standings, policy=policies, scope=scopes)
def test_standing_over_another_agent_never_opens_this_one(
    held: list[Standing], policy: UnknownSender, scope: SenderScope
):
    foreign = [hold(standing.role, OTHER) for standing in held]
    assert decide_access(foreign, MINE, unknown_sender=policy, sender_scope=scope) == decide_access(
        [], MINE, unknown_sender=policy, sender_scope=scope
    )


@given(held=standings, policy=policies, scope=scopes)
def test_only_a_standing_or_a_public_chat_allows(
    held: list[Standing], policy: UnknownSender, scope: SenderScope
):
    found = decide_access(held, MINE, unknown_sender=policy, sender_scope=scope)
    public = policy is UnknownSender.PUBLIC and scope is SenderScope.ALL
    known = rank(held, MINE) is not Rank.UNKNOWN
    assert (found.decision is Decision.ALLOW) is (known or public)


@given(held=standings, policy=policies, scope=scopes)
def test_more_standing_never_takes_access_away(
    held: list[Standing], policy: UnknownSender, scope: SenderScope
):
    more = [*held, hold(Role.MEMBER, MINE)]
    assert (
        decide_access(more, MINE, unknown_sender=policy, sender_scope=scope).decision
        is Decision.ALLOW
    )


@pytest.mark.parametrize("role", Role)
def test_a_chat_and_the_api_agree_on_who_may_talk(role: Role) -> None:
    """A chat looks at ranks, the API and the gateway at rights: the two tables must not part."""
    held = (Standing(principal=PrincipalId("api:ann"), role=role, agent=None),)
    agent = AgentId("agt_bob")

    assert (rank(held, agent) is not Rank.UNKNOWN) == (Right.TALK in rights(held, agent))
