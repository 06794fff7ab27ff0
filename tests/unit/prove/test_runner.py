"""Every chosen check is run once, whatever a stage does, and nothing that was not chosen."""

from __future__ import annotations

from typing import Any, cast

import pytest
from tests.support.proofs import NO_WALL, FakeStage, check

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.prove.model import Need
from ironclaw.prove.runner import Choice, run_checks, run_twins

LAB = cast("Any", None)
FAST = check("network.fast")
SLOW = check("network.slow", is_slow=True)
CAPPED = check("files.capped", needs=Need.CGROUPS)
ALONE = check("files.alone", why_no_twin="gVisor has no switch for it")
ALL = (FAST, SLOW, CAPPED, ALONE)


def names(checks: Any) -> list[str]:
    return [one.name for one in checks]


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (Choice(), ALL),
        (Choice(quick=True), (FAST, CAPPED, ALONE)),
        (Choice(only=("network",)), (FAST, SLOW)),
        (Choice(only=("fake",)), ALL),
        (Choice(only=("files.alone", "network.fast")), (FAST, ALONE)),
        (Choice(quick=True, only=("network",)), (FAST,)),
        (Choice(missing=frozenset({Need.CGROUPS})), (FAST, SLOW, ALONE)),
        (Choice(only=("posture",)), ()),
    ],
)
async def test_the_chosen_checks_are_run_and_no_other(choice: Choice, chosen: Any) -> None:
    stage = FakeStage(*ALL)

    findings = await run_checks([stage], LAB, choice, lambda _text: None)

    assert names(finding.check for finding in findings) == names(chosen)
    assert stage.asked == ([("", tuple(names(chosen)))] if chosen else [])
    assert all(finding.passed for finding in findings)


def test_what_the_host_does_not_offer_is_named_only_when_it_was_chosen() -> None:
    missing = frozenset({Need.CGROUPS})

    assert Choice(missing=missing).not_here(FakeStage(*ALL)) == [CAPPED]
    assert Choice(missing=missing, only=("network",)).not_here(FakeStage(*ALL)) == []
    assert Choice().not_here(FakeStage(*ALL)) == []


def test_names_that_name_nothing_are_found() -> None:
    stages = [FakeStage(*ALL)]

    assert Choice(only=("fake", "files", "network.slow")).unknown(stages) == []
    assert Choice(only=("netwrok", "files", "network.")).unknown(stages) == ["netwrok", "network."]


async def test_twins_are_run_for_checks_that_have_one() -> None:
    stage = FakeStage(*ALL)
    notes: list[str] = []

    found = await run_twins([stage], LAB, Choice(quick=True), notes.append)

    assert names(one.check for one in found) == names((FAST, CAPPED))
    assert all(one.caught and one.twin is NO_WALL for one in found)
    assert stage.asked == [("no-wall", ("network.fast", "files.capped"))]
    assert notes == ["fake, without the wall, the moat: 2 attacks"]


@pytest.mark.parametrize(
    "error",
    [
        HostError(Code.RUNTIME_FAILED, "runsc failed.", hint="Look."),
        OSError(28, "No space left on device"),
        TimeoutError(),
        ValueError("not JSON"),
        KeyError("missing"),
    ],
)
async def test_a_stage_that_fails_fails_all_its_checks_and_catches_none(error: Exception) -> None:
    stages = [FakeStage(*ALL, error=error), FakeStage(check("secrets.other"))]

    findings = await run_checks(stages, LAB, Choice(), lambda _text: None)
    twins = await run_twins(stages, LAB, Choice(), lambda _text: None)

    assert [finding.passed for finding in findings] == [False] * len(ALL) + [True]
    assert all(finding.outcome.startswith("error: ") for finding in findings[:-1])
    assert [one.caught for one in twins] == [False] * 3 + [True]


async def test_a_check_that_a_stage_forgot_has_failed() -> None:
    stage = FakeStage(FAST, SLOW)
    stage._outcomes = {"network.fast": "refused"}
    stage._weak = {"network.fast": "reached"}

    findings = await run_checks([stage], LAB, Choice(), lambda _text: None)
    twins = await run_twins([stage], LAB, Choice(), lambda _text: None)

    assert [finding.passed for finding in findings] == [True, False]
    assert [one.caught for one in twins] == [True, False]
