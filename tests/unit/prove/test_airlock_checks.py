"""The tables of the airlock's proof fit together: no claim without an attack, a twin and a way."""

from __future__ import annotations

import pytest

from ironclaw.airlock import confine
from ironclaw.prove.airlock.checks import CHECKS, INSIDE, LINK
from ironclaw.prove.airlock.hostile_attempts import ATTEMPTS
from ironclaw.prove.airlock.hostile_frames import FRAMES
from ironclaw.prove.airlock.twins import TWINS
from ironclaw.prove.model import ERROR, Check


def test_each_attack_from_inside_is_one_that_a_hostile_airlock_knows() -> None:
    assert {check.name for check in INSIDE} == set(ATTEMPTS)
    assert {check.name for check in LINK} == set(FRAMES)


def test_no_two_checks_or_twins_have_one_name() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert len({twin.name for twin in TWINS}) == len(TWINS)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_names_a_control_that_its_twin_takes_away(check: Check) -> None:
    twin = next(twin for twin in TWINS if twin.name == check.twin)

    assert check.control in twin.removes
    assert not any(word.startswith(ERROR) for word in check.expected)


def test_every_twin_catches_something() -> None:
    assert {check.twin for check in CHECKS} == {twin.name for twin in TWINS}


def test_each_control_of_an_airlock_is_taken_away_alone() -> None:
    controls = {
        *(confine.NETWORK, confine.ROOT, confine.UID, confine.CAPABILITIES, confine.NO_NEW_PRIVS),
        *(confine.LANDLOCK, confine.SECCOMP),
        *(f"{confine.RLIMITS} {name}" for name in ("NOFILE", "NPROC", "CORE", "FSIZE", "DATA")),
        *(f"{confine.RLIMITS} {name}" for name in ("MEMLOCK", "MSGQUEUE")),
    }
    alone = {twin.name: twin.removes[0] for twin in TWINS if len(twin.removes) == 1}

    assert controls - {alone.get(check.twin) for check in CHECKS} == set()
