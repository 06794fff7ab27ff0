import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.changes.world import ANN, BOB, CAL, DESK, OLD, OWNER_TOO, PEER, World
from tests.unit.domain.stepping import AGENT, Gateway, by_token

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.change import Asker, Status
from ironclaw.domain.changes.access import GiveRole, TakeRole
from ironclaw.domain.changes.base import Spec, Topic
from ironclaw.domain.changes.destinations import AddDestination
from ironclaw.domain.changes.mounts import AddMount
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.policies import SetPolicy
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.deciding import escalated, expired, hindrance, withdrawn
from ironclaw.domain.gateway import Write
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.policy import ApproverRule, Policy, Proof
from ironclaw.domain.rights import RIGHTS, Actor, Right

TOOLS = SetTools(agent=BOB, add=("write_file",))
MOUNT = AddMount(agent=BOB, name="papers", path="/srv/given/papers")
BEN = PrincipalId("api:ben")


def ruled(policy: Policy, *standings: Standing) -> Gateway:
    world = World()
    world.policy = policy
    world.standings |= set(standings)
    return Gateway(world)


def refused(gateway: Gateway, who: PrincipalId | Actor) -> str:
    with pytest.raises(PolicyError) as caught:
        gateway.decide(who)
    assert caught.value.code == "forbidden"
    assert gateway.kept.status is Status.PENDING
    return caught.value.message


def test_one_word_of_somebody_else_is_enough() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)
    write = gateway.decide(ANN)

    assert write.status is Status.APPROVED
    assert write.event == "decided"
    assert write.decision is not None
    assert not write.decision.is_own
    assert write.audit[0].reason == "approved"


def test_one_no_is_enough_and_is_remembered() -> None:
    gateway = ruled(Policy(approvers=(ApproverRule(topic=Topic.TOOLS, people=2),)))
    gateway.ask(TOOLS)
    gateway.decide(OWNER_TOO)
    write = gateway.decide(ANN, approve=False, words="Not now.")

    assert gateway.kept.status is Status.DENIED
    assert write.is_denied
    assert write.event == "denied"


@pytest.mark.parametrize("more", [None, Role.MEMBER, Role.VIEWER, Role.OPERATOR])
def test_whoever_decides_for_one_agent_does_not_let_it_write_to_another(more: Role | None) -> None:
    scoped = [Standing(BEN, Role.ADMIN, BOB)]
    scoped += [] if more is None else [Standing(BEN, more, PEER)]
    gateway = ruled(Policy(), *scoped)
    gateway.ask(AddDestination(agent=BOB, name="peer", channel="agent", platform_id="peer"), AGENT)

    assert "another agent" in refused(gateway, BEN)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.APPROVER])
def test_whoever_decides_for_both_agents_lets_one_write_to_the_other(role: Role) -> None:
    scoped = (Standing(BEN, Role.ADMIN, BOB), Standing(BEN, role, PEER))
    gateway = ruled(Policy(), *scoped)
    gateway.ask(AddDestination(agent=BOB, name="peer", channel="agent", platform_id="peer"), AGENT)

    assert gateway.decide(BEN).status is Status.APPROVED


def test_nobody_decides_on_their_own_request() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)

    assert "yourself" in refused(gateway, DESK)


def test_nobody_does_through_another_principal_of_theirs() -> None:
    gateway = Gateway()
    gateway.world.persons[DESK] = ANN
    gateway.ask(TOOLS)

    assert "yourself" in refused(gateway, ANN)


def test_what_an_agent_asked_for_is_nobodys_own() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS, AGENT)

    assert gateway.decide(DESK).status is Status.APPROVED


def test_solo_mode_lets_people_decide_on_their_own_and_says_so() -> None:
    gateway = ruled(Policy(solo=True))
    gateway.ask(TOOLS)
    write = gateway.decide(DESK)

    assert write.status is Status.APPROVED
    assert write.decision is not None
    assert write.decision.is_own
    assert write.audit[0].words == ("own-request",)


def test_the_only_owner_may_decide_on_the_policy_alone() -> None:
    spec = SetPolicy(policy=Policy(solo=True))
    gateway = Gateway()
    gateway.ask(spec)
    assert "yourself" in refused(gateway, DESK)

    # Two principals, one person: still the only owner.
    gateway.world.persons[OWNER_TOO] = DESK
    assert gateway.decide(DESK).status is Status.APPROVED


def test_the_only_owner_decides_on_nothing_else_of_their_own() -> None:
    gateway = Gateway()
    gateway.world.persons[OWNER_TOO] = DESK
    gateway.ask(TOOLS)

    refused(gateway, DESK)


def test_two_persons_are_two_persons() -> None:
    policy = Policy(solo=True, approvers=(ApproverRule(topic=Topic.TOOLS, people=2),))
    gateway = ruled(policy)
    gateway.world.persons[OWNER_TOO] = DESK
    gateway.ask(TOOLS)
    assert gateway.decide(DESK).status is None
    assert gateway.kept.status is Status.PENDING

    assert "already" in refused(gateway, DESK)
    assert "already" in refused(gateway, OWNER_TOO)
    assert gateway.decide(ANN).status is Status.APPROVED


def test_who_has_become_one_person_counts_once() -> None:
    gateway = ruled(Policy(approvers=(ApproverRule(topic=Topic.TOOLS, people=2),)))
    gateway.ask(TOOLS, AGENT)
    gateway.decide(ANN)
    gateway.world.persons[ANN] = OWNER_TOO

    assert "already" in refused(gateway, OWNER_TOO)
    assert gateway.decide(DESK).status is Status.APPROVED


def test_who_has_become_one_with_the_asker_does_not_count() -> None:
    gateway = ruled(Policy(approvers=(ApproverRule(topic=Topic.TOOLS, people=2),)))
    gateway.ask(TOOLS, DESK)
    gateway.decide(ANN)
    gateway.world.persons[ANN] = DESK

    assert gateway.decide(OWNER_TOO).status is None
    assert gateway.kept.status is Status.PENDING


def test_the_word_of_somebody_whose_role_was_taken_does_not_count() -> None:
    gateway = ruled(Policy(approvers=(ApproverRule(topic=Topic.TOOLS, people=2),)))
    gateway.ask(TOOLS, AGENT)
    gateway.decide(ANN)
    role = Standing(principal=ANN, role=Role.APPROVER)
    gateway.world.standings.remove(role)

    assert gateway.decide(OWNER_TOO).status is None
    gateway.world.standings.add(role)
    assert gateway.decide(DESK).status is Status.APPROVED


def test_a_yes_to_another_state_does_not_count() -> None:
    spec = SetPersona(agent=BOB, persona="You sing.")
    gateway = ruled(Policy(approvers=(ApproverRule(topic=Topic.PERSONA, people=2),)))
    gateway.ask(spec, AGENT)
    gateway.decide(DESK)
    gateway.world.change(persona="You dance.")

    assert gateway.decide(ANN).status is None
    assert "already" in refused(gateway, DESK)
    assert gateway.decide(OWNER_TOO).status is Status.APPROVED


@pytest.mark.parametrize("field", ["hash", "state", "card"])
def test_what_was_seen_is_what_is_decided_on(field: str) -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)
    seen = gateway.seen._replace(**{field: 2 if field == "card" else "sha256:" + "0" * 64})

    for approve in (True, False):
        with pytest.raises(UserError) as caught:
            gateway.decide(ANN, seen=seen, approve=approve)
        assert caught.value.code == "conflict"


def test_a_decision_is_used_once() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)
    gateway.decide(ANN)

    for who in (ANN, OWNER_TOO):
        with pytest.raises(UserError) as caught:
            gateway.decide(who)
        assert caught.value.code == "conflict"


def test_what_could_not_be_applied_as_things_are_is_not_approved_and_waits() -> None:
    gateway = Gateway()
    gateway.ask(SetTools(agent=BOB, add=("write_file",)))
    gateway.world.change(archived=True)

    with pytest.raises(UserError, match=r"as things are. The agent .* has ended") as caught:
        gateway.decide(ANN)

    assert caught.value.code is Code.CONFLICT
    assert f"ironclaw agent restore {BOB}" in str(caught.value.hint)
    assert f"ironclaw reject {gateway.kept.change.id}" in str(caught.value.hint)
    assert (gateway.kept.status, gateway.kept.decisions) == (Status.PENDING, ())
    gateway.world.change(archived=False)
    assert gateway.decide(ANN).status is Status.APPROVED


def test_and_can_be_denied() -> None:
    gateway = Gateway()
    gateway.ask(SetTools(agent=BOB, add=("write_file",)))
    gateway.world.change(archived=True)

    assert gateway.decide(ANN, approve=False).status is Status.DENIED


def test_too_late_is_too_late() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)
    gateway.later(3600)

    with pytest.raises(UserError):
        gateway.decide(ANN)


def test_words_beside_a_decision_have_an_end() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)

    with pytest.raises(UserError):
        gateway.decide(ANN, words="n" * 2001)


@pytest.mark.parametrize(
    ("actor", "words"),
    [
        (Actor(ANN), "proof"),
        (Actor(ANN, frozenset({Right.READ}), Proof.TOKEN), "no right"),
        (by_token(CAL), "no right"),
        (by_token(PrincipalId("api:nobody")), "no right"),
    ],
)
def test_a_decision_needs_the_right_the_token_and_a_proof(actor: Actor, words: str) -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)

    assert words in refused(gateway, actor)


def test_a_rule_names_fewer_roles_and_proofs() -> None:
    rule = ApproverRule(topic=Topic.TOOLS, roles=(Role.OWNER,), proofs=(Proof.CHANNEL,))
    gateway = ruled(Policy(approvers=(rule,)))
    gateway.ask(TOOLS)

    assert "owner" in refused(gateway, ANN)
    assert "proof" in refused(gateway, OWNER_TOO)
    assert gateway.decide(Actor(OWNER_TOO, proof=Proof.CHANNEL)).status is Status.APPROVED


def test_a_rule_never_names_more_than_the_kind_does() -> None:
    rule = ApproverRule(topic=Topic.MOUNTS, roles=(Role.APPROVER, Role.MEMBER))
    gateway = ruled(Policy(approvers=(rule,)))
    gateway.ask(MOUNT)

    assert "owner or admin" in refused(gateway, ANN)
    assert gateway.decide(OWNER_TOO).status is Status.APPROVED


def test_decisions_are_taken_on_the_channels_for_them() -> None:
    phone = PrincipalId("signal:ann")
    gateway = ruled(
        Policy(approver_channels=("signal",)), Standing(principal=phone, role=Role.APPROVER)
    )
    gateway.ask(TOOLS)

    assert "signal" in refused(gateway, ANN)
    assert gateway.decide(Actor(phone, proof=Proof.CHANNEL)).status is Status.APPROVED


def test_an_admin_of_one_agent_decides_for_that_one() -> None:
    own = Standing(principal=BEN, role=Role.ADMIN, agent=BOB)
    gateway = ruled(Policy(), own)
    gateway.ask(TOOLS)
    assert gateway.decide(BEN).status is Status.APPROVED

    gateway.world.change(OLD, archived=False)
    gateway.ask(SetTools(agent=OLD, add=("clock",)))
    refused(gateway, BEN)


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_owners_alone_make_owners_and_global_admins(role: Role) -> None:
    gateway = ruled(Policy(), Standing(principal=BEN, role=Role.ADMIN))
    gateway.ask(GiveRole(principal=CAL, role=role))

    assert "owner" in refused(gateway, BEN)
    token = Actor(OWNER_TOO, frozenset(Right) - {Right.OWN}, Proof.TOKEN)
    assert "token" in refused(gateway, token)
    assert gateway.decide(OWNER_TOO).status is Status.APPROVED


def test_nobody_gives_what_they_do_not_hold() -> None:
    gateway = Gateway()
    gateway.ask(GiveRole(principal=BEN, role=Role.OPERATOR, agent=BOB))

    assert "do not hold" in refused(gateway, ANN)
    assert gateway.decide(OWNER_TOO).status is Status.APPROVED


def test_nobody_unseats_somebody_who_may_do_more() -> None:
    gateway = Gateway()
    gateway.ask(GiveRole(principal=BEN, role=Role.OPERATOR, agent=BOB))
    gateway.decide(OWNER_TOO)
    gateway.apply()

    gateway.ask(TakeRole(principal=BEN, role=Role.OPERATOR, agent=BOB))

    refused(gateway, ANN)
    assert gateway.decide(OWNER_TOO).status is Status.APPROVED


# --- ends without a decision ----------------------------------------------------------------------


def test_a_request_expires_once_and_not_before() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)
    assert expired(gateway.told()) == Write()

    gateway.later(3600)
    assert gateway.keep(expired(gateway.told())).status is Status.EXPIRED
    assert expired(gateway.told()) == Write()


def test_owners_are_told_once_of_what_waits() -> None:
    gateway = ruled(Policy(escalate_s=600))
    gateway.ask(TOOLS)
    assert escalated(gateway.told()) == Write()

    gateway.later(600)
    assert gateway.keep(escalated(gateway.told())).event == "escalated"
    assert escalated(gateway.told()) == Write()


def test_who_asked_or_may_decide_can_withdraw() -> None:
    for who in (DESK, ANN):
        gateway = Gateway()
        gateway.ask(TOOLS)
        actor = by_token(who)
        write = gateway.keep(withdrawn(gateway.told(actor), actor=actor))
        assert write.status is Status.WITHDRAWN
        with pytest.raises(UserError):
            withdrawn(gateway.told(actor), actor=actor)


def test_an_agent_withdraws_what_it_asked_for() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS, AGENT)
    other = Asker(principal=PrincipalId("agent:agt_old"), agent=OLD)

    for asker in (other, None, Asker(principal=DESK)):
        with pytest.raises(PolicyError):
            withdrawn(gateway.told(), actor=None, asker=asker)
    assert withdrawn(gateway.told(), actor=None, asker=AGENT).status is Status.WITHDRAWN


def test_nobody_else_withdraws() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS)

    for actor in (by_token(CAL), Actor(DESK, frozenset({Right.READ}), Proof.TOKEN)):
        with pytest.raises(PolicyError):
            withdrawn(gateway.told(actor), actor=actor)


# --- whoever it is --------------------------------------------------------------------------------

SPECS: tuple[Spec, ...] = (
    TOOLS,
    MOUNT,
    SetPersona(agent=BOB, persona="You sing."),
    GiveRole(principal=CAL, role=Role.OWNER),
    GiveRole(principal=CAL, role=Role.OPERATOR, agent=BOB),
    SetPolicy(policy=Policy(pending_s=3600)),
)
standings_of_ben = st.frozensets(
    st.builds(
        lambda role, agent: Standing(principal=BEN, role=role, agent=agent),
        st.sampled_from(Role),
        st.sampled_from((None, BOB, OLD)),
    ),
    max_size=3,
)


@given(
    spec=st.sampled_from(SPECS),
    held=standings_of_ben,
    limit=st.frozensets(st.sampled_from(Right)),
    proof=st.sampled_from((None, *Proof)),
    solo=st.booleans(),
)
def test_nobody_without_the_role_completes_a_decision(
    spec: Spec,
    held: frozenset[Standing],
    limit: frozenset[Right],
    proof: Proof | None,
    solo: bool,
) -> None:
    gateway = ruled(Policy(solo=solo), *held)
    gateway.ask(spec)
    actor = Actor(BEN, limit, proof)
    over = {
        one.role
        for one in held
        if one.agent is None or (one.agent == spec.agent_id and one.role is not Role.OWNER)
    }
    has_role = any(role in spec.deciders_for() and Right.DECIDE in RIGHTS[role] for role in over)

    why = hindrance(gateway.told(actor), gateway.kept, actor)

    if not has_role or Right.DECIDE not in limit or proof is None:
        assert why
        refused(gateway, actor)
    elif not why:
        assert gateway.decide(actor).status is Status.APPROVED


@given(spec=st.sampled_from(SPECS), solo=st.booleans(), linked=st.booleans())
def test_who_asked_never_completes_it_unless_it_is_solo(
    spec: Spec, solo: bool, linked: bool
) -> None:
    gateway = ruled(Policy(solo=solo), Standing(principal=BEN, role=Role.OWNER))
    if linked:
        gateway.world.persons[BEN] = DESK
    gateway.ask(spec)

    for who in (DESK, BEN) if linked else (DESK,):
        actor = by_token(who)
        assert bool(hindrance(gateway.told(actor), gateway.kept, actor)) is not solo


@given(order=st.sampled_from(tuple(itertools.permutations((ANN, OWNER_TOO, BEN)))))
def test_two_different_persons_complete_it_in_any_order(order: tuple[PrincipalId, ...]) -> None:
    gateway = ruled(
        Policy(approvers=(ApproverRule(topic=Topic.TOOLS, people=2),)),
        Standing(principal=BEN, role=Role.ADMIN),
    )
    gateway.world.persons[BEN] = ANN
    gateway.ask(TOOLS)
    people: set[PrincipalId] = set()
    for who in order:
        if gateway.world.person(who) in people:
            refused(gateway, who)
            continue
        people.add(gateway.world.person(who))
        gateway.decide(who)
        assert (gateway.kept.status is Status.APPROVED) is (len(people) == 2)
        if len(people) == 2:
            return


def test_a_token_that_was_minted_meanwhile_is_seen_before_it_gets_a_role() -> None:
    """Whoever mints may know which principals are about to be given one."""
    gateway = Gateway()
    gateway.ask(GiveRole(principal=BEN, role=Role.OWNER), DESK)
    seen = gateway.seen
    gateway.world.tokens[BEN] = 1

    with pytest.raises(UserError) as caught:
        gateway.decide(OWNER_TOO, seen=seen)
    assert caught.value.code == "conflict"
    assert gateway.decide(OWNER_TOO).status is Status.APPROVED
    gateway.world.tokens[BEN] = 2
    assert gateway.apply().status is Status.FAILED
