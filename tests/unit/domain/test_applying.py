import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.changes.samples import SAMPLES, Sample
from tests.unit.domain.changes.world import ANN, BOB, CAL, DESK, OWNER_TOO, World
from tests.unit.domain.stepping import AGENT, Gateway, by_token

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.applying import applied, done, failed, retried
from ironclaw.domain.change import Status, state_version
from ironclaw.domain.changes.base import Bearing, Topic
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.gateway import Write
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.policy import ApproverRule, AutoRule, Policy, Proof, Verdict
from ironclaw.domain.rights import Actor, Right

TOOLS = SetTools(agent=BOB, add=("write_file",))
SONG = SetPersona(agent=BOB, persona="You sing.")


def approved(spec: object = TOOLS) -> Gateway:
    gateway = Gateway()
    gateway.ask(spec, AGENT)  # type: ignore[arg-type]
    gateway.decide(DESK)
    return gateway


def solo(sample: Sample) -> Gateway:
    """One in which the one who asks may decide too."""
    world = sample.world()
    world.policy = Policy(solo=True)
    return Gateway(world)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: one.name)
def test_every_kind_goes_from_request_to_effect(sample: Sample) -> None:
    gateway = solo(sample)
    gateway.ask(sample.spec)
    gateway.decide(DESK)
    before = sample.spec.before(gateway.world.of(sample.spec))
    after = sample.spec.after(gateway.world.of(sample.spec))

    write = gateway.apply()

    assert write.status is Status.APPLIED
    assert write.before == before
    assert sample.spec.before(gateway.world.of(sample.spec)) == after
    assert gateway.keep(done(gateway.told())).status is Status.DONE
    gives = sample.bearing is not Bearing.NARROWS
    has_way_back = str(sample.spec.__struct_config__.tag) != "session.forget"
    assert (write.grant is not None) is (gives and has_way_back)
    assert (write.inverse is not None) is (write.grant is not None)


def test_it_is_applied_once() -> None:
    gateway = approved()
    gateway.apply()

    assert applied(gateway.told()) == Write()
    gateway.keep(done(gateway.told()))
    assert applied(gateway.told()) == Write()
    assert done(gateway.told()) == Write()


def test_nothing_is_applied_that_waits_or_is_over() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS, AGENT)
    for status in (Status.PENDING, Status.DENIED, Status.EXPIRED, Status.WITHDRAWN, Status.FAILED):
        gateway.row = msgspec.structs.replace(gateway.kept, status=status)
        with pytest.raises(UserError):
            applied(gateway.told())


def test_nothing_is_applied_without_an_approval_of_just_that() -> None:
    gateway = approved()
    row = gateway.kept
    forged = msgspec.structs.replace(row.decisions[0], hash="sha256:" + "0" * 64)
    other = msgspec.structs.replace(row.change, spec=SONG)
    no = msgspec.structs.replace(row.decisions[0], approved=False)

    for fields in (
        {"decisions": ()},
        {"decisions": (forged,)},
        {"decisions": (no,)},
        {"change": other},
    ):
        gateway.row = msgspec.structs.replace(row, **fields)
        write = applied(gateway.told())
        assert write.status is Status.FAILED
        assert write.code == "forbidden"
        assert write.ops == ()


def test_what_drifted_since_the_approval_is_not_applied() -> None:
    gateway = approved(SONG)
    gateway.world.change(persona="You dance.")

    write = gateway.apply()

    assert (write.status, write.code) == (Status.FAILED, "conflict")
    assert write.ops == ()
    assert gateway.world.agents[BOB].persona == "You dance."


def test_what_drifted_there_and_back_needs_as_many_words_for_what_it_is() -> None:
    gateway = Gateway()
    gateway.world.policy = Policy(approvers=(ApproverRule(topic=Topic.PERSONA, people=2),))
    gateway.ask(SONG, AGENT)
    gateway.decide(DESK)
    gateway.world.change(persona="You dance.")
    gateway.decide(ANN)
    gateway.decide(OWNER_TOO)
    assert gateway.kept.status is Status.APPROVED
    gateway.world.change(persona="You help.")

    assert gateway.apply().status is Status.FAILED


def test_what_the_policy_wants_by_now_counts() -> None:
    gateway = approved()
    gateway.world.policy = Policy(approvers=(ApproverRule(topic=Topic.TOOLS, people=2),))
    assert gateway.apply().status is Status.FAILED

    allow = AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS)
    gateway = Gateway()
    gateway.world.policy = Policy(automatic=(allow,))
    gateway.ask(SetTools(agent=BOB, remove=("clock",)), AGENT)
    kept = gateway.kept
    assert gateway.apply().status is Status.APPLIED

    gateway = Gateway()
    gateway.row = kept
    assert gateway.apply().status is Status.FAILED


def test_nothing_is_applied_on_the_word_of_somebody_who_may_not_decide_any_more() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS, DESK)
    gateway.decide(ANN)
    gateway.row = msgspec.structs.replace(gateway.kept, status=Status.FAILED)
    gateway.keep(retried(gateway.told(by_token(DESK)), actor=by_token(DESK)))
    gateway.world.standings.remove(Standing(principal=ANN, role=Role.APPROVER))

    write = gateway.apply()

    assert (write.status, write.code, write.ops) == (Status.FAILED, "conflict", ())


def test_what_may_not_be_any_more_is_not_applied() -> None:
    gateway = approved()
    gateway.world.change(archived=True)

    write = gateway.apply()

    assert (write.status, write.code) == (Status.FAILED, "conflict")
    assert write.problem
    assert write.ops == ()


def test_a_failed_one_can_be_tried_again_while_its_approval_is_young() -> None:
    gateway = approved()
    gateway.world.change(archived=True)
    gateway.apply()
    gateway.world.change(archived=False)
    actor = by_token(DESK)
    gateway.keep(retried(gateway.told(actor), actor=actor))

    assert gateway.kept.status is Status.APPROVED
    assert gateway.kept.code == ""
    assert gateway.apply().status is Status.APPLIED


def test_an_old_approval_is_not_used() -> None:
    gateway = approved()
    gateway.world.change(archived=True)
    gateway.apply()
    gateway.later(3600)
    actor = by_token(DESK)

    with pytest.raises(UserError):
        retried(gateway.told(actor), actor=actor)


def test_only_what_failed_is_tried_again_and_by_who_may() -> None:
    gateway = approved()
    for who in (CAL, PrincipalId("api:nobody")):
        with pytest.raises(PolicyError):
            retried(gateway.told(by_token(who)), actor=by_token(who))
    limited = Actor(DESK, frozenset({Right.READ}), Proof.TOKEN)
    with pytest.raises(PolicyError):
        retried(gateway.told(limited), actor=limited)
    with pytest.raises(UserError):
        retried(gateway.told(by_token(ANN)), actor=by_token(ANN))


def test_what_is_applied_stays_so_when_the_system_could_not_be_told() -> None:
    gateway = approved()
    gateway.apply()
    write = gateway.keep(failed(gateway.told(), code=Code.RUNTIME_FAILED, problem="runsc failed."))

    assert write.status is Status.APPLIED
    assert gateway.kept.code == "runtime_failed"
    actor = by_token(ANN)
    assert gateway.keep(retried(gateway.told(actor), actor=actor)).status is Status.APPLIED
    assert gateway.kept.code == ""
    assert gateway.keep(done(gateway.told())).event == "done"
    assert failed(gateway.told(), code=Code.BUG, problem="") == Write()


def test_a_grant_lasts_as_long_as_was_said() -> None:
    gateway = Gateway()
    gateway.ask(TOOLS, AGENT, grant_s=90)
    gateway.decide(DESK)
    grant = gateway.apply().grant

    assert grant is not None
    assert grant.expires_ms == grant.given_ms + 90_000
    assert grant.id == "grn_one"
    assert grant.revocable


@given(persona=st.text(max_size=20).filter(lambda text: "\0" not in text))
def test_whatever_became_of_it_only_what_was_seen_is_replaced(persona: str) -> None:
    gateway = approved(SONG)
    seen = gateway.kept.decisions[0].state
    gateway.world.change(persona=persona)
    is_seen = state_version(SONG.before(gateway.world.of(SONG))) == seen

    write = gateway.apply()

    assert (write.status is Status.APPLIED) is is_seen
    assert (gateway.world.agents[BOB].persona == "You sing.") is (
        is_seen or persona == SONG.persona
    )
    assert isinstance(gateway.world, World)
