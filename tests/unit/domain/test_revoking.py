import msgspec
import pytest
from tests.unit.domain.changes.samples import SAMPLES, Sample
from tests.unit.domain.changes.world import ANN, BIRDS, BOB, CAL, DESK, OWNER_TOO, PEER, World
from tests.unit.domain.stepping import Gateway, by_token, row_of

from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.change import Status
from ironclaw.domain.changes.access import GiveRole, LinkPerson, TakeRole
from ironclaw.domain.changes.agents import CreateAgent
from ironclaw.domain.changes.base import Bearing, Spec, Topic
from ironclaw.domain.changes.destinations import AddDestination
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.policies import SetPolicy
from ironclaw.domain.changes.skills import AddSkill
from ironclaw.domain.changes.task_edits import PauseTask, ResumeTask
from ironclaw.domain.changes.tasks import RemoveTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.gateway import Write
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.policy import ApproverRule, Policy
from ironclaw.domain.revoking import ended, is_left, reached, revoked
from ironclaw.domain.rights import Right

TOOLS = SetTools(agent=BOB, add=("write_file",))
SONG = SetPersona(agent=BOB, persona="You sing.")
AS_CHANGES = {"person.link", "person.unlink", "policy"}
"""Kinds whose way back is for more than one word."""


def given(spec: Spec, *, grant_s: int | None = None, world: World | None = None) -> Gateway:
    """What was asked for by one owner, approved by another, and applied."""
    gateway = Gateway(world)
    gateway.ask(spec, grant_s=grant_s)
    gateway.decide(OWNER_TOO)
    gateway.apply()
    assert gateway.kept.status is Status.APPLIED
    return gateway


def refused(gateway: Gateway, who: PrincipalId) -> str:
    with pytest.raises((PolicyError, UserError)) as caught:
        gateway.revoke(who)
    return caught.value.code.value


@pytest.mark.parametrize(
    "sample",
    [one for one in SAMPLES if one.bearing is not Bearing.NARROWS],
    ids=lambda one: one.name,
)
def test_what_was_given_is_taken_back_on_one_word(sample: Sample) -> None:
    tag = str(sample.spec.__struct_config__.tag)
    if tag == "session.forget":
        return
    gateway = given(sample.spec, world=sample.world())
    goes_to_the_house = bool(getattr(gateway.inverse, "unlimited", ()))
    if tag in AS_CHANGES or goes_to_the_house:
        assert refused(gateway, OWNER_TOO) == "conflict"
        return
    after = sample.spec.before(gateway.world.of(sample.spec))

    write = gateway.revoke(OWNER_TOO)

    assert sample.spec.before(gateway.world.of(sample.spec)) != after
    assert write.end is not None
    assert (write.end.why, write.end.by) == ("revoked", OWNER_TOO)
    assert write.event == "revoked"
    assert refused(gateway, OWNER_TOO) == "conflict"


def test_the_words_of_who_takes_it_back_are_kept_and_have_an_end() -> None:
    gateway = given(TOOLS)
    told = gateway.told(by_token(OWNER_TOO))

    with pytest.raises(UserError, match="at most"):
        revoked(told, actor=by_token(OWNER_TOO), words="x" * 2001)
    write = revoked(told, actor=by_token(OWNER_TOO), words="enough")

    assert write.end is not None
    assert write.end.words == "enough"


def test_who_takes_back_that_an_agent_was_made_may_end_agents() -> None:
    gateway = given(CreateAgent(name="new"))
    narrow = ApproverRule(topic=Topic.AGENTS, roles=(Role.ADMIN,))
    gateway.world.policy = Policy(approvers=(narrow,))

    assert refused(gateway, OWNER_TOO) == "forbidden"


def test_who_may_not_decide_takes_nothing_back() -> None:
    gateway = given(TOOLS)

    for who in (CAL, PrincipalId("api:nobody")):
        assert refused(gateway, who) == "forbidden"
    assert "write_file" in gateway.world.agents[BOB].tools


def test_what_was_changed_since_is_not_taken_back_and_the_change_is_named() -> None:
    gateway = given(SONG)
    gateway.world.change(persona="You dance.")
    actor = by_token(ANN)
    later = gateway.told(actor)._replace(later=row_of(SONG, "chg_later", Status.DONE))

    with pytest.raises(UserError) as caught:
        revoked(later, actor=actor)

    assert caught.value.code == "conflict"
    assert "chg_later" in caught.value.message


def test_a_way_back_that_two_must_agree_on_is_asked_for() -> None:
    world = World()
    gateway = given(SONG, world=world)
    world.policy = Policy(approvers=(ApproverRule(topic=Topic.PERSONA, people=2),))
    assert refused(gateway, ANN) == "conflict"

    world.policy = Policy()
    gateway.revoke(ANN)
    assert world.agents[BOB].persona == "You help."


def test_taking_back_never_gives() -> None:
    """A swap of tools: what was given goes, what was taken does not come back by itself."""
    gateway = given(SetTools(agent=BOB, add=("write_file",), remove=("clock",)))
    gateway.revoke(ANN)

    assert gateway.world.agents[BOB].tools == ("read_file",)


def test_what_only_takes_away_gives_nothing_to_revoke() -> None:
    for spec in (
        SetTools(agent=BOB, remove=("clock",)),
        TakeRole(principal=CAL, role=Role.MEMBER, agent=BOB),
    ):
        gateway = given(spec)
        assert gateway.kept.grant is None
        assert refused(gateway, OWNER_TOO) == "conflict"


def test_the_grant_says_whether_one_word_ends_it() -> None:
    for spec, is_so in (
        (TOOLS, True),
        (SONG, True),
        (GiveRole(principal=CAL, role=Role.OWNER), True),
        (SetPolicy(policy=Policy(pending_s=3600)), False),
        (LinkPerson(principal=CAL, same_as=ANN), False),
    ):
        assert given(spec).grant.revocable is is_so


# --- by the clock ---------------------------------------------------------------------------------


def test_a_grant_ends_at_its_time_and_not_before() -> None:
    gateway = given(TOOLS, grant_s=60)
    assert ended(gateway.told()) == Write()

    gateway.later(60)
    write = gateway.keep(ended(gateway.told()))

    assert write.end is not None
    assert (write.end.why, write.end.by) == ("expired", "")
    assert gateway.world.agents[BOB].tools == ("clock", "read_file")
    assert ended(gateway.told()) == Write()


def test_a_grant_without_an_end_has_none() -> None:
    gateway = given(TOOLS)
    gateway.later(366 * 86_400)

    assert ended(gateway.told()) == Write()


def test_what_is_left_of_a_grant_ends_at_its_time() -> None:
    gateway = given(SetLimits(agent=BOB, pids=128, files=512), grant_s=60)
    gateway.world.apply(SetLimits(agent=BOB, files=300))
    gateway.later(60)
    gateway.keep(ended(gateway.told()))

    limits = gateway.world.agents[BOB].limits
    assert (limits.pids, limits.files) == (64, 300)


def test_a_grant_ends_in_an_agent_that_has_ended_too() -> None:
    gateway = given(TOOLS, grant_s=60)
    gateway.world.change(archived=True)
    gateway.later(60)
    gateway.keep(ended(gateway.told()))

    assert gateway.grant.ended_why == "expired"
    assert "write_file" not in gateway.world.agents[BOB].tools
    assert gateway.world.agents[BOB].archived


def test_a_grant_of_which_nothing_is_left_was_replaced() -> None:
    gateway = given(SONG, grant_s=60)
    gateway.world.change(persona="You dance.")
    gateway.later(60)
    write = gateway.keep(ended(gateway.told()))

    assert write.ops == ()
    assert gateway.grant.ended_why == "replaced"
    assert write.audit[0].reason == "replaced"
    assert gateway.world.agents[BOB].persona == "You dance."


def test_the_last_owner_stays_one_when_the_time_is_over() -> None:
    gateway = given(GiveRole(principal=CAL, role=Role.OWNER), grant_s=60)
    for one in (DESK, OWNER_TOO):
        gateway.world.standings.discard(Standing(principal=one, role=Role.OWNER))
    gateway.later(60)
    gateway.keep(ended(gateway.told()))

    assert Standing(principal=CAL, role=Role.OWNER) in gateway.world.standings


def test_an_agent_made_for_a_time_ends_whatever_became_of_it() -> None:
    gateway = given(CreateAgent(name="eve"), grant_s=60)
    (eve,) = [one.id for one in gateway.world.agents.values() if one.name == "eve"]
    gateway.world.change(eve, persona="You dance.")
    gateway.later(60)
    gateway.keep(ended(gateway.told()))

    assert gateway.world.agents[eve].archived
    assert msgspec.structs.asdict(gateway.world.agents[eve])["persona"] == "You dance."


def test_what_a_later_change_says_again_is_not_set_back_by_an_earlier_one() -> None:
    gateway = given(SONG, grant_s=60)
    gateway.later(60)
    told = gateway.told()._replace(later=row_of(SONG, "chg_later", Status.DONE))
    write = gateway.keep(ended(told))

    assert (write.ops, gateway.grant.ended_why) == ((), "replaced")
    assert gateway.world.agents[BOB].persona == "You sing."


def test_a_policy_does_not_come_back_that_nobody_could_change() -> None:
    world = World()
    world.policy = Policy(solo=True, approvers=(ApproverRule(topic=Topic.POLICY, people=2),))
    gateway = Gateway(world)
    gateway.ask(SetPolicy(policy=Policy(solo=True)), grant_s=60)
    gateway.decide(OWNER_TOO)
    gateway.decide(DESK)
    gateway.apply()
    world.apply(TakeRole(principal=OWNER_TOO, role=Role.OWNER))
    gateway.later(60)
    write = gateway.keep(ended(gateway.told()))

    assert (write.ops, gateway.grant.ended_why) == ((), "replaced")
    assert world.policy == Policy(solo=True)


def paused_for_a_time() -> Gateway:
    return given(PauseTask(agent=BOB, name="daily"), grant_s=60)


def is_paused(gateway: Gateway) -> bool:
    return next(iter(gateway.world.tasks.values())).paused


def test_a_task_that_was_paused_for_a_time_goes_on_at_its_end() -> None:
    gateway = paused_for_a_time()
    assert is_paused(gateway)
    assert not gateway.grant.revocable
    gateway.world.change(archived=True)

    gateway.later(60)
    gateway.keep(ended(gateway.told()))

    assert gateway.grant.ended_why == "expired"
    assert not is_paused(gateway)


def test_a_pause_for_a_time_ends_with_its_task_or_when_that_goes_on() -> None:
    gone, goes_on = paused_for_a_time(), paused_for_a_time()
    gone.world.apply(RemoveTask(agent=BOB, name="daily"))
    goes_on.world.apply(ResumeTask(agent=BOB, name="daily"))

    for gateway in (gone, goes_on):
        assert not is_left(gateway.told())
        gateway.later(60)
        assert gateway.keep(ended(gateway.told())).ops == ()
        assert gateway.grant.ended_why == "replaced"


def test_a_pause_for_good_gives_nothing_that_could_end() -> None:
    assert given(PauseTask(agent=BOB, name="daily")).kept.grant is None


# --- ways to another agent ------------------------------------------------------------------------

BEN = PrincipalId("api:ben")
TO_PEER = AddDestination(agent=BOB, name="friend", channel="agent", platform_id="peer")


def reaching(role: Role, spec: Spec = TO_PEER, policy: Policy | None = None) -> Gateway:
    """Bob's agent was given that; Ben has a role for the other agent alone."""
    world = World()
    world.standings.add(Standing(principal=BEN, role=role, agent=PEER))
    gateway = given(spec, world=world)
    if policy is not None:
        world.policy = policy
    return gateway


@pytest.mark.parametrize("role", [Role.ADMIN, Role.APPROVER])
def test_whoever_decides_for_the_other_agent_takes_the_way_to_it(role: Role) -> None:
    gateway = reaching(role)

    write = gateway.revoke(BEN)

    assert write.end is not None
    assert (write.end.why, write.end.by) == ("revoked", BEN)
    assert [one.name for one in gateway.world.agents[BOB].destinations] == ["team"]
    assert reached(gateway.told()) is None
    assert refused(gateway, BEN) == "forbidden"


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.VIEWER, Role.MEMBER])
def test_whoever_only_talks_to_it_or_looks_on_does_not(role: Role) -> None:
    assert refused(reaching(role), BEN) == "forbidden"


def test_a_token_that_lets_no_decision_through_does_not() -> None:
    gateway = reaching(Role.ADMIN)
    actor = by_token(BEN)._replace(limit=frozenset({Right.READ, Right.TALK}))

    with pytest.raises(PolicyError):
        revoked(gateway.told(actor), actor=actor)


def test_a_policy_that_wants_other_roles_for_that_wants_them_there_too() -> None:
    rule = ApproverRule(topic=Topic.DESTINATIONS, roles=(Role.OWNER, Role.ADMIN))

    assert refused(reaching(Role.APPROVER, policy=Policy(approvers=(rule,))), BEN) == "forbidden"


@pytest.mark.parametrize(
    "spec",
    [TOOLS, AddDestination(agent=BOB, name="friend", channel="telegram", platform_id="1")],
)
def test_nothing_else_of_that_agent_is_theirs_to_take(spec: Spec) -> None:
    assert refused(reaching(Role.ADMIN, spec), BEN) == "forbidden"


def test_where_its_name_has_moved_on_it_is_theirs_still_and_not_the_third_ones() -> None:
    gateway = reaching(Role.ADMIN)
    world = gateway.world
    world.agents[PEER] = msgspec.structs.replace(world.agents[PEER], name="other")
    third = AgentId("agt_third")
    world.agents[third] = msgspec.structs.replace(world.agents[PEER], id=third, name="peer")
    world.standings.add(Standing(principal=CAL, role=Role.ADMIN, agent=third))

    assert reached(gateway.told()) == PEER
    assert refused(gateway, CAL) == "forbidden"
    assert gateway.revoke(BEN).end is not None


def test_who_decides_for_the_first_agent_alone_takes_it_too() -> None:
    gateway = reaching(Role.APPROVER)
    gateway.world.standings.add(Standing(principal=CAL, role=Role.APPROVER, agent=BOB))

    assert gateway.revoke(CAL).end is not None
    assert [one.name for one in gateway.world.agents[BOB].destinations] == ["team"]


def test_a_way_for_a_time_ends_also_while_the_other_agent_has_ended() -> None:
    """It would be open again, for good, when that one is brought back."""
    gateway = given(TO_PEER, grant_s=60)
    world = gateway.world
    world.agents[PEER] = msgspec.structs.replace(world.agents[PEER], archived=True)
    world.house = world.house._replace(now_ms=world.house.now_ms + 60_000)

    assert is_left(gateway.told())
    write = gateway.keep(ended(gateway.told()))

    assert write.end is not None
    assert write.end.why == "expired"
    assert [one.name for one in world.agents[BOB].destinations] == ["team"]


def test_a_skill_for_a_time_ends_also_when_the_house_has_dropped_it() -> None:
    gateway = given(AddSkill(agent=BOB, name="birds", digest=BIRDS.folder.digest), grant_s=60)
    world = gateway.world
    held = [one.name for one in world.agents[BOB].skills]
    world.house = world.house._replace(now_ms=world.house.now_ms + 60_000, skills=())

    write = gateway.keep(ended(gateway.told()))

    assert write.end is not None
    assert (write.end.why, "birds" in held) == ("expired", True)
    assert "birds" not in [one.name for one in world.agents[BOB].skills]
