"""The battery itself: each check has a claim, a control and a twin; each control has a check."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

import pytest

from ironclaw.airlock import confine
from ironclaw.prove import controls as c
from ironclaw.prove.house.twins import KEY_REMOVED, MOUNTS
from ironclaw.prove.model import ERROR, Check, Group, Stage, Twin
from ironclaw.prove.runner import Choice
from ironclaw.prove.stages import STAGES
from ironclaw.sandbox.posture import CHECKS as POSTURE
from ironclaw.sandbox.runsc import FLAGS
from ironclaw.sandbox.spec import Rlimit
from ironclaw.sandbox.spec_check import RLIMITS, RULES
from ironclaw.testing.claims import ABOUT, ABOUT_STAGES
from ironclaw.testing.docs import DOCS

CHECKS: Final = [(stage, check) for stage in STAGES for check in stage.checks]
NAMES: Final = [check.name for _stage, check in CHECKS]
CONTROLS: Final = {check.control for _stage, check in CHECKS}
REMOVED: Final = {control for stage in STAGES for twin in stage.twins for control in twin.removes}

READ_ONLY: Final = {
    *(c.READ_ONLY_ROOT, c.READ_ONLY_BIND, c.HOST_READ_ONLY, c.SHARED_BIND),
    *(c.IN_READ_ONLY, c.RUN_READ_ONLY, c.SHARED_READ_ONLY),
}
ANSWERS: Final = {
    # A filter, or the right that its caller would need.
    "EPERM": {c.SECCOMP, c.PROFILE, c.NO_CAPABILITIES, confine.SECCOMP},
    "EROFS": READ_ONLY,
    # Owner and mode of the file, or being nobody in their eyes; of an airlock: Landlock.
    "EACCES": {c.OWNER, c.NO_USER, confine.LANDLOCK},
    "ENOENT": {c.MOUNT_TABLE, confine.ROOT, MOUNTS, KEY_REMOVED, "gVisor resolves names itself"},
}
"""By the error that an attack meets: the controls that answer so."""
ANSWERED: Final = [(stage, check) for stage, check in CHECKS if check.expected & {*ANSWERS}]

NOT_FLAGS_OF_THE_WALL: Final = {
    "--dcache=64": "how many deleted segments the gofer keeps open: without it a long conversation "
    "stops, and no attacker gains anything; tests/sealed/test_long_conversation.py is about it",
}
"""Flags of runsc that no check is about, and why."""


@pytest.mark.parametrize(("stage", "check"), CHECKS, ids=NAMES)
def test_a_check_can_be_understood_and_can_fail(stage: Stage, check: Check) -> None:
    assert re.fullmatch(r"[a-z]+(\.[A-Za-z0-9_]+)+", check.name), "shaped group.word"
    assert check.group in Group
    assert check.claim.endswith("."), "a sentence"
    assert check.attack.strip()
    assert check.control.strip()
    assert check.expected, "there is an outcome that passes"
    assert not any(outcome.startswith(ERROR) for outcome in check.expected)
    assert bool(check.twin) != bool(check.why_no_twin), "a twin, or why there cannot be one"


@pytest.mark.parametrize(
    ("stage", "check"),
    [(stage, check) for stage, check in CHECKS if check.twin],
    ids=[check.name for _stage, check in CHECKS if check.twin],
)
def test_a_twin_goes_without_the_control(stage: Stage, check: Check) -> None:
    (twin,) = [twin for twin in stage.twins if twin.name == check.twin]

    assert check.control in twin.removes


@pytest.mark.parametrize(
    ("stage", "check"), ANSWERED, ids=[check.name for _stage, check in ANSWERED]
)
def test_the_control_is_the_layer_that_answers_first(stage: Stage, check: Check) -> None:
    """Its error says which it was. Where several may answer, the twin's first is named."""
    could = set().union(*(ANSWERS.get(word, set()) for word in check.expected))

    assert check.control in could
    if len(check.expected) > 1:
        assert [twin.removes[0] for twin in stage.twins if twin.name == check.twin] == [
            check.control
        ]


def test_the_layers_behind_the_first_are_those_that_its_twin_takes_away_too() -> None:
    twin = Twin("open", ("modes", "mount", "bind"))

    assert twin.behind("modes") == ("mount", "bind")
    assert twin.behind("mount") == ("modes", "bind")
    assert Twin("bare", ("modes",)).behind("modes") == ()


def test_names_are_unique() -> None:
    twice = [name for name, times in Counter(NAMES).items() if times > 1]
    stages = [stage.name for stage in STAGES]

    assert twice == []
    assert len(set(stages)) == len(stages)
    # `--only` takes both kinds of words.
    assert not set(stages) & set(NAMES)
    for stage in STAGES:
        twins = [twin.name for twin in stage.twins]
        assert len(set(twins)) == len(twins), stage.name


def test_a_twin_is_there_for_a_check() -> None:
    """What no check is tried against says nothing. Stages may share a list of twins."""
    used = {
        (check.twin, twin.removes)
        for stage in STAGES
        for check in stage.checks
        for twin in stage.twins
        if twin.name == check.twin
    }
    unused = [twin for stage in STAGES for twin in stage.twins if twin not in used]

    assert unused == []


def test_there_are_enough_of_them() -> None:
    with_twin = [check for _stage, check in CHECKS if check.twin]

    assert len(CHECKS) >= 100
    assert len(with_twin) >= 90


def test_every_group_and_every_stage_is_explained() -> None:
    assert set(ABOUT) == set(Group)
    assert list(ABOUT_STAGES) == [stage.name for stage in STAGES]


def test_the_documents_name_parts_of_the_proof_that_there_are() -> None:
    named = {
        (path.name, name)
        for path in (DOCS / "security").glob("*.md")
        for name in re.findall(r"--only ([a-z][a-zA-Z0-9_.]*)", path.read_text(encoding="utf-8"))
    }

    assert len(named) > len(Group)
    assert Choice(only=tuple(name for _path, name in named)).unknown(STAGES) == []


def test_every_flag_of_runsc_is_a_control() -> None:
    unproven = {flag for flag in FLAGS if f"runsc {flag}" not in CONTROLS}

    assert unproven == set(NOT_FLAGS_OF_THE_WALL)


def test_every_rule_of_the_spec_is_a_control() -> None:
    assert [field for field, _holds in RULES if f"rule {field}" not in CONTROLS] == []


def test_every_fact_of_the_posture_is_checked() -> None:
    assert [name for name, _holds in POSTURE if f"posture.{name}" not in NAMES] == []


def test_every_limit_of_a_box_is_a_control() -> None:
    """By itself, or behind another: the filter refuses a thread before its limit is met."""
    assert [
        name for name in RLIMITS if f"rlimit {name.removeprefix('RLIMIT_')}" not in REMOVED
    ] == []
    assert Rlimit  # the spec's limits are of this kind, and `rule process.rlimits` pins their names


@pytest.mark.parametrize(
    "control",
    [
        confine.NETWORK,
        confine.ROOT,
        confine.UID,
        confine.CAPABILITIES,
        confine.NO_NEW_PRIVS,
        confine.LANDLOCK,
        confine.SECCOMP,
        confine.RLIMITS,
    ],
)
def test_every_control_of_an_airlock_is_one_of_the_proof(control: str) -> None:
    """By its name, or by its parts: `rlimits` is proven limit by limit."""
    assert [one for one in CONTROLS if one == control or one.startswith(f"{control} ")]


def test_no_control_of_an_airlock_is_left_out_of_that_list() -> None:
    named = {
        value
        for name, value in vars(confine).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    }

    assert named <= {one.partition(" ")[0] for one in CONTROLS}
