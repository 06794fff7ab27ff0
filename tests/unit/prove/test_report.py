"""The report's arithmetic, and when it says `proven`: never because nothing was run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.proofs import FakeStage, check, report

from ironclaw.prove.model import Check, Group, Need
from ironclaw.prove.report.model import read_report, write_report
from ironclaw.prove.runner import Choice

if TYPE_CHECKING:
    from pathlib import Path

OUTCOMES = st.sampled_from(["refused", "reached", "error: it broke", None])
MANY = st.dictionaries(
    st.builds(
        lambda group, number: check(f"{group}.attack_{number}"),
        st.sampled_from(Group),
        st.integers(0, 9),
    ),
    OUTCOMES,
)


@given(MANY)
def test_the_counts_are_those_of_the_rows(outcomes: dict[Check, str | None]) -> None:
    told = report(outcomes).told()
    wrong = [one.name for one, outcome in outcomes.items() if outcome != "refused"]

    assert told["checks"] == len(outcomes)
    assert told["failed"] == len(wrong)
    assert told["passed"] == len(outcomes) - len(wrong)
    assert told["failures"] == wrong
    assert told["proven"] is (bool(outcomes) and not wrong)
    assert "twins" not in told


@given(MANY)
def test_the_counts_of_twins_are_those_of_their_rows(outcomes: dict[Check, str | None]) -> None:
    told = report(None, outcomes).told()
    missed = [one.name for one, outcome in outcomes.items() if outcome != "reached"]

    assert told["twins"] == len(outcomes)
    assert told["caught"] == len(outcomes) - len(missed)
    assert told["missed"] == missed
    assert told["proven"] is (bool(outcomes) and not missed)
    assert "checks" not in told


def test_one_half_does_not_prove_the_other() -> None:
    one = check()

    assert report({one: "refused"}, {one: "reached"}).proven
    assert not report({one: "reached"}, {one: "reached"}).proven
    assert not report({one: "refused"}, {one: "refused"}).proven
    assert not report({}, {one: "reached"}).proven
    assert not report({one: "refused"}, {}).proven
    assert not report(None, None).proven


def test_what_has_no_twin_and_what_the_host_lacks_are_listed() -> None:
    alone = check("files.alone", why_no_twin="gVisor has no switch for it")
    capped = check("resources.memory", needs=Need.CGROUPS)
    choice = Choice(missing=frozenset({Need.CGROUPS}))

    made = report({alone: "refused"}, choice=choice, stages=[FakeStage(alone, capped)])

    assert [(row.name, row.why) for row in made.without_twin] == [
        ("files.alone", "gVisor has no switch for it")
    ]
    assert [(row.name, row.needs) for row in made.not_enforced_here] == [
        ("resources.memory", "cgroups")
    ]
    assert made.proven


def test_a_report_survives_the_way_to_its_reader(tmp_path: Path) -> None:
    one = check()
    made = report({one: "refused\x00\u202e"}, {one: "reached"})

    write_report(made, tmp_path / "prove.json")

    assert read_report((tmp_path / "prove.json").read_bytes()) == made
    assert [path.name for path in tmp_path.iterdir()] == ["prove.json"]


def test_a_stranger_can_read_the_json() -> None:
    one = check()
    told = json.loads(msgspec.json.encode(report({one: "reached"}, {one: "reached"}).told()))

    assert told["groups"] == {"network": {"checks": 1, "passed": 0}}
    assert told["rows"][0] == {
        "name": "network.reach",
        "group": "network",
        "claim": "A box reaches nothing.",
        "attack": "connect to what listens",
        "control": "the wall",
        "then": ["the moat"],
        "expected": ["refused"],
        "outcome": "reached",
        "passed": False,
        "twin": "no-wall",
        "why_no_twin": "",
        "measured": {},
    }
    assert told["twin_rows"][0] == {
        "check": "network.reach",
        "twin": "no-wall",
        "control": "the wall",
        "removed": ["the wall", "the moat"],
        "outcome": "reached",
        "caught": True,
        "effect": "through",
    }


def test_a_part_is_not_called_the_whole() -> None:
    one, slow, other = check(), check("network.slow", is_slow=True), check("files.other")
    stages = [FakeStage(one, slow, other)]

    part = report({one: "refused"}, choice=Choice(only=("network.reach",)), stages=stages)
    quick = report({one: "refused", other: "refused"}, choice=Choice(quick=True), stages=stages)
    whole = report(dict.fromkeys((one, slow, other), "refused"), stages=stages)

    assert part.told()["verdict"] == quick.told()["verdict"] == "partly proven"
    assert part.told()["extent"] == "1 of 3 checks (only: network.reach)"
    assert quick.told()["extent"] == "2 of 3 checks (quick: 1 slow left out)"
    assert (whole.verdict, whole.extent) == ("proven", "all 3 checks")
    assert part.proven
    assert part.told()["available"] == 3


def test_what_quick_leaves_out_is_named_as_far_as_it_was_asked_about() -> None:
    slow, capped = (
        check("network.slow", is_slow=True),
        check("resources.slow", is_slow=True, needs=Need.CGROUPS),
    )
    stages = [FakeStage(check(), slow, capped)]
    missing = frozenset({Need.CGROUPS})

    def left_out(choice: Choice) -> object:
        return report({check(): "refused"}, choice=choice, stages=stages).told()["left_out"]

    assert left_out(Choice(quick=True)) == ("network.slow", "resources.slow")
    assert left_out(Choice(quick=True, only=("resources",))) == ("resources.slow",)
    assert left_out(Choice(quick=True, missing=missing)) == ("network.slow",)
    assert left_out(Choice()) == ()


def test_of_twins_alone_those_that_there_are_count() -> None:
    one, alone = check(), check("files.alone", why_no_twin="gVisor has no switch for it")

    made = report(None, {one: "reached"}, stages=[FakeStage(one, alone)])

    assert made.extent == "all 1 twins"


def test_a_twin_says_whether_its_attack_went_through_or_a_deeper_layer_answered() -> None:
    outcomes = {"done": "through", "EIO": "deeper layer", "killed by SIGSEGV": "deeper layer"}
    checks = {check(f"network.attack_{at}"): word for at, word in enumerate(outcomes)}

    told = report(None, checks).told()

    assert [row.effect for row in report(None, checks).twin_rows or ()] == [*outcomes.values()]
    assert told["effects"] == {"through": 1, "deeper layer": 2}
    assert told["caught"] == 3
