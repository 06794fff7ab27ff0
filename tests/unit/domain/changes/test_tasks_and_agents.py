"""Changes of tasks, and agents as destinations: what they refuse, and how they are taken back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.unit.domain.changes.world import BOB, CHANGE, NOW_MS, OLD, PEER, ROOM, World, paused

from ironclaw.core.errors import IronClawError
from ironclaw.core.ids import ChangeId, TaskId
from ironclaw.domain.changes.base import Spec
from ironclaw.domain.changes.destinations import AddDestination, RemoveDestination
from ironclaw.domain.changes.task_edits import PauseTask, ResumeTask, UpdateTask
from ironclaw.domain.changes.tasks import AddTask, RemoveTask
from ironclaw.domain.changes.wiring import AddWiring
from ironclaw.domain.model import Misfire
from ironclaw.domain.summaries import summary

DAILY = TaskId("tsk_daily")


def update(**fields: Any) -> UpdateTask:
    return UpdateTask(agent=BOB, name="daily", **fields)


def new(**fields: Any) -> AddTask:
    return AddTask(
        agent=BOB, name="new", channel=ROOM[0], platform_id=ROOM[1], prompt="do it", **fields
    )


def code(spec: Spec, world: World | None = None) -> str:
    world = world or World()
    with pytest.raises(IronClawError) as refused:
        spec.check(world.of(spec))
    return str(refused.value.code)


# --- tasks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [{}, {"cron": "0 7 * * *", "every_s": 60}, {"every_s": 60, "at_ms": NOW_MS + 60_000}],
)
def test_a_task_has_exactly_one_way_to_say_when(when: dict[str, Any]) -> None:
    assert code(new(**when)) == "invalid"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (update(), "conflict"),
        (update(prompt="Say good morning."), "conflict"),
        (update(cron="0 7 * * *"), "conflict"),
        (update(channel=ROOM[0]), "invalid"),
        (update(cron="61 * * * *"), "invalid"),
        (update(zone="Atlantis/City"), "invalid"),
        (update(cron="0 7 * * *", every_s=60), "invalid"),
        (update(at_ms=NOW_MS - 1), "invalid"),
        (update(prompt="a\0b"), "invalid"),
        (update(channel="telegram", platform_id="lone"), "conflict"),
        (update(channel="agent", platform_id="a/b"), "forbidden"),
        (UpdateTask(agent=BOB, name="none", prompt="x"), "not_found"),
        (UpdateTask(agent=OLD, name="daily", prompt="x"), "conflict"),
        (PauseTask(agent=BOB, name="none"), "not_found"),
        (ResumeTask(agent=BOB, name="daily"), "conflict"),
        (RemoveTask(agent=BOB, name="daily", task=TaskId("tsk_other")), "not_found"),
    ],
)
def test_what_makes_no_sense_is_refused(spec: Spec, expected: str) -> None:
    assert code(spec) == expected


def test_one_that_is_paused_is_not_paused_again() -> None:
    assert code(PauseTask(agent=BOB, name="daily"), paused()) == "conflict"


@pytest.mark.parametrize("times", [{"every_s": 3600}, {"at_ms": NOW_MS + 60_000}])
def test_another_way_to_say_when_takes_the_place_of_the_first_and_back(
    times: dict[str, Any],
) -> None:
    world = World()
    before = world.tasks[DAILY]
    spec = update(**times, zone="Asia/Tokyo", misfire=Misfire.SKIP, late_s=60, quiet=True)
    back = spec.inverse(world.of(spec), CHANGE)
    world.apply(spec)
    after = world.tasks[DAILY]
    assert (after.cron, after.every_s, after.at_ms) == (
        None,
        times.get("every_s"),
        times.get("at_ms"),
    )
    assert back is not None
    world.apply(back)
    assert world.tasks[DAILY] == before


def test_a_card_shows_what_of_a_task_becomes_another() -> None:
    world = World()
    spec = update(every_s=900, quiet=True, misfire=Misfire.SKIP)
    live = world.of(spec)
    before, after = spec.before(live), spec.after(live)
    assert {key for key in before if before[key] != after[key]} == {
        "again and again",
        "time zone",
        "seconds from one time to the next",
        "a time that was missed",
        "too late after seconds",
        "with nothing to report",
    }


def test_a_task_ends_with_what_gave_it_though_it_was_changed_meanwhile() -> None:
    world = World()
    spec = new(every_s=60)
    inverse = spec.inverse(world.of(spec), CHANGE)
    world.apply(spec)
    world.apply(UpdateTask(agent=BOB, name="new", prompt="do it for ever"))
    world.apply(PauseTask(agent=BOB, name="new"))
    assert spec.way_back(world.of(spec), inverse) == inverse

    # But not another one that has its name by now.
    world.apply(RemoveTask(agent=BOB, name="new"))
    world.apply(spec, ChangeId("chg_two"))
    assert spec.way_back(world.of(spec), inverse) is None


# --- agents as destinations -----------------------------------------------------------------------


def to(peer: str, name: str = "friend") -> AddDestination:
    return AddDestination(agent=BOB, name=name, channel="agent", platform_id=peer)


@pytest.mark.parametrize("ref", ["peer", PEER])
def test_another_agent_is_kept_by_its_id(ref: str) -> None:
    world = World()
    world.apply(to(ref))
    assert world.agents[BOB].destinations[-1].platform_id == PEER
    assert code(to("peer"), world) == "conflict"
    assert not any(chat.channel == "agent" for chat in world.chats.values())


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("nobody", "not_found"), ("old", "not_found"), (OLD, "not_found"), ("bob", "invalid")],
)
def test_who_is_not_there_and_itself_are_no_destinations(peer: str, expected: str) -> None:
    assert code(to(peer)) == expected


def test_an_approval_is_of_the_very_agent_that_was_shown() -> None:
    world = World()
    spec = to("peer")
    before = spec.before(world.of(spec))
    assert before["other agent"] == f"peer ({PEER})"
    world.agents[OLD] = msgspec.structs.replace(world.agents[OLD], name="peer", archived=False)
    world.change(PEER, archived=True)
    assert spec.before(world.of(spec)) != before


def test_it_is_said_that_answers_come_back_and_are_foreign() -> None:
    assert "foreign content" in " ".join(to("peer").notices())
    assert AddDestination(agent=BOB, name="x", channel="web", platform_id="y").notices() == ()
    assert summary(to("peer"), agent="bob") == "bob: may write to the agent peer, as friend"


def test_taking_it_away_can_be_taken_back() -> None:
    world = World()
    world.apply(to("peer"))
    before = world.agents[BOB]
    spec = RemoveDestination(agent=BOB, name="friend")
    back = spec.inverse(world.of(spec), CHANGE)
    world.apply(spec)
    assert back is not None
    world.apply(back)
    assert world.agents[BOB] == before


def test_chats_of_agents_are_wired_to_nobody() -> None:
    assert code(AddWiring(agent=BOB, channel="agent", platform_id=f"{BOB}/{PEER}")) == "forbidden"
