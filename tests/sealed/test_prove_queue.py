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
    report = said.told
    failed = {row["name"]: row["outcome"] for row in report["rows"] if not row["passed"]}

    assert failed == {}
    assert report["checks"] == report["passed"] == len(stage.checks)


@STAGES
def test_each_attack_gains_something_where_its_control_is_missing(house: House, stage: Any) -> None:
    said = house.cli("prove", "--only", stage.name, "--twins", "--json")
    assert "twin_rows" in said.told, said
    report = said.told
    missed = {
        row["check"]: (row["twin"], row["outcome"])
        for row in report["twin_rows"]
        if not row["caught"]
    }

    assert missed == {}
    assert report["caught"] == sum(bool(check.twin) for check in stage.checks)


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
