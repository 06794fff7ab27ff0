"""`ironclaw agent template`, agents made from one, and personas altered part by part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.templates import template

if TYPE_CHECKING:
    from ironclaw.testing.fake_house import FakeHouse


@pytest.fixture
def solo(cli: Any, house: FakeHouse) -> FakeHouse:
    assert cli("policy", "set", "solo", "on", "--yes")[0] == 0
    return house


def agent(house: FakeHouse, name: str) -> Any:
    return next(one for one in house.setting.agents.values() if one.name == name)


def test_templates_are_listed_and_shown(cli: Any, house: FakeHouse) -> None:
    del house
    out = cli("agent", "template", "list")[1]
    assert all(name in out for name in ("editor", "household", "research", "tutor", "watch"))
    out = cli("agent", "template", "show", "watch")[1]
    assert "# Identity" in out
    assert "5 * * * *" in out
    shown = json.loads(cli("agent", "template", "show", "watch", "--json")[1])
    assert shown["persona"] == template("watch").persona
    assert cli("agent", "template", "show", "nobody")[0] == 4


def test_an_agent_is_made_with_limits_and_no_tasks_unasked(cli: Any, solo: FakeHouse) -> None:
    status, out, err = cli("agent", "create", "owl", "--template", "watch", "--yes", "--json")
    assert status == 0, err
    told = json.loads(out)
    kinds = [view["row"]["change"]["spec"]["kind"] for view in told["changes"]]
    assert kinds == ["agent.create", "limits"]
    assert any("owl" in ask for ask in told["ask_for"])
    made, one = agent(solo, "owl"), template("watch")
    assert (made.persona, made.tools) == (one.persona, one.tools)
    assert (made.max_steps, made.turn_s) == (one.limits.max_steps, one.limits.turn_s)
    assert solo.setting.tasks == {}


def test_one_that_waits_is_told_how_to_go_on(cli: Any, house: FakeHouse) -> None:
    del house
    status, _, err = cli("agent", "create", "owl", "--template", "watch", "--yes")
    assert status == 0
    assert "`ironclaw agent template apply owl watch --with-tasks`" in err
    err = cli("agent", "create", "fox", "--template", "editor", "--yes")[2]
    assert "`ironclaw agent template apply fox editor`" in err


def test_a_template_is_applied_to_an_agent_that_is_there(cli: Any, solo: FakeHouse) -> None:
    assert cli("agent", "template", "apply", "demo", "editor", "--yes")[0] == 0
    assert agent(solo, "demo").persona == template("editor").persona
    assert set(agent(solo, "demo").tools) >= set(template("editor").tools)


def test_what_is_so_already_is_left_out_and_the_rest_asked_for(cli: Any, solo: FakeHouse) -> None:
    _, _, err = cli("agent", "create", "owl", "--template", "watch", "--yes")
    assert "`ironclaw agent template apply owl watch --with-tasks`" in err
    assert cli("wiring", "create", "api", "main", "owl", "--yes")[0] == 0
    words = ("agent", "template", "apply", "owl", "watch", "--with-tasks", "--yes")

    status, out, err = cli(*words, "--json")
    assert status == 0, (out, err)
    kinds = [view["row"]["change"]["spec"]["kind"] for view in json.loads(out)["changes"]]
    assert kinds == ["task.add"] * len(template("watch").tasks)
    assert {one.name for one in solo.setting.tasks.values()} == {
        one.name for one in template("watch").tasks
    }

    status, out, err = cli(*words)
    assert status == 0
    assert "just that persona" in out
    assert "it stays as it is" in err


def test_any_other_conflict_ends_it(cli: Any, solo: FakeHouse) -> None:
    owl = ("agent", "create", "owl", "--template", "watch", "--yes")
    assert cli(*owl)[0] == 0
    assert cli("agent", "archive", "owl", "--yes")[0] == 0
    name = agent(solo, "owl").id
    assert cli("agent", "template", "apply", name, "watch", "--yes")[0] == 5


def test_a_template_has_its_own_persona(cli: Any, house: FakeHouse) -> None:
    del house
    words = ("agent", "create", "owl", "--template", "watch")
    assert cli(*words, "--persona", "x")[0] == 3
    assert cli(*words, "--tool", "clock")[0] == 3


def test_one_part_of_a_persona_is_altered_alone(cli: Any, solo: FakeHouse) -> None:
    assert cli("agent", "persona", "demo", "You help.", "--yes")[0] == 0
    assert cli("agent", "persona", "demo", "--soul", "You are brief.", "--yes")[0] == 0
    persona = agent(solo, "demo").persona
    assert persona == "# Identity\n\nYou help.\n\n# Soul\n\nYou are brief."
    assert cli("agent", "persona", "demo")[0] == 3
    assert cli("agent", "persona", "demo", "x", "--soul", "y")[0] == 3
