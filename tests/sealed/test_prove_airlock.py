"""Hostile airlocks are stopped in every way, and every check of it fails against its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.airlock import confine
from ironclaw.prove.airlock.checks import CHECKS
from ironclaw.prove.airlock.twins import TWINS

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.hostile, pytest.mark.timeout(300)]


@pytest.fixture
def proof(house: House) -> Any:
    """What `ironclaw prove` says of airlocks, checks and twins."""

    def go(rows: str, *words: str) -> Any:
        said = house.cli("prove", "--only", "airlock", "--json", *words)
        assert rows in said.told, said
        return said.told

    return go


def test_a_hostile_airlock_is_stopped_in_every_way(proof: Any) -> None:
    report = proof("rows")
    failed = {row["name"]: row["outcome"] for row in report["rows"] if not row["passed"]}

    assert failed == {}
    assert report["checks"] == report["passed"] == len(CHECKS)


def test_each_attack_of_an_airlock_is_seen_to_succeed_somewhere(proof: Any) -> None:
    report = proof("twin_rows", "--twins")
    missed = {
        row["check"]: (row["twin"], row["outcome"])
        for row in report["twin_rows"]
        if not row["caught"]
    }

    assert missed == {}
    assert report["twins"] == report["caught"] == len(CHECKS)


def test_each_control_of_an_airlock_is_taken_away_alone() -> None:
    controls = {
        *(confine.NETWORK, confine.ROOT, confine.UID, confine.CAPABILITIES, confine.NO_NEW_PRIVS),
        *(confine.LANDLOCK, confine.SECCOMP),
        *(f"{confine.RLIMITS} {name}" for name in ("NOFILE", "NPROC", "CORE", "FSIZE", "DATA")),
        *(f"{confine.RLIMITS} {name}" for name in ("MEMLOCK", "MSGQUEUE")),
    }
    alone = {twin.name: twin.removes[0] for twin in TWINS if len(twin.removes) == 1}

    assert controls - {alone.get(check.twin) for check in CHECKS} == set()
