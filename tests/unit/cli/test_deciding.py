"""`ironclaw approve` where a yes could not be carried out, or nothing is left to decide."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

if TYPE_CHECKING:
    from ironclaw.testing.fake_house import FakeHouse


@pytest.fixture
def solo(cli: Any, house: FakeHouse) -> FakeHouse:
    """A house whose one owner approves for themselves."""
    assert cli("policy", "set", "solo", "on", "--yes")[0] == 0
    return house


def _asked(cli: Any, *more: str) -> str:
    """Ask that the agent may write, and leave it at that."""
    view = json.loads(cli("agent", "tools", "demo", "--add", "send_message", *more, "--json")[1])
    name: str = view["row"]["change"]["id"]
    return name


def test_what_is_about_an_agent_that_has_ended_waits_and_says_so(cli: Any, solo: FakeHouse) -> None:
    name = _asked(cli)
    (agent,) = solo.setting.agents.values()
    solo.setting.agents[agent.id] = msgspec.structs.replace(agent, archived=True)

    status, out, err = cli("approve", name, "--yes")

    assert (status, out) == (5, "")
    assert "cannot be approved as things are. The agent demo has ended." in err
    assert f"ironclaw agent restore {agent.id}" in err
    assert f"ironclaw reject {name}" in err
    shown = "".join(cli("change", "show", name)[1:])
    assert "The agent demo has ended." in shown
    assert "Yours to decide" not in shown
    _status, out, err = cli("change", "list")
    assert f"{name}  pending" in out
    assert f"{name}. The agent demo has ended." in err
    assert cli("reject", name, "--yes")[0] == 0


def test_what_is_so_for_a_time_says_until_when_and_how_that_ends(cli: Any, solo: FakeHouse) -> None:
    name = _asked(cli)
    # Of more than that: else it would be the request that is there.
    added = ("--add", "send_message", "--add", "list_files", "--for", "8h")
    lent = json.loads(cli("agent", "tools", "demo", *added, "--yes", "--json")[1])
    grant = lent["row"]["grant"]["id"]

    shown = "".join(cli("change", "show", name)[1:])

    assert f"by the grant {grant}" in shown
    assert "Nothing would be different" not in shown
    assert "Yours to decide" not in shown
    status, _out, err = cli("approve", name, "--yes")
    assert status == 5
    assert f"ironclaw grant revoke {grant}" in err


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_what_has_come_true_is_told_with_nobody_there_too(
    cli: Any, solo: FakeHouse, more: tuple[str, ...]
) -> None:
    name = _asked(cli)
    added = ("--add", "send_message", "--add", "list_files")
    assert cli("agent", "tools", "demo", *added, "--yes")[0] == 0

    status, out, _err = cli("approve", name, *more)

    assert status == 0
    assert "come true already" in out


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_what_is_over_is_told_with_nobody_there_too(cli: Any, solo: FakeHouse, verb: str) -> None:
    name = _asked(cli, "--yes")

    status, _out, err = cli(verb, name)

    assert status == 5
    assert "waits for no decision: it is done" in err
    assert "Nobody is there" not in err
