"""The proof holds on this machine, for both kinds of user, and every check of it can fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import houses

from ironclaw.prove.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import House, Houses
    from tests.support.people import Person

    from ironclaw.prove.model import Stage

pytestmark = [pytest.mark.sealed, pytest.mark.hostile, pytest.mark.timeout(400)]

of_each_stage = pytest.mark.parametrize(
    "stage",
    [
        # Greed is measured by what it costs others: with other tests beside it, it is theirs.
        pytest.param(stage, marks=[pytest.mark.alone] if stage.name == "greed" else [])
        for stage in STAGES
    ],
    ids=lambda stage: str(stage.name),
)
MADE_OTHERWISE = [
    stage for stage in STAGES if stage.name in {"posture", "ground", "refusals", "wall", "airlock"}
]
"""Stages whose walls are made otherwise for an ordinary user: all of them is seen for both kinds.
The others are the same code for everybody, and minutes of every run; of them an ordinary user's
quick proof is seen, in `test_documented_commands.py`."""


@pytest.fixture(scope="session")
def closed_house(own_houses: Houses) -> Iterator[House]:
    """Directories and an image: the proof starts a house of its own."""
    with own_houses.closed() as found:
        yield found


def proof(house: House, *words: str) -> Any:
    """What `ironclaw prove` says; fails with its own words when that is no report."""
    said = house.cli("prove", "--json", *words, timeout_s=300)
    assert "proven" in said.out, said
    return said.told


@of_each_stage
def test_every_attack_is_stopped(closed_house: House, stage: Stage) -> None:
    check_all_of(closed_house, stage)


def check_all_of(house: House, stage: Stage) -> None:
    """Attack every claim of a stage."""
    report = proof(house, "--only", stage.name)

    failed = {
        row["name"]: (row["outcome"], row["measured"])
        for row in report["rows"]
        if not row["passed"]
    }
    assert failed == {}
    assert report["proven"] is True
    # What this host cannot enforce is listed, not left out. (A group may have more than a stage.)
    listed = {row["name"] for row in (*report["rows"], *report["not_enforced_here"])}
    assert {check.name for check in stage.checks} <= listed


def missed(house: House, stage: Stage) -> dict[str, tuple[str, str]]:
    """Attack every twin of a stage; what was not caught, by name of check."""
    report = proof(house, "--only", stage.name, "--twins")
    not_here = {row["name"] for row in report["not_enforced_here"]}
    tried = {row["check"] for row in report["twin_rows"]}
    assert tried >= {c.name for c in stage.checks if c.twin and c.name not in not_here}
    return {
        row["check"]: (row["twin"], row["outcome"])
        for row in report["twin_rows"]
        if not row["caught"]
    }


@of_each_stage
def test_every_attack_gains_something_where_its_control_is_missing(
    own_houses: Houses, stage: Stage
) -> None:
    with own_houses.closed() as house:
        assert missed(house, stage) == {}


@pytest.mark.root_only
@pytest.mark.parametrize("stage", MADE_OTHERWISE, ids=lambda stage: str(stage.name))
def test_it_does_so_for_an_ordinary_user_where_the_wall_is_made_otherwise(
    own_houses: Houses, ordinary_person: Person, stage: Stage
) -> None:
    with houses(ordinary_person, own_houses.image) as theirs, theirs.closed() as house:
        check_all_of(house, stage)
        assert missed(house, stage) == {}


def test_there_are_enough_attacks_and_twins_and_a_quick_proof_misses_no_group() -> None:
    checks = [check for stage in STAGES for check in stage.checks]

    quick = [check for check in checks if not check.is_slow]
    assert len(quick) >= 100
    assert sum(bool(check.twin) for check in checks) >= 90
    assert {check.group for check in quick} == {check.group for check in checks}
