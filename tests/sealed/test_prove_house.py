"""In a whole house: greed is capped, stop is quick, and no session learns what is not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.prove.stages.greed import GREED
from ironclaw.prove.stages.secrecy import SECRECY
from ironclaw.prove.stages.stopping import STOPPING

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.hostile, pytest.mark.timeout(400)]

STAGES = pytest.mark.parametrize(
    "stage", [GREED, STOPPING, SECRECY], ids=lambda stage: str(stage.name)
)


@STAGES
def test_a_house_withstands_each_attack(house: House, stage: Any) -> None:
    said = house.cli("prove", "--only", stage.name, "--json", timeout_s=200)
    assert "rows" in said.told, said
    report = said.told
    failed = {
        row["name"]: (row["outcome"], row["measured"])
        for row in report["rows"]
        if not row["passed"]
    }

    assert failed == {}
    assert report["checks"] + len(report["not_enforced_here"]) == len(stage.checks)


@STAGES
def test_each_attack_gains_something_where_its_control_is_missing(house: House, stage: Any) -> None:
    said = house.cli("prove", "--only", stage.name, "--twins", "--json", timeout_s=300)
    assert "twin_rows" in said.told, said
    report = said.told
    missed = {
        row["check"]: (row["twin"], row["outcome"])
        for row in report["twin_rows"]
        if not row["caught"]
    }

    assert missed == {}
    assert report["caught"] > 0


@STAGES
def test_each_twin_takes_away_what_its_checks_name(stage: Any) -> None:
    removed = {twin.name: twin.removes for twin in stage.twins}

    assert {check.twin for check in stage.checks if check.twin} == set(removed)
    for check in stage.checks:
        assert bool(check.twin) != bool(check.why_no_twin)
        assert not check.twin or check.control in removed[check.twin]


def test_there_are_enough_attacks() -> None:
    assert len(GREED.checks) >= 12
    assert len(STOPPING.checks) >= 5
    assert len(SECRECY.checks) >= 6
