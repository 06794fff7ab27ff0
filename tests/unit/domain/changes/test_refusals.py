"""What each kind refuses, and how finely it judges."""

import msgspec
import pytest
from tests.unit.domain.changes.world import (
    ANN,
    BOB,
    CAL,
    CHANGE,
    DESK,
    HOUSE,
    NOW_MS,
    OLD,
    OWNER_TOO,
    ROOM,
    SESSION,
    World,
    linked,
)

from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, UserError
from ironclaw.core.ids import AgentId, ChatId, PrincipalId, WiringId
from ironclaw.domain.changes.access import (
    GiveRole,
    LinkPerson,
    SetStrangers,
    TakeRole,
    UnlinkPerson,
)
from ironclaw.domain.changes.agents import CreateAgent, RestoreAgent
from ironclaw.domain.changes.base import Bearing, HostDir, Spec, Topic
from ironclaw.domain.changes.destinations import MAX_DESTINATIONS, AddDestination
from ironclaw.domain.changes.limits import SetLimits
from ironclaw.domain.changes.model import SetModel
from ironclaw.domain.changes.mounts import MAX_MOUNTS, AddMount
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.policies import SetPolicy
from ironclaw.domain.changes.sessions import ForgetSession
from ironclaw.domain.changes.tasks import MAX_TASKS, AddTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.changes.wiring import AddWiring, RemoveWiring
from ironclaw.domain.model import (
    Chat,
    Destination,
    Role,
    SenderScope,
    SharedMount,
    Standing,
    UnknownSender,
    Wiring,
)
from ironclaw.domain.policy import ApproverRule, AutoRule, Policy, Proof, Verdict

PAPERS = "/srv/given/papers"


def task(**fields: object) -> AddTask:
    usual = {
        "kind": "task.add",
        "agent": BOB,
        "name": "new",
        "channel": ROOM[0],
        "platform_id": ROOM[1],
        "prompt": "Say hello.",
    }
    return msgspec.convert(usual | fields, AddTask)


REFUSED: tuple[tuple[str, Spec], ...] = (
    # An agent that has ended is brought back before anything of it changes.
    ("conflict", SetPersona(agent=OLD, persona="You sing.")),
    ("conflict", SetTools(agent=OLD, add=("clock",))),
    ("conflict", AddWiring(agent=OLD, channel="web", platform_id="new")),
    ("conflict", GiveRole(principal=ANN, role=Role.MEMBER, agent=OLD)),
    ("not_found", GiveRole(principal=ANN, role=Role.MEMBER, agent=AgentId("agt_no"))),
    # Texts.
    ("invalid", SetPersona(agent=BOB, persona="You\0sing.")),
    ("invalid", SetPersona(agent=BOB, persona="You \ud800 sing.")),
    ("too_large", SetPersona(agent=BOB, persona="\u20ac" * 30_000)),
    ("invalid", SetModel(agent=BOB, model="scripted/\u202eother")),
    ("invalid", SetModel(agent=BOB, model="nobody/other")),
    ("invalid", SetModel(agent=BOB, model="scripted/a", fallbacks=("nobody/other",))),
    ("invalid", SetModel(agent=BOB, model="scripted/a", fallbacks=("scripted/a",))),
    (
        "invalid",
        SetModel(
            agent=BOB,
            model="scripted/a",
            max_output_tokens=5,
            default=("max_output_tokens",),
        ),
    ),
    ("invalid", AddDestination(agent=BOB, name="mum", channel="a\nb", platform_id="1")),
    ("invalid", AddDestination(agent=BOB, name="mum", channel="pigeon", platform_id="1")),
    ("invalid", AddWiring(agent=BOB, channel="pigeon", platform_id="new")),
    # Tools.
    ("invalid", SetTools(agent=BOB, add=("shell",))),
    ("invalid", SetTools(agent=BOB, add=("clock",), remove=("clock",))),
    ("invalid", SetTools(agent=BOB, add=("write_file", "write_file"))),
    ("conflict", SetTools(agent=BOB)),
    ("conflict", SetTools(agent=BOB, remove=("write_file",))),
    # Wirings.
    ("invalid", AddWiring(agent=BOB, channel="web", platform_id="new", pattern="(?=x)")),
    ("invalid", AddWiring(agent=BOB, channel="web", platform_id="new", pattern="")),
    ("conflict", AddWiring(agent=BOB, channel=ROOM[0], platform_id=ROOM[1], priority=8)),
    # What people say to another agent is not for this one's deciders.
    ("forbidden", AddWiring(agent=BOB, channel="api", platform_id="agt_old/api:ann/main")),
    ("forbidden", AddDestination(agent=BOB, name="x", channel="api", platform_id="agt_old/a/b")),
    ("forbidden", task(channel="api", platform_id="agt_old/api:ann/main", at_ms=NOW_MS + 1)),
    ("not_found", RemoveWiring(agent=OLD, wiring=WiringId("wir_room"))),
    # Access.
    ("invalid", GiveRole(principal=ANN, role=Role.OWNER, agent=BOB)),
    ("invalid", GiveRole(principal=PrincipalId("ann"), role=Role.MEMBER)),
    ("invalid", GiveRole(principal=PrincipalId("agent:agt_bob"), role=Role.MEMBER)),
    ("invalid", GiveRole(principal=PrincipalId("api:a\nb"), role=Role.MEMBER)),
    ("not_found", TakeRole(principal=CAL, role=Role.MEMBER)),
    ("not_found", SetStrangers(channel="web", platform_id="no", policy=UnknownSender.ASK)),
    ("conflict", LinkPerson(principal=ANN, same_as=ANN)),
    # Mounts.
    ("forbidden", AddMount(agent=BOB, name="etc", path="/etc/ssl")),
    ("forbidden", AddMount(agent=BOB, name="all", path="/srv/given")),
    ("forbidden", AddMount(agent=BOB, name="own", path="/srv/given/house")),
    ("forbidden", AddMount(agent=BOB, name="own", path="/srv/given/house/in")),
    ("invalid", AddMount(agent=BOB, name="up", path="/srv/given/../../etc")),
    ("invalid", AddMount(agent=BOB, name="up", path="//srv/given/papers")),
    ("invalid", AddMount(agent=BOB, name="up", path="/srv/given/papers/")),
    ("invalid", AddMount(agent=BOB, name="up", path="srv/given/papers")),
    ("not_found", AddMount(agent=BOB, name="no", path="/srv/given/nothing")),
    ("conflict", AddMount(agent=BOB, name="notes", path=PAPERS)),
    # Limits.
    ("conflict", SetLimits(agent=BOB)),
    ("conflict", SetLimits(agent=BOB, pids=64)),
    ("conflict", SetLimits(agent=BOB, unlimited=("turn_s",))),
    ("invalid", SetLimits(agent=BOB, memory_bytes=1)),
    ("invalid", SetLimits(agent=BOB, memory_bytes=2**50)),
    ("invalid", SetLimits(agent=BOB, cpu_millis=0)),
    ("invalid", SetLimits(agent=BOB, pids=7)),
    ("invalid", SetLimits(agent=BOB, files=31)),
    ("invalid", SetLimits(agent=BOB, file_bytes=1)),
    ("invalid", SetLimits(agent=BOB, disk_bytes=1)),
    ("invalid", SetLimits(agent=BOB, disk_files=1)),
    ("invalid", SetLimits(agent=BOB, pool_size=65)),
    ("invalid", SetLimits(agent=BOB, max_steps=0)),
    ("invalid", SetLimits(agent=BOB, turn_s=1)),
    ("invalid", SetLimits(agent=BOB, turn_s=60, unlimited=("turn_s",))),
    ("invalid", SetLimits(agent=BOB, unlimited=("turn_s", "turn_s"))),
    # Tasks.
    ("invalid", task()),
    ("invalid", task(cron="0 7 * * *", at_ms=NOW_MS + 1)),
    ("invalid", task(cron="soon")),
    ("invalid", task(cron="0 7 * * *", zone="Mars/Base")),
    ("invalid", task(at_ms=NOW_MS)),
    ("invalid", task(at_ms=2**53)),
    ("conflict", task(name="daily", at_ms=NOW_MS + 1)),
    ("conflict", task(platform_id="lone", at_ms=NOW_MS + 1)),
    # Agents and sessions.
    ("conflict", CreateAgent(name="bob")),
    ("invalid", CreateAgent(name="eve", tools=("shell",))),
    ("invalid", CreateAgent(name="eve", tools=("clock", "clock"))),
    ("invalid", CreateAgent(name="eve", model="nobody")),
    ("not_found", ForgetSession(agent=OLD, session=SESSION)),
)


@pytest.mark.parametrize(("code", "spec"), REFUSED)
def test_what_makes_no_sense_is_refused_with_a_way_on(code: str, spec: Spec) -> None:
    with pytest.raises(IronClawError) as caught:
        spec.check(World().of(spec))

    assert caught.value.code == code
    assert caught.value.hint


# --- what depends on the world --------------------------------------------------------------------


def refused(spec: Spec, world: World) -> str:
    with pytest.raises(IronClawError) as caught:
        spec.check(world.of(spec))
    return caught.value.code.value


def test_no_house_grows_without_end() -> None:
    world = World()
    world.change(
        destinations=tuple(
            Destination(name=f"d{n}", channel="web", platform_id=str(n))
            for n in range(MAX_DESTINATIONS)
        ),
        mounts=tuple(
            SharedMount(name=f"m{n}", path=f"/srv/given/{n}", device=8, inode=n)
            for n in range(MAX_MOUNTS)
        ),
    )
    crowded = world.of(CreateAgent(name="eve"))._replace(agents=1000)
    busy = world.of(task(at_ms=NOW_MS + 1))._replace(tasks=MAX_TASKS)

    for spec, live in (
        (AddDestination(agent=BOB, name="mum", channel="web", platform_id="x"), None),
        (AddMount(agent=BOB, name="papers", path=PAPERS), None),
        (CreateAgent(name="eve"), crowded),
        (task(at_ms=NOW_MS + 1), busy),
    ):
        with pytest.raises(IronClawError) as caught:
            spec.check(live or world.of(spec))
        assert caught.value.code == "conflict"


def test_a_house_without_roots_shares_nothing_and_names_the_setting() -> None:
    world = World()
    world.house = HOUSE._replace(mount_roots=())
    spec = AddMount(agent=BOB, name="papers", path=PAPERS)

    with pytest.raises(IronClawError) as caught:
        spec.check(world.of(spec))

    assert caught.value.code == "forbidden"
    assert "gateway.mount_roots" in caught.value.hint


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"real": ""}, "not_found"),
        ({"real": "/etc"}, "invalid"),
        ({"is_dir": False}, "invalid"),
        ({"is_readable": False}, "invalid"),
    ],
)
def test_a_mount_is_a_directory_that_others_may_read(fields: dict[str, object], code: str) -> None:
    world = World()
    world.disk[PAPERS] = world.disk[PAPERS]._replace(**fields)  # type: ignore[arg-type]

    assert refused(AddMount(agent=BOB, name="papers", path=PAPERS), world) == code


def test_a_directory_that_has_the_house_in_it_is_not_shared() -> None:
    world = World()
    world.house = HOUSE._replace(own_dirs=("/srv/given/papers/state",))

    assert refused(AddMount(agent=BOB, name="papers", path=PAPERS), world) == "forbidden"


def test_a_mount_is_kept_with_the_directory_that_it_was() -> None:
    world = World()
    spec = AddMount(agent=BOB, name="papers", path=PAPERS)
    seen = spec.before(world.of(spec))
    world.apply(spec)

    assert world.agents[BOB].mounts[-1] == SharedMount(
        name="papers", path=PAPERS, device=8, inode=77
    )

    # Another directory under the same path is another state: an approval of this one is void.
    fresh = World()
    fresh.disk[PAPERS] = HostDir(PAPERS, is_dir=True, device=8, inode=78, is_readable=True)
    assert spec.before(fresh.of(spec)) != seen


def test_a_directory_has_one_name_with_an_agent() -> None:
    """A box has each directory once: a second name would keep every box from starting."""
    world = World()
    world.apply(AddMount(agent=BOB, name="papers", path=PAPERS))

    assert refused(AddMount(agent=BOB, name="again", path=PAPERS), world) == "conflict"


def test_a_mount_is_taken_back_when_its_directory_is_gone() -> None:
    world = World()
    spec = AddMount(agent=BOB, name="papers", path=PAPERS)
    inverse = spec.inverse(world.of(spec), CHANGE)
    world.apply(spec)
    del world.disk[PAPERS]

    assert spec.way_back(world.of(spec), inverse) == inverse


def test_only_tools_that_really_changed_come_back() -> None:
    world = World()
    spec = SetTools(agent=BOB, add=("write_file", "clock"), remove=("read_file", "shell"))

    inverse = spec.inverse(world.of(spec), CHANGE)

    assert inverse == SetTools(agent=BOB, add=("read_file",), remove=("write_file",))


def test_what_is_left_of_given_tools_is_taken_and_nothing_comes_back() -> None:
    world = World()
    world.change(tools=("read_file",))
    spec = SetTools(agent=BOB, add=("write_file", "clock"), remove=("read_file",))
    inverse = spec.inverse(world.of(spec), CHANGE)
    world.apply(spec)
    world.apply(SetTools(agent=BOB, remove=("clock",)))

    way = spec.way_back(world.of(spec), inverse)

    assert way == SetTools(agent=BOB, remove=("write_file",))


def test_only_limits_that_were_raised_and_are_so_still_go_back() -> None:
    world = World()
    spec = SetLimits(agent=BOB, pids=128, files=512, cpu_millis=500)
    inverse = spec.inverse(world.of(spec), CHANGE)
    world.apply(spec)
    world.apply(SetLimits(agent=BOB, files=300))

    way = spec.way_back(world.of(spec), inverse)

    assert way == SetLimits(agent=BOB, pids=64)


@pytest.mark.parametrize(
    ("spec", "bearing"),
    [
        (SetLimits(agent=BOB, pids=65), Bearing.WIDENS),
        (SetLimits(agent=BOB, pids=63), Bearing.NARROWS),
        (SetLimits(agent=BOB, pids=63, files=257), Bearing.WIDENS),
        (SetLimits(agent=BOB, tokens_per_day=10), Bearing.NARROWS),
        (SetLimits(agent=BOB, turn_s=60), Bearing.WIDENS),
        (SetTools(agent=BOB, add=("clock",), remove=("read_file",)), Bearing.NARROWS),
    ],
)
def test_a_raise_widens_and_the_rest_narrows(spec: Spec, bearing: Bearing) -> None:
    assert spec.bearing(World().of(spec)) is bearing


def test_a_limit_that_is_lifted_widens() -> None:
    world = World()
    world.change(calls_per_day=5)
    spec = SetLimits(agent=BOB, unlimited=("calls_per_day",))

    assert spec.bearing(world.of(spec)) is Bearing.WIDENS
    assert spec.after(world.of(spec)) == {"model calls in a day": "no limit"}


def test_the_rule_for_strangers_of_a_chat_with_other_agents_is_asked_for_by_itself() -> None:
    world = World()
    spec = AddWiring(
        agent=AgentId("agt_eve"),
        channel=ROOM[0],
        platform_id=ROOM[1],
        strangers=UnknownSender.PUBLIC,
    )
    world.agents[spec.agent] = msgspec.structs.replace(world.agents[BOB], id=spec.agent)

    assert refused(spec, world) == "conflict"
    msgspec.structs.replace(spec, strangers=UnknownSender.DROP).check(world.of(spec))


def test_a_wiring_of_a_new_chat_may_say_what_happens_to_strangers() -> None:
    world = World()
    spec = AddWiring(agent=BOB, channel="web", platform_id="new", strangers=UnknownSender.PUBLIC)
    world.apply(spec)

    assert world.chats["web", "new"].unknown_sender is UnknownSender.PUBLIC
    assert spec.before(world.of(spec))["unknown senders"] == "public"


def test_a_wiring_is_taken_back_whatever_became_of_its_chat() -> None:
    world = World()
    spec = AddWiring(agent=BOB, channel="web", platform_id="new")
    inverse = spec.inverse(world.of(spec), CHANGE)
    world.apply(spec)
    world.apply(SetStrangers(channel="web", platform_id="new", policy=UnknownSender.PUBLIC))

    assert spec.way_back(world.of(spec), inverse) == inverse
    world.wirings = {
        WiringId("wir_x"): Wiring(id=WiringId("wir_x"), chat=ChatId("cht_x"), agent=BOB)
    }
    assert spec.way_back(world.of(spec), inverse) is None


def test_the_last_owner_stays_one() -> None:
    world = World()
    world.standings.discard(Standing(principal=OWNER_TOO, role=Role.OWNER))
    given = GiveRole(principal=DESK, role=Role.OWNER)

    assert refused(TakeRole(principal=DESK, role=Role.OWNER), world) == "conflict"
    inverse = TakeRole(principal=DESK, role=Role.OWNER)
    assert given.way_back(world.of(given), inverse) is None


def test_a_linked_principal_is_not_linked_again() -> None:
    world = linked()

    assert refused(LinkPerson(principal=CAL, same_as=DESK), world) == "conflict"
    assert refused(LinkPerson(principal=CAL, same_as=ANN), world) == "conflict"


def test_links_name_the_one_who_stands_for_the_person() -> None:
    """Taken back, another link would leave one of them behind: one person would become two."""
    world = linked()
    assert refused(LinkPerson(principal=ANN, same_as=DESK), world) == "conflict"
    assert refused(LinkPerson(principal=DESK, same_as=CAL), world) == "conflict"

    world.apply(LinkPerson(principal=DESK, same_as=ANN))
    assert world.person(DESK) == world.person(CAL) == ANN
    world.apply(UnlinkPerson(principal=DESK))
    assert (world.person(DESK), world.person(CAL)) == (DESK, ANN)


@pytest.mark.parametrize(
    ("spec", "roles"),
    [
        (GiveRole(principal=ANN, role=Role.OWNER), {"owner"}),
        (TakeRole(principal=ANN, role=Role.OWNER), {"owner"}),
        (GiveRole(principal=ANN, role=Role.ADMIN), {"owner"}),
        (GiveRole(principal=ANN, role=Role.ADMIN, agent=BOB), {"owner", "admin", "approver"}),
        (GiveRole(principal=ANN, role=Role.MEMBER), {"owner", "admin", "approver"}),
    ],
)
def test_owners_alone_make_owners_and_global_admins(spec: Spec, roles: set[str]) -> None:
    assert {role.value for role in spec.deciders_for()} == roles


def test_an_ended_agent_still_loses_people_and_wirings() -> None:
    world = World()
    world.change(archived=True)

    for spec in (
        TakeRole(principal=CAL, role=Role.MEMBER, agent=BOB),
        RemoveWiring(agent=BOB, wiring=WiringId("wir_room")),
        ForgetSession(agent=BOB, session=SESSION),
    ):
        spec.check(world.of(spec))


def test_an_agent_whose_name_is_taken_does_not_come_back() -> None:
    world = World()
    world.change(name="old")
    spec = RestoreAgent(agent=OLD)

    with pytest.raises(UserError) as caught:
        spec.check(world.of(spec))

    assert caught.value.code is Code.CONFLICT
    assert "`ironclaw agent archive old`" in caught.value.hint
    assert f"`ironclaw agent restore {OLD}`" in caught.value.hint


@pytest.mark.parametrize(("scope", "heard"), [(SenderScope.ALL, "yes"), (SenderScope.KNOWN, "no")])
def test_a_wiring_says_that_strangers_reach_the_agent_where_they_were_let_in_before(
    scope: SenderScope, heard: str
) -> None:
    world = World()
    place = ("web", "open")
    world.chats[place] = Chat(
        id=ChatId("cht_open"),
        channel=place[0],
        platform_id=place[1],
        unknown_sender=UnknownSender.PUBLIC,
    )
    spec = AddWiring(agent=BOB, channel=place[0], platform_id=place[1], sender_scope=scope)
    live = world.of(spec)
    label = "unknown senders reach the agent"

    assert (spec.before(live)[label], spec.after(live)[label]) == (None, heard)


def test_an_agent_reaches_chats_that_people_have_with_it() -> None:
    world = World()
    own = f"{BOB}/api:ann/main"
    for spec in (
        AddWiring(agent=BOB, channel="api", platform_id=own),
        AddDestination(agent=BOB, name="ann", channel="api", platform_id=own),
        AddWiring(agent=BOB, channel="api", platform_id="room"),
        AddDestination(agent=BOB, name="room", channel="telegram", platform_id="agt_old/x"),
    ):
        spec.check(world.of(spec))


def test_who_brings_an_agent_back_sees_all_that_it_has_again() -> None:
    world = World()
    spec = RestoreAgent(agent=BOB)
    for archived in (True, False):
        world.change(archived=archived)
        before, after = spec.before(world.of(spec)), spec.after(world.of(spec))
        assert before.keys() == after.keys()
        assert (before == after) is not archived
        assert after["persona"] == "You help."
        assert after["tools"] == ["clock", "read_file"]
        assert after["may send to"] == ["team: telegram, 9"]
        assert after["sees directories"] == ["notes: /srv/given/notes"]
        assert (before["persona"] is None) is archived


# --- policies -------------------------------------------------------------------------------------

TOO_MUCH = (
    Policy(automatic=(AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW),)),
    Policy(automatic=(AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.WIDENS),)),
    Policy(
        automatic=(AutoRule(topic=Topic.PERSONA, verdict=Verdict.ALLOW, bearing=Bearing.ALTERS),)
    ),
    Policy(
        automatic=(AutoRule(topic=Topic.AGENTS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS),)
    ),
    Policy(automatic=(AutoRule(topic=Topic.POLICY, verdict=Verdict.DENY),)),
    Policy(approvers=(ApproverRule(topic=Topic.TOOLS), ApproverRule(topic=Topic.TOOLS))),
    Policy(approvers=(ApproverRule(topic=Topic.TOOLS, proofs=(Proof.PASSKEY,)),)),
    Policy(approver_channels=("telegram",)),
    # No owner comes by a channel that vouches for them.
    Policy(approvers=(ApproverRule(topic=Topic.POLICY, proofs=(Proof.CHANNEL, Proof.PASSKEY)),)),
    # A name, where an id belongs, would deny nothing.
    Policy(automatic=(AutoRule(topic=Topic.TOOLS, verdict=Verdict.DENY, agent="bob"),)),
)


@pytest.mark.parametrize("policy", TOO_MUCH)
def test_no_policy_gives_away_or_shuts_out(policy: Policy) -> None:
    assert refused(SetPolicy(policy=policy), World()) in {"invalid", "conflict"}


def test_two_owners_can_be_needed_only_where_there_are_two_persons() -> None:
    world = World()
    spec = SetPolicy(policy=Policy(approvers=(ApproverRule(topic=Topic.POLICY, people=2),)))
    spec.check(world.of(spec))

    world.persons[OWNER_TOO] = DESK

    assert refused(spec, world) == "conflict"


def agreed(people: int = 2) -> World:
    """One in which so many of its two owners have to agree on another policy."""
    world = World()
    world.policy = Policy(approvers=(ApproverRule(topic=Topic.POLICY, people=people),))
    return world


def test_enough_owners_stay_to_change_the_policy() -> None:
    take = TakeRole(principal=OWNER_TOO, role=Role.OWNER)
    link = LinkPerson(principal=OWNER_TOO, same_as=DESK)
    give = GiveRole(principal=OWNER_TOO, role=Role.OWNER)
    for spec in (take, link):
        spec.check(agreed(1).of(spec))
        assert refused(spec, agreed()) == "conflict"
    assert give.way_back(agreed(1).of(give), take) == take
    assert give.way_back(agreed().of(give), take) is None


def test_an_owner_stays_on_the_channels_that_decide() -> None:
    world = World()
    world.standings.add(Standing(principal=CAL, role=Role.OWNER))
    world.policy = Policy(approver_channels=("telegram",))

    assert refused(TakeRole(principal=CAL, role=Role.OWNER), world) == "conflict"
    spec = TakeRole(principal=DESK, role=Role.OWNER)
    spec.check(world.of(spec))


def test_a_policy_may_be_solo_and_want_two_persons() -> None:
    policy = Policy(
        solo=True,
        approvers=(ApproverRule(topic=Topic.MOUNTS, people=2),),
        automatic=(
            AutoRule(topic=Topic.TOOLS, verdict=Verdict.ALLOW, bearing=Bearing.NARROWS),
            AutoRule(topic=Topic.MOUNTS, verdict=Verdict.DENY, agent="agt_bob"),
        ),
    )
    spec = SetPolicy(policy=policy)

    spec.check(World().of(spec))


def test_every_part_of_a_policy_is_in_its_state() -> None:
    world = World()
    shown = SetPolicy(policy=Policy()).before(world.of(SetPolicy(policy=Policy())))

    assert len(shown) == len(Policy.__struct_fields__)
