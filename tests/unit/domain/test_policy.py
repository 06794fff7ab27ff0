import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.changes.samples import SAMPLES, Sample
from tests.unit.domain.changes.world import ANN, BOB, OWNER_TOO, World

from ironclaw.domain.changes.access import GiveRole, TakeRole
from ironclaw.domain.changes.base import Bearing, Topic
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.policy import (
    DEFAULT,
    ApproverRule,
    AutoRule,
    Policy,
    Proof,
    Verdict,
    needed,
    verdict,
)

rules = st.builds(
    AutoRule,
    topic=st.sampled_from(Topic),
    verdict=st.sampled_from(Verdict),
    bearing=st.sampled_from((None, *Bearing)),
    agent=st.sampled_from((None, "agt_bob", "agt_old")),
)
approvers = st.builds(
    ApproverRule,
    topic=st.sampled_from(Topic),
    roles=st.lists(st.sampled_from(Role), min_size=1, max_size=6).map(tuple),
    people=st.integers(1, 2),
    proofs=st.lists(st.sampled_from(Proof), min_size=1, max_size=3).map(tuple),
)
policies = st.builds(
    Policy,
    solo=st.booleans(),
    automatic=st.lists(rules, max_size=8).map(tuple),
    approvers=st.lists(approvers, max_size=8).map(tuple),
)
LESS, MORE = SetTools(agent=BOB, remove=("clock",)), SetTools(agent=BOB, add=("write_file",))


def said(policy: Policy, spec: SetTools, *, lasts: bool = True) -> Verdict:
    return verdict(policy, spec, World().of(spec), lasts=lasts)


def rule(verdict: Verdict, bearing: Bearing | None = None, agent: str | None = None) -> AutoRule:
    return AutoRule(topic=Topic.TOOLS, verdict=verdict, bearing=bearing, agent=agent)


@given(policy=policies, sample=st.sampled_from(SAMPLES), lasts=st.booleans())
def test_no_policy_ever_allows_without_a_person_what_does_more_than_narrow(
    policy: Policy, sample: Sample, lasts: bool
) -> None:
    live = sample.world().of(sample.spec)
    allowed = verdict(policy, sample.spec, live, lasts=lasts) is Verdict.ALLOW

    if sample.bearing is not Bearing.NARROWS or sample.spec.always_human or not lasts:
        assert not allowed
    if sample.spec.deciders_for() == {Role.OWNER}:
        assert not allowed


@pytest.mark.parametrize("role", [Role.OWNER, Role.ADMIN])
def test_no_rule_takes_the_roles_of_those_who_rule(role: Role) -> None:
    world = World()
    world.standings.add(Standing(principal=OWNER_TOO, role=role))
    spec = TakeRole(principal=OWNER_TOO, role=role)
    allow = AutoRule(topic=Topic.ACCESS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)

    assert verdict(Policy(automatic=(allow,)), spec, world.of(spec)) is Verdict.ASK
    lower = TakeRole(principal=ANN, role=Role.APPROVER)
    assert verdict(Policy(automatic=(allow,)), lower, world.of(lower)) is Verdict.ALLOW


@given(policy=policies, sample=st.sampled_from(SAMPLES))
def test_no_policy_names_a_role_that_the_kind_does_not(policy: Policy, sample: Sample) -> None:
    wanted = needed(policy, sample.spec)

    assert wanted.roles
    assert wanted.roles <= sample.spec.deciders_for()
    assert wanted.people in {1, 2}
    assert wanted.proofs


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)
def test_by_default_a_person_is_asked_about_everything(sample: Sample) -> None:
    assert verdict(DEFAULT, sample.spec, sample.world().of(sample.spec)) is Verdict.ASK
    assert needed(DEFAULT, sample.spec).roles == sample.spec.deciders_for()


def test_the_first_rule_that_fits_counts() -> None:
    allow, deny = rule(Verdict.ALLOW, Bearing.NARROWS), rule(Verdict.DENY)

    assert said(Policy(automatic=(allow, deny)), LESS) is Verdict.ALLOW
    assert said(Policy(automatic=(deny, allow)), LESS) is Verdict.DENY
    assert said(Policy(automatic=(allow, deny)), MORE) is Verdict.DENY


def test_a_rule_fits_its_agent_and_kind_alone() -> None:
    other = AutoRule(topic=Topic.LIMITS, verdict=Verdict.DENY)

    assert said(Policy(automatic=(other,)), LESS) is Verdict.ASK
    assert said(Policy(automatic=(rule(Verdict.DENY, agent="agt_old"),)), LESS) is Verdict.ASK
    assert said(Policy(automatic=(rule(Verdict.DENY, agent="agt_bob"),)), LESS) is Verdict.DENY


def test_an_allowance_that_is_too_wide_asks() -> None:
    assert said(Policy(automatic=(rule(Verdict.ALLOW),)), MORE) is Verdict.ASK
    assert said(Policy(automatic=(rule(Verdict.ALLOW),)), LESS, lasts=False) is Verdict.ASK


def test_a_rule_that_leaves_nobody_leaves_the_kinds_own() -> None:
    spec = GiveRole(principal=ANN, role=Role.OWNER)
    policy = Policy(approvers=(ApproverRule(topic=Topic.ACCESS, roles=(Role.APPROVER,), people=2),))

    assert needed(policy, spec) == (frozenset({Role.OWNER}), 2, frozenset(Proof))


def test_a_policy_is_read_as_it_was_written() -> None:
    policy = Policy(automatic=(rule(Verdict.DENY),), approvers=(ApproverRule(topic=Topic.TOOLS),))

    assert msgspec.json.decode(msgspec.json.encode(policy), type=Policy) == policy
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"solo": true, "auto_approve": true}', type=Policy)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"max_pending": 0}', type=Policy)
