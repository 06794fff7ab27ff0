import pytest
from tests.unit.domain.changes.world import ANN, BOB, CAL, DESK, OLD, SESSION, World
from tests.unit.domain.stepping import AGENT, Gateway, row_of

from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import ChangeId, PrincipalId
from ironclaw.domain.asking import asked, refusal
from ironclaw.domain.audit_kinds import check
from ironclaw.domain.change import Asker, Change, Status, hash_of
from ironclaw.domain.changes.access import GiveRole, TakeRole
from ironclaw.domain.changes.base import Bearing, Spec, Topic
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.policies import SetPolicy
from ironclaw.domain.changes.sessions import ForgetSession
from ironclaw.domain.changes.task_edits import PauseTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.policy import AutoRule, Policy, Proof, Verdict
from ironclaw.domain.rights import Actor, Right

TOOLS = SetTools(agent=BOB, add=("write_file",))
LESS = SetTools(agent=BOB, remove=("clock",))
EVE = PrincipalId("api:eve")
NARROW = AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)


def ruled(*rules: AutoRule) -> Gateway:
    world = World()
    world.policy = Policy(automatic=rules)
    return Gateway(world)


def test_a_request_waits_for_a_person() -> None:
    gateway = Gateway()
    write = gateway.ask(TOOLS, AGENT)

    assert write.status is Status.PENDING
    assert write.event == "requested"
    assert write.change is not None
    assert write.hash == hash_of(write.change)
    assert write.atoms == {"tool:agt_bob:write_file"}
    assert write.ops == ()
    assert write.decision is None
    assert write.audit[0].session == SESSION


@pytest.mark.parametrize(
    ("spec", "is_allowed"),
    [
        (GiveRole(principal=EVE, role=Role.MEMBER, agent=BOB), True),
        (GiveRole(principal=EVE, role=Role.MEMBER), False),
        (GiveRole(principal=EVE, role=Role.OPERATOR, agent=BOB), False),
        (GiveRole(principal=DESK, role=Role.MEMBER, agent=BOB), False),
        (TOOLS, False),
    ],
)
def test_who_is_not_let_in_can_ask_for_just_that(spec: Spec, *, is_allowed: bool) -> None:
    gateway = Gateway()
    asker = Asker(principal=EVE)
    change = Change(
        id=ChangeId("chg_one"),
        spec=spec,  # type: ignore[arg-type]  # every kind is one of the table's
        asker=asker,
        created_ms=1,
        expires_ms=2,
    )
    told = gateway.loaded(spec, None, asker)

    assert asker.is_at_the_door(spec) is is_allowed
    if is_allowed:
        assert asked(told, change, actor=None).status is Status.PENDING
    else:
        with pytest.raises(PolicyError, match="may not ask"):
            asked(told, change, actor=None)


def test_the_same_wish_twice_is_one() -> None:
    gateway = Gateway()
    gateway.twin = row_of(TOOLS, "chg_twin", Status.PENDING)

    assert gateway.ask(TOOLS, AGENT) == gateway.last


@pytest.mark.parametrize(
    ("who", "limit"),
    [
        (ANN, frozenset(Right)),
        (CAL, frozenset(Right)),
        (PrincipalId("api:nobody"), frozenset(Right)),
        (DESK, frozenset({Right.READ, Right.DECIDE})),
    ],
)
def test_who_may_not_ask_is_told_so_and_nothing_of_the_state(
    who: PrincipalId, limit: frozenset[Right]
) -> None:
    spec = SetTools(agent=BOB, add=("shell",))

    with pytest.raises(PolicyError) as caught:
        Gateway().ask(spec, who, actor=Actor(who, limit, Proof.TOKEN))

    assert caught.value.code == "forbidden"


def test_nobody_asks_in_another_ones_name() -> None:
    with pytest.raises(PolicyError):
        Gateway().ask(TOOLS, CAL, actor=Actor(DESK, proof=Proof.TOKEN))


def test_a_role_over_one_agent_lets_ask_for_that_agent_alone() -> None:
    world = World()
    world.standings.add(Standing(principal=CAL, role=Role.OPERATOR, agent=BOB))
    gateway = Gateway(world)
    gateway.ask(TOOLS, CAL)

    for spec in (
        SetTools(agent=OLD, add=("clock",)),
        TakeRole(principal=ANN, role=Role.APPROVER),
    ):
        with pytest.raises(PolicyError):
            gateway.ask(spec, CAL)


@pytest.mark.parametrize(
    "spec",
    [
        SetTools(agent=OLD, add=("clock",)),
        SetPolicy(policy=Policy(solo=True)),
        TakeRole(principal=CAL, role=Role.MEMBER, agent=BOB),
        ForgetSession(agent=BOB, session=SESSION),
    ],
)
def test_an_agent_asks_for_itself_and_for_what_agents_may(spec: SetTools) -> None:
    with pytest.raises(PolicyError) as caught:
        Gateway().ask(spec, AGENT)

    assert caught.value.code == "forbidden"


def test_an_agent_needs_no_standing_and_a_person_no_agent() -> None:
    with pytest.raises(PolicyError):
        Gateway().ask(TOOLS, AGENT, actor=Actor(DESK, proof=Proof.TOKEN))


def test_too_many_that_wait_are_too_many() -> None:
    gateway = Gateway()
    gateway.pending = gateway.world.policy.max_pending

    with pytest.raises(PolicyError) as caught:
        gateway.ask(TOOLS, AGENT)

    assert caught.value.code == "rate_limited"


def test_a_change_stays_something_that_people_can_read() -> None:
    spec = SetPersona(agent=BOB, persona="\x01" * 64_000)

    with pytest.raises(UserError) as caught:
        Gateway().ask(spec)

    assert caught.value.code == "too_large"


def test_a_rule_may_deny() -> None:
    gateway = ruled(AutoRule(topic=Topic.TOOLS, verdict=Verdict.DENY, agent=BOB))

    with pytest.raises(PolicyError) as caught:
        gateway.ask(TOOLS)

    assert caught.value.code == "denied"


def test_a_rule_may_allow_what_narrows() -> None:
    write = ruled(NARROW).ask(LESS, AGENT)

    assert write.status is Status.APPROVED
    assert write.decision is not None
    assert write.decision.principal == ""
    assert write.decision.proof is None
    assert [one.words for one in write.audit] == [()]
    assert [one.words for one in write.ruled] == [("by-policy",)]


def test_a_rule_never_allows_what_widens() -> None:
    assert ruled(NARROW).ask(TOOLS, AGENT).status is Status.PENDING


def test_what_was_denied_is_not_asked_again_by_another_route() -> None:
    gateway = Gateway()
    gateway.denial = row_of(TOOLS, "chg_no", Status.DENIED)

    for asker in (AGENT, Asker(principal=DESK)):
        with pytest.raises(PolicyError) as caught:
            gateway.ask(TOOLS, asker)
        assert caught.value.code == "denied"
        assert "chg_no" in caught.value.message


def test_a_person_may_set_a_denial_aside_and_an_agent_never() -> None:
    gateway = Gateway()
    gateway.denial = row_of(TOOLS, "chg_no", Status.DENIED)

    with pytest.raises(PolicyError):
        gateway.ask(TOOLS, AGENT, despite=ChangeId("chg_no"))
    with pytest.raises(PolicyError):
        gateway.ask(TOOLS, despite=ChangeId("chg_another"))
    assert gateway.ask(TOOLS, despite=ChangeId("chg_no")).status is Status.PENDING

    gateway.denial = None
    with pytest.raises(UserError):
        gateway.ask(TOOLS, despite=ChangeId("chg_no"))


def test_what_only_takes_away_or_cannot_be_taken_back_has_no_end() -> None:
    for spec in (LESS, SetLimits(agent=BOB, pids=32), ForgetSession(agent=BOB, session=SESSION)):
        with pytest.raises(UserError) as caught:
            Gateway().ask(spec, grant_s=60)
        assert caught.value.code == "invalid"
    Gateway().ask(TOOLS, grant_s=60)


def test_a_refusal_is_told_to_the_audit() -> None:
    with pytest.raises(PolicyError) as caught:
        Gateway().ask(SetTools(agent=OLD, add=("clock",)), AGENT)

    entry = refusal(TOOLS, caught.value, asker=AGENT)

    check(entry)
    assert (entry.kind, entry.code, entry.session) == ("tools", "forbidden", SESSION)


def test_no_rule_allows_a_pause_that_ends_by_itself() -> None:
    rule = AutoRule(topic=Topic.TASKS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)
    pause = PauseTask(agent=BOB, name="daily")
    for grant_s, status in ((None, Status.APPROVED), (60, Status.PENDING)):
        gateway = Gateway()
        gateway.world.policy = Policy(automatic=(rule,))
        assert gateway.ask(pause, AGENT, grant_s=grant_s).status is status


def test_what_else_only_takes_away_is_for_good() -> None:
    with pytest.raises(UserError, match="only takes away"):
        Gateway().ask(LESS, grant_s=60)
