import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.rights import NOBODY, RIGHTS, Actor, Right, rights

ANN = PrincipalId("api:ann")
BOB, EVE = AgentId("agt_bob"), AgentId("agt_eve")


def holds(role: Role, agent: AgentId | None = None) -> Standing:
    return Standing(principal=ANN, role=role, agent=agent)


standings = st.lists(st.builds(holds, st.sampled_from(Role), st.sampled_from((None, BOB, EVE))))


def test_every_role_has_its_rights() -> None:
    assert set(RIGHTS) == set(Role)
    assert RIGHTS[Role.OWNER] == frozenset(Right)


@pytest.mark.parametrize(
    ("role", "right"),
    [
        (Role.ADMIN, Right.OWN),
        (Role.APPROVER, Right.REQUEST),
        (Role.APPROVER, Right.TALK),
        (Role.OPERATOR, Right.DECIDE),
        (Role.VIEWER, Right.TALK),
        (Role.MEMBER, Right.READ),
    ],
)
def test_what_a_role_does_not_bring(role: Role, right: Right) -> None:
    assert right not in RIGHTS[role]


def test_nobody_may_do_anything() -> None:
    assert rights((), BOB) == NOBODY


def test_a_role_over_one_agent_is_none_over_another_or_the_house() -> None:
    held = (holds(Role.ADMIN, BOB),)

    assert rights(held, BOB) == RIGHTS[Role.ADMIN]
    assert rights(held, EVE) == NOBODY
    assert rights(held, None) == NOBODY


def test_an_owner_of_one_agent_is_no_owner() -> None:
    held = (holds(Role.OWNER, BOB),)

    assert rights(held, BOB) == NOBODY


@given(held=standings, agent=st.sampled_from((None, BOB, EVE)))
def test_rights_add_up(held: list[Standing], agent: AgentId | None) -> None:
    each = [rights((one,), agent) for one in held]

    assert rights(held, agent) == frozenset().union(*each)


@given(held=standings)
def test_rights_over_the_house_are_rights_over_each_agent(held: list[Standing]) -> None:
    assert rights(held, None) <= rights(held, BOB)


def test_an_actor_without_a_proof_has_none() -> None:
    assert Actor(ANN).proof is None
    assert Actor(ANN).limit == frozenset(Right)
