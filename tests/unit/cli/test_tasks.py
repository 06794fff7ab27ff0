"""`ironclaw task`: what it asks for, and how tasks are shown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.core.ids import TaskId
from ironclaw.domain.model import Task

if TYPE_CHECKING:
    from ironclaw.testing.fake_house import FakeHouse


def keep(house: FakeHouse, **fields: Any) -> Task:
    agent = house.add_agent("helper")
    task = Task(
        id=TaskId("tsk_a"), agent=agent.id, name="report", channel="api", platform_id="x",
        prompt="report", **fields,
    )  # fmt: skip
    house.setting.tasks[task.id] = task
    return task


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"cron": "0 7 * * *", "zone": "Europe/Vienna"}, "0 7 * * * Europe/Vienna"),
        ({"every_s": 900}, "every 900 s"),
        ({"at_ms": 1_800_000_000_000}, "once"),
        ({"every_s": 60, "paused": True}, "paused"),
    ],
)
def test_a_list_says_when(cli: Any, house: FakeHouse, fields: Any, expected: str) -> None:
    keep(house, **fields)
    status, out, _ = cli("task", "list")
    assert status == 0
    assert expected in out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--every", "900", "--quiet"], {"every_s": 900, "quiet": True}),
        (["--every", "15m", "--late", "8h"], {"every_s": 900, "late_s": 28_800}),
        (["--loud", "--misfire", "skip"], {"quiet": False, "misfire": "skip"}),
        (["--late", "600", "--prompt", "other"], {"late_s": 600, "prompt": "other"}),
        (["--cron", "0 8 * * *", "--zone", "Asia/Tokyo"], {"cron": "0 8 * * *",
                                                            "zone": "Asia/Tokyo"}),
        (["--at", "2027-06-01T08:30", "--zone", "Europe/Vienna"],
         {"at_ms": 1_811_831_400_000, "zone": "Europe/Vienna"}),
    ],
)  # fmt: skip
def test_an_update_names_what_changes_and_nothing_else(
    cli: Any, house: FakeHouse, words: list[str], expected: dict[str, Any]
) -> None:
    task = keep(house, cron="0 7 * * *")
    status, out, err = cli("task", "update", "helper", "report", *words, "--json")
    assert status == 0, err
    spec = json.loads(out)["row"]["change"]["spec"]
    given = {key: value for key, value in spec.items() if value is not None}
    assert given == {"kind": "task.update", "agent": task.agent, "name": "report"} | expected


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_pause_and_resume_are_changes(cli: Any, house: FakeHouse, verb: str) -> None:
    keep(house, every_s=60, paused=verb == "resume")
    status, out, err = cli("task", verb, "helper", "report", "--json")
    assert status == 0, err
    assert json.loads(out)["row"]["change"]["spec"]["kind"] == f"task.{verb}"


def test_a_task_is_done_now(cli: Any, house: FakeHouse) -> None:
    keep(house, every_s=60)
    status, out, _ = cli("task", "run", "helper", "report")
    assert (status, out[:25]) == (0, "helper has been told: rep")
    status, _, err = cli("task", "run", "helper", "none")
    assert status == 4
    assert "no such task" in err


def test_another_agent_is_a_destination(cli: Any, house: FakeHouse) -> None:
    agent = house.add_agent("helper")
    house.add_agent("clerk")
    words = ("agent", "destination", "helper", "clerk", "--to-agent", "clerk", "--json")
    status, out, err = cli(*words)
    assert status == 0, err
    spec = json.loads(out)["row"]["change"]["spec"]
    assert spec == {
        "kind": "destination.add", "agent": agent.id, "name": "clerk", "channel": "agent",
        "platform_id": "clerk",
    }  # fmt: skip


def test_a_pause_may_be_for_a_time(cli: Any, house: FakeHouse) -> None:
    keep(house, every_s=60)
    assert cli("policy", "set", "solo", "on", "--yes")[0] == 0
    words = ("task", "pause", "helper", "report", "--for", "8h", "--yes", "--json")
    status, out, err = cli(*words)
    assert status == 0, (out, err)
    row = json.loads(out)["row"]
    assert row["status"] == "done"
    assert row["grant"]["expires_ms"] == row["grant"]["given_ms"] + 8 * 3_600_000
