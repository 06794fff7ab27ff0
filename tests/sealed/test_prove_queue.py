"""A hostile agent gains nothing at the queue and the sockets, and would without each control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.prove.stages.queue import QUEUE
from ironclaw.prove.stages.sockets import SOCKETS

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.hostile, pytest.mark.timeout(400)]

STAGES = pytest.mark.parametrize("stage", [QUEUE, SOCKETS], ids=lambda stage: stage.name)


@STAGES
def test_a_hostile_agent_is_caught_whatever_it_writes(house: House, stage: Any) -> None:
    said = house.cli("prove", "--only", stage.name, "--json")
    assert "rows" in said.told, said
    passed = {row["name"]: row["passed"] or row["outcome"] for row in said.told["rows"]}

    names = [check.name for check in stage.checks]
    assert {name: passed.get(name) for name in names} == dict.fromkeys(names, True)


@STAGES
def test_each_attack_gains_something_where_its_control_is_missing(house: House, stage: Any) -> None:
    said = house.cli("prove", "--only", stage.name, "--twins", "--json")
    assert "twin_rows" in said.told, said
    caught = {row["check"]: row["caught"] or row["outcome"] for row in said.told["twin_rows"]}
    with_twin = [check.name for check in stage.checks if check.twin]

    assert {name: caught.get(name) for name in with_twin} == dict.fromkeys(with_twin, True)


@STAGES
def test_each_twin_takes_away_what_its_checks_name(stage: Any) -> None:
    removed = {twin.name: twin.removes for twin in stage.twins}

    assert {check.twin for check in stage.checks if check.twin} == set(removed)
    for check in stage.checks:
        assert bool(check.twin) != bool(check.why_no_twin)
        assert not check.twin or check.control in removed[check.twin]


def test_there_are_enough_attacks() -> None:
    assert len(QUEUE.checks) >= 24
    assert len(SOCKETS.checks) >= 14
    assert sum(bool(check.twin) for check in (*QUEUE.checks, *SOCKETS.checks)) >= 30
