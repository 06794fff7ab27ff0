"""An agent asks for changes of itself, in the strict words of the gateway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.domain.change import Asker, Status
from ironclaw.domain.changes.agents import CreateAgent
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.changes.skills import AddSkill
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.changes.task_edits import UpdateTask
from ironclaw.domain.changes.tasks import AddTask
from ironclaw.domain.changes.tools import SetTools
from ironclaw.services.host_tools.asking import KINDS
from ironclaw.services.host_tools.service import ASKED_PER_HOUR
from ironclaw.services.host_tools.tool import principal_of
from ironclaw.testing.fakes_running import kept_skill

if TYPE_CHECKING:
    from tests.unit.services.host_tools.conftest import Desk

WISH = {"change": {"kind": "tools", "add": ["write_file"]}, "reason": "to keep notes"}


async def test_a_request_is_about_the_agent_that_asks_and_waits_for_a_person(desk: Desk):
    used = await desk.use("request_change", {**WISH, "for_s": 3600})
    (change,) = desk.gateway.asked
    assert change.spec == SetTools(agent=desk.agent.id, add=("write_file",))
    assert change.asker == Asker(
        principal=principal_of(desk.agent.id), agent=desk.agent.id, session=desk.talk.session
    )
    assert (change.reason, change.grant_s) == ("to keep notes", 3600)
    assert (used.call, used.is_error) == (3, False)
    assert used.text.startswith(f"asked: {change.id}. A person decides")


@pytest.mark.parametrize("me", ["id", "name"])
async def test_it_may_name_itself(desk: Desk, me: str):
    change = {"kind": "persona", "persona": "kind", "agent": getattr(desk.agent, me)}
    used = await desk.use("request_change", {"change": change, "reason": "r"})
    assert not used.is_error
    assert desk.gateway.asked[0].spec == SetPersona(agent=desk.agent.id, persona="kind")


@pytest.mark.parametrize("other", ["agt_other", "other", "", None, 5, ["agt_a"], "HELPER"])
async def test_it_may_not_name_anybody_else(desk: Desk, other: object):
    change = {"kind": "persona", "persona": "evil", "agent": other}
    used = await desk.use("request_change", {"change": change, "reason": "r"})
    assert used.is_error
    assert "yourself only" in used.text
    assert desk.gateway.asked == []


async def test_a_name_given_twice_has_one_meaning(desk: Desk):
    text = (
        '{"change":{"kind":"persona","persona":"x","agent":"%s","agent":"agt_other"},"reason":"r"}'
    )
    used = await desk.use("request_change", text % desk.agent.id)
    assert used.is_error
    other_way = text.replace("agt_other", "%s").replace('"agent":"%s"', '"agent":"agt_other"', 1)
    used = await desk.use("request_change", other_way % desk.agent.id, key="k2")
    assert not used.is_error
    assert [one.spec.agent_id for one in desk.gateway.asked] == [desk.agent.id]


async def test_it_may_ask_for_another_agent_to_be_made(desk: Desk):
    change = {"kind": "agent.create", "name": "scout", "persona": "look"}
    assert not (await desk.use("request_change", {"change": change, "reason": "r"})).is_error
    assert desk.gateway.asked[0].spec == CreateAgent(name="scout", persona="look")


TASK = {"kind": "task.add", "name": "report", "prompt": "report!", "cron": "0 9 * * *"}


async def test_a_task_is_for_the_chat_that_it_is_asked_for_in(desk: Desk):
    used = await desk.use("request_change", {"change": TASK, "reason": "r"})
    assert not used.is_error, used.text
    spec = desk.gateway.asked[0].spec
    assert isinstance(spec, AddTask)
    assert (spec.channel, spec.platform_id) == ("api", desk.talk.chat.platform_id)
    other = TASK | {"channel": "api", "platform_id": "elsewhere"}
    await desk.use("request_change", {"change": other, "reason": "r"}, key="k2")
    spec = desk.gateway.asked[1].spec
    assert isinstance(spec, AddTask)
    assert spec.platform_id == "elsewhere"
    half = TASK | {"platform_id": "elsewhere"}
    used = await desk.use("request_change", {"change": half, "reason": "r"}, key="k3")
    assert "`channel`" in used.text


@pytest.mark.parametrize(
    ("at", "zone", "at_ms"),
    [
        ("2027-03-28T09:00", "Europe/Oslo", 1_806_217_200_000),
        ("2027-03-27T09:00", "Europe/Oslo", 1_806_134_400_000),
        ("2027-03-27T08:00:00Z", None, 1_806_134_400_000),
        ("2027-03-27T08:00", None, 1_806_134_400_000),
    ],
)
@pytest.mark.parametrize("kind", ["task.add", "task.update"])
async def test_a_time_may_be_written_as_people_do(
    desk: Desk, kind: str, at: str, zone: str | None, at_ms: int
):
    change = {"kind": kind, "name": "cake", "prompt": "cake!", "at": at}
    change |= {} if zone is None else {"zone": zone}
    used = await desk.use("request_change", {"change": change, "reason": "r"})
    assert not used.is_error, used.text
    spec = desk.gateway.asked[0].spec
    assert isinstance(spec, AddTask | UpdateTask)
    assert spec.at_ms == at_ms


@pytest.mark.parametrize(
    "change",
    [
        {"at": "soon"},
        {"at": 5},
        {"at": "2027-03-28T09:00", "zone": "Nowhere"},
        {"at": "2027-03-28T09:00", "zone": 5},
        {"at": "2027-03-28T09:00", "at_ms": 5},
        {"at": "0001-01-01T00:00+23:00"},
        {"at": "1900-01-01T00:00"},
    ],
)
async def test_a_time_that_is_none_is_refused_in_words(desk: Desk, change: dict[str, object]):
    task = {"kind": "task.add", "name": "cake", "prompt": "cake!"} | change
    used = await desk.use("request_change", {"change": task, "reason": "r"})
    assert used.is_error
    assert desk.gateway.asked == []


@pytest.mark.parametrize("turn", ["msg_nobody", "x'y"])
async def test_a_task_asked_for_in_no_turn_is_for_no_chat(desk: Desk, turn: str):
    used = await desk.use("request_change", {"change": TASK, "reason": "r"}, turn=turn)
    assert used.is_error
    assert desk.gateway.asked == []


@pytest.mark.parametrize("kind", sorted(set(SPECS) - set(KINDS)))
async def test_what_is_for_people_cannot_be_asked_for(desk: Desk, kind: str):
    change = {"kind": kind, "agent": desk.agent.id}
    used = await desk.use("request_change", {"change": change, "reason": "r"})
    assert used.is_error
    assert used.text.startswith("forbidden:")
    assert all(known in used.text for known in KINDS)
    assert desk.gateway.asked == []


def test_rights_of_people_the_policy_and_wirings_are_for_people():
    assert set(SPECS) - set(KINDS) >= {"role.give", "policy", "wiring.add", "person.link"}


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"change":5,"reason":"r"}',
        '{"change":{},"reason":"r"}',
        '{"change":{"kind":5},"reason":"r"}',
        '{"change":{"kind":"tools","add":"write_file"},"reason":"r"}',
        '{"change":{"kind":"tools","ad":[]},"reason":"r"}',
        '{"change":{"kind":"tools"},"reason":""}',
        '{"change":{"kind":"tools"},"reason":"r","for_s":0}',
        '{"change":{"kind":"tools"},"reason":"r","despite":"chg_1"}',
        '{"change":{"kind":"tools"},"reason":"r"} {}',
        '{"change":' + "[" * 9000 + "]" * 9000 + ',"reason":"r"}',
        '{"change":{"kind":"persona","persona":"\ud800"},"reason":"r"}',
        '{"change":{"kind":"destination.add","name":"A B","channel":"api"},"reason":"r"}',
    ],
)
async def test_what_is_not_exactly_a_request_is_refused(desk: Desk, arguments: str):
    used = await desk.use("request_change", arguments)
    assert used.is_error
    assert desk.gateway.asked == []
    assert "\n" not in used.text
    assert len(used.text) < 1000


@pytest.mark.parametrize("status", list(Status))
async def test_the_answer_says_what_became_of_it(desk: Desk, status: Status):
    desk.gateway.status = status
    used = await desk.use("request_change", WISH)
    assert not used.is_error
    assert "chg_0" in used.text


async def test_a_refusal_of_the_gateway_is_passed_on_in_its_words(desk: Desk):
    desk.gateway.fails = PolicyError(
        Code.DENIED, "That was denied before: chg_7.", hint="`ironclaw change show chg_7`."
    )
    used = await desk.use("request_change", WISH)
    assert used.is_error
    assert used.text == "denied: That was denied before: chg_7."


async def test_a_failing_host_says_nothing_of_itself(desk: Desk):
    desk.gateway.fails = HostError(
        Code.STORE_FAILED, "/var/lib/secret/store.db failed.", hint="h", detail="d"
    )
    used = await desk.use("request_change", WISH)
    assert used.is_error
    assert used.text == "store_failed: that does not work at the moment. Try again later"


async def test_what_is_wrong_with_a_directory_of_the_host_is_not_told(desk: Desk):
    change = {"kind": "mount.add", "name": "etc", "path": "/etc/secret"}
    answers = set()
    for key, message in enumerate(["/etc/secret is no directory.", "It leads to /srv/x."]):
        desk.gateway.fails = UserError(Code.INVALID, message, hint="Look at /srv/x.")
        used = await desk.use("request_change", {"change": change, "reason": "r"}, key=f"k{key}")
        assert used.is_error
        answers.add(used.text)
    assert len(answers) == 1
    assert "/" not in answers.pop()


async def test_nobody_else_is_named(desk: Desk):
    desk.gateway.fails = UserError(
        Code.CONFLICT, f"agt_other in ses_other and {desk.agent.id}.", hint="x"
    )
    used = await desk.use("request_change", WISH)
    assert used.text == f"conflict: (somebody) in (somebody) and {desk.agent.id}. x"


# --- again ----------------------------------------------------------------------------------------


async def test_the_same_use_put_again_is_the_same_change(desk: Desk):
    first = await desk.use("request_change", WISH)
    desk.gateway.status = Status.DENIED
    assert await desk.use("request_change", WISH) == first
    assert len(desk.gateway.asked) == 1


async def test_after_a_restart_it_is_the_same_change_too(desk: Desk):
    first = await desk.use("request_change", WISH)
    assert await desk.again().use("request_change", WISH) == first
    assert len(desk.gateway.asked) == 1


async def test_two_at_once_are_one(desk: Desk):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(desk.use("request_change", WISH)) for _ in range(2)]
    assert len({task.result() for task in tasks}) == 1
    assert len(desk.gateway.asked) == 1


async def test_a_use_of_another_session_is_another_one(desk: Desk):
    first = await desk.use("request_change", WISH)
    other = await desk.core.begin(name="other", place="elsewhere")
    agent = await desk.core.registry.agent(other.agent.id)
    await desk._replace(talk=other).become(tools=("request_change",))
    assert agent.id != desk.agent.id
    second = await desk._replace(talk=other).use("request_change", WISH)
    assert first.text != second.text
    assert len(desk.gateway.asked) == 2


async def test_how_often_an_agent_may_ask_is_limited(desk: Desk):
    for number in range(ASKED_PER_HOUR):
        wish = {"change": {"kind": "persona", "persona": str(number)}, "reason": "r"}
        assert not (await desk.use("request_change", wish, key=f"k{number}")).is_error
    used = await desk.use("request_change", WISH, key="over")
    assert used.is_error
    assert used.text.startswith("rate_limited:")
    desk.clock.advance(3600)
    assert not (await desk.use("request_change", WISH, key="later")).is_error


# --- taking back ----------------------------------------------------------------------------------


async def test_it_takes_its_own_request_back(desk: Desk):
    await desk.use("request_change", WISH)
    used = await desk.use("withdraw_change", {"change": "chg_0"})
    assert not used.is_error
    assert desk.gateway.withdrawn == ["chg_0"]


async def test_one_that_is_not_its_own_is_not_there(desk: Desk):
    used = await desk.use("withdraw_change", {"change": "chg_9"})
    assert used.is_error
    assert used.text.startswith("not_found:")


@pytest.mark.parametrize("change", ["", "chg_", "agt_a", "chg_a\n", "chg_A", "chg_" + "a" * 80, 4])
async def test_what_is_no_id_is_refused(desk: Desk, change: object):
    assert (await desk.use("withdraw_change", {"change": change})).is_error
    assert desk.gateway.withdrawn == []


async def test_long_requests_count_as_several(desk: Desk):
    """What is asked for is kept for good: nobody fills the disk with personas."""
    taken = 0
    while True:
        change = {"kind": "persona", "persona": f"{taken} " + "x" * 60_000}
        used = await desk.use("request_change", {"change": change, "reason": "r"}, key=f"k{taken}")
        if used.is_error:
            break
        taken += 1
    assert used.text.startswith("rate_limited:")
    assert taken == len(desk.gateway.asked) == ASKED_PER_HOUR // 15


async def test_a_skill_is_asked_for_by_its_name_and_approved_by_its_digest(desk: Desk):
    change = {"kind": "skill.add", "name": "birds"}
    used = await desk.use("request_change", {"change": change, "reason": "r"})
    assert not used.is_error
    digest = kept_skill().digest
    assert desk.gateway.asked[0].spec == AddSkill(agent=desk.agent.id, name="birds", digest=digest)


@pytest.mark.parametrize("name", ["fish", "", None, 5, ["birds"], "../birds"])
async def test_a_skill_that_was_not_imported_cannot_be_asked_for(desk: Desk, name: object):
    change = {"kind": "skill.add", "name": name}
    used = await desk.use("request_change", {"change": change, "reason": "r"})
    assert used.is_error
    assert "not_found" in used.text
    assert desk.gateway.asked == []
