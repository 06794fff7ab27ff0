"""A mistake is told in the words of the command line: the option, not the field of the API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.core.ids import TaskId
from ironclaw.domain.model import Task

if TYPE_CHECKING:
    from ironclaw.testing.fake_house import FakeHouse

_ADD = ("task", "add", "demo", "report", "Report.")
_LATER = ("--at", "2090-01-31T08:30")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ((*_ADD, "--every", "5"), "`--every` must be at least 60 seconds."),
        ((*_ADD, "--every", "5s"), "`--every` must be at least 60 seconds."),
        ((*_ADD, "--every", "often"), "'often' is no time."),
        ((*_ADD, "--every", "900", "--late", "5"), "`--late` must be at least 60 seconds."),
        ((*_ADD, "--every", "900", "--for", "5s"), "`--for` must be at least 60 seconds."),
        ((*_ADD, "--every", "900", "--chat", "x" * 300), "`--chat` must have at most 256 "),
        ((*_ADD, "--every", "900", "--cron", "0 7 * * *"), "`--cron`, `--every` and `--at`"),
        ((*_ADD, "--every", "900", *_LATER), "`--cron`, `--every` and `--at`"),
        (_ADD, "`--cron`, `--every` and `--at`"),
        ((*_ADD, "--at", "1960-01-31T08:30"), "The time of `--at` is over: 1960-01-31T08:30."),
        ((*_ADD, *_LATER), "2090-01-31 08:30:00.000+00:00, is over or more than ten years ahead"),
        (("task", "add", "demo", "A_B", "x", "--every", "900"), "`TASK` must be a name of"),
        (("task", "update", "demo", "report", "--every", "5"), "`--every` must be at least 60"),
        (("task", "update", "demo", "report", "--chat", "desk"), "`--channel` is missing"),
        (
            ("task", "update", "demo", "report", "--every", "900", *_LATER),
            "`--cron`, `--every` and `--at`",
        ),
        (("wiring", "create", "test", "x" * 300, "demo"), "`PLACE` must have at most 256 "),
        (("agent", "create", "new", "--pool-size", "65"), "`--pool-size` must be at most 64."),
        (("agent", "model", "demo", "a/b", "--max-output", "0"), "`--max-output` must be at least"),
        (("agent", "model", "demo", "a/b", "--temperature", "3"), "--temperature must be 0 to 2"),
        (("agent", "limits", "demo", "pids=9", "pids=none"), "A limit is named twice."),
        (("agent", "limits", "demo", "disk_bytes=99999999G"), "`disk_bytes` must be at"),
        (("agent", "archive", "demo", "--reason", "x" * 2001), "`--reason` must have at most"),
    ],
)
def test_an_option_is_named_as_it_was_typed(
    cli: Any, house: FakeHouse, argv: tuple[str, ...], told: str
) -> None:
    status, _out, err = cli(*argv)
    error = json.loads(cli(*argv, "--json")[1])["error"]

    assert status == 3
    assert told in err
    assert told in error["message"]
    assert error["code"] == "invalid"
    assert not {"every_s", "at_ms", "late_s", "platform_id", "change."} & set(err.split("`"))
    assert "milliseconds since 1970; " not in err
    assert "openapi" not in err


def test_the_next_step_is_the_help_of_the_very_command(cli: Any, house: FakeHouse) -> None:
    err = cli("--token-file", "task", "task", "add")[2]
    assert "openapi" not in err

    err = cli(*_ADD, "--every", "5")[2]

    assert "next: `ironclaw task add --help` shows what it takes." in err


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"every_s": 5}, "`change.every_s` must be at least 60 seconds"),
        ({}, "either a `cron`, or `every_s`, or one time `at_ms`"),
    ],
)
def test_fields_stay_fields_where_fields_were_typed(
    cli: Any, house: FakeHouse, spec: dict[str, Any], told: str
) -> None:
    whole = {"kind": "task.add", "agent": "demo", "name": "a", "channel": "api", "prompt": "x"}

    err = cli("change", "submit", json.dumps(whole | {"platform_id": "x"} | spec))[2]

    assert told in err


def test_an_option_beside_fields_is_an_option(cli: Any, house: FakeHouse) -> None:
    spec = json.dumps({"kind": "persona", "agent": "demo", "persona": "Brief."})

    assert "`--for` must be at least" in cli("change", "submit", spec, "--for", "5s")[2]


def test_a_word_that_is_an_argument_too_is_left_alone(cli: Any, house: FakeHouse) -> None:
    """`agent` is a channel here."""
    argv = ("agent", "destination", "demo", "peer", "--to-agent", "nobody")

    err = cli(*argv)[2]

    assert "AGENT`" not in err


def test_a_task_is_moved_to_a_chat_by_its_short_name(cli: Any, house: FakeHouse) -> None:
    agent = house.add_agent("helper")
    task = Task(
        id=TaskId("tsk_a"), agent=agent.id, name="report", channel="api", platform_id="x",
        prompt="report", every_s=900,
    )  # fmt: skip
    house.setting.tasks[task.id] = task
    assert cli("policy", "set", "solo", "on", "--yes")[0] == 0
    assert cli("wiring", "create", "api", "desk", "helper", "--yes")[0] == 0

    words = ("task", "update", "helper", "report", "--channel", "api", "--chat", "desk", "--json")
    spec = json.loads(cli(*words)[1])["row"]["change"]["spec"]

    assert (spec["channel"], spec["platform_id"]) == ("api", f"{agent.id}/api:cli/desk")
