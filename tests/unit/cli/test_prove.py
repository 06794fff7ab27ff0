"""`prove`: its exit status, its one JSON object, its page, and what it refuses to call a proof."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.support.proofs import FakeStage, check, report

from ironclaw.cli import prove as command
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError
from ironclaw.prove.model import Need
from ironclaw.prove.runner import Choice
from ironclaw.prove.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ironclaw.prove.report.model import Report

ONE = check("network.reach")
ALONE = check("files.alone", why_no_twin="gVisor has no switch for it")
GOOD = report({ONE: "refused", ALONE: "refused"})
BAD = report({ONE: "reached: \x1b[2Jthe host", ALONE: "refused"})
CAUGHT = report(None, {ONE: "reached"})
MISSED = report(None, {ONE: "refused"})
NOT_CONTAINED = CODES[Code.NOT_CONTAINED].exit_code


class Proof:
    """Stands in for the house in which it would be run."""

    def __init__(self) -> None:
        self.report = GOOD
        self.asked: list[tuple[Choice, bool, bool]] = []

    def __call__(self, choice: Choice, *, checks: bool, twins: bool) -> Report:
        self.asked.append((choice, checks, twins))
        return self.report


@pytest.fixture
def proof(monkeypatch: pytest.MonkeyPatch) -> Proof:
    fake = Proof()
    monkeypatch.setattr(command, "_proof", fake)
    return fake


def test_a_proof_exits_with_success_and_names_what_held(cli: Any, proof: Proof) -> None:
    status, out, _err = cli("prove")

    assert status == 0
    for said in (
        *("network: 1 of 1 held", "PASS", "network.reach", "the wall", "A box reaches nothing."),
        *("without a twin, and why", "gVisor has no switch for it", "kernel", "6.1.0"),
        *("proven: 2 of 2 checks held",),
    ):
        assert said in out
    assert proof.asked == [(Choice(), True, False)]


def test_json_is_one_object_with_the_counts_first(cli: Any, proof: Proof) -> None:
    status, out, _err = cli("prove", "--quick", "--json")

    told = json.loads(out)
    assert (status, out.count("\n")) == (0, 1)
    assert (told["checks"], told["passed"], told["failed"]) == (2, 2, 0)
    assert told["groups"]["network"] == {"checks": 1, "passed": 1}
    assert told["weaker"] == ["agents share one range of host ids"]
    assert "twins" not in told
    assert "error" not in told
    assert list(told)[:4] == ["proven", "checks", "passed", "failed"]
    assert proof.asked == [(Choice(quick=True), True, False)]


def test_an_attack_that_got_through_has_a_code_a_name_and_a_control(cli: Any, proof: Proof) -> None:
    proof.report = BAD

    status, out, err = cli("prove")

    assert status == NOT_CONTAINED
    assert out.index("FAIL  network.reach") < out.index("network: 0 of 1 held")
    assert "the wall: did not hold" in out
    assert "NOT PROVEN" in out
    assert "not_contained" in err
    assert "network.reach (control: the wall)" in err
    assert "\x1b[2J" not in out + err
    assert "\\x1b[2J" in out


def test_failure_in_json_is_still_one_object_with_the_error_in_it(cli: Any, proof: Proof) -> None:
    proof.report = BAD

    status, out, _err = cli("prove", "--json")

    told = json.loads(out)
    assert (status, out.count("\n")) == (NOT_CONTAINED, 1)
    assert (told["proven"], told["failed"], told["failures"]) == (False, 1, ["network.reach"])
    assert told["error"]["code"] == "not_contained"
    assert "the wall" in told["error"]["message"]


def test_a_part_says_so_and_quick_names_what_it_left_out(cli: Any, proof: Proof) -> None:
    slow = check("network.slow", is_slow=True)
    stages = [FakeStage(ONE, slow, ALONE)]
    proof.report = report({ONE: "refused"}, choice=Choice(only=("network.reach",)), stages=stages)
    out = cli("prove", "--only", "network")[1]
    assert "partly proven, 1 of 3 checks (only: network.reach): 1 of 1 checks held" in out
    assert "left out" not in out

    proof.report = report(
        {ONE: "refused", ALONE: "refused"}, choice=Choice(quick=True), stages=stages
    )
    out = cli("prove", "--quick")[1]
    assert "left out by --quick: 1 slow checks\n  network.slow\n" in out
    assert "partly proven, 2 of 3 checks (quick: 1 slow left out)" in out


def test_a_twin_that_a_deeper_layer_answered_is_not_shown_as_a_gain(cli: Any, proof: Proof) -> None:
    other = check("network.other")
    proof.report = report(None, {ONE: "reached", other: "EIO"})

    out = cli("prove", "--twins")[1]

    assert "deeper layer  network.other" in out
    assert "caught        network.reach" in out
    assert "2 of 2 twins caught (1 went through, 1 answered by a deeper layer)" in out


def test_twins_are_their_own_half(cli: Any, proof: Proof) -> None:
    proof.report = CAUGHT

    status, out, _err = cli("prove", "--twins", "--json")

    told = json.loads(out)
    assert status == 0
    assert (told["twins"], told["caught"], told["missed"]) == (1, 1, [])
    assert "checks" not in told
    assert proof.asked == [(Choice(), False, True)]


def test_a_twin_that_is_not_noticed_fails(cli: Any, proof: Proof) -> None:
    proof.report = MISSED

    status, out, err = cli("prove", "--twins")

    assert status == NOT_CONTAINED
    assert "MISSED  network.reach" in out
    assert "without the wall, the moat" in err


def test_an_attack_that_could_not_be_tried_fails_and_says_so(cli: Any, proof: Proof) -> None:
    proof.report = report({ONE: "error: HostError: runsc failed."}, {ONE: "error: no box"})

    status, out, _err = cli("prove", "--twins", "--only", "network")

    assert status == NOT_CONTAINED
    assert out.count("the attack could not be carried out") == 2


def test_when_nothing_could_be_run_nothing_is_proven(cli: Any, proof: Proof) -> None:
    capped = check("resources.memory", needs=Need.CGROUPS)
    missing = Choice(missing=frozenset({Need.CGROUPS}))
    proof.report = report({}, choice=missing, stages=[FakeStage(capped)])

    status, out, err = cli("prove", "--only", "resources")

    assert status == CODES[Code.HOST_UNSUITED].exit_code
    assert "NOT PROVEN" in out
    assert "not enforced on this host" in out
    assert "Nothing was proven" in err


def test_what_is_not_enforced_here_is_shown_beside_what_held(cli: Any, proof: Proof) -> None:
    capped = check("resources.memory", needs=Need.CGROUPS)
    missing = Choice(missing=frozenset({Need.CGROUPS}))
    proof.report = report({ONE: "refused"}, choice=missing, stages=[FakeStage(ONE, capped)])

    status, out, _err = cli("prove")

    assert status == 0
    assert "cgroups" in out.split("not enforced on this host")[1]
    assert "agents share one range of host ids" in out
    assert "1 not enforced on this host" in out.splitlines()[-1]


def test_an_unknown_name_is_refused_before_anything_starts(cli: Any, proof: Proof) -> None:
    status, out, err = cli("prove", "--only", "netwrok", "--only", "files")

    assert (status, out) == (CODES[Code.INVALID].exit_code, "")
    assert "netwrok" in err
    groups, stages = err.split("Groups:")[1].split("Stages:")
    assert "network" in groups
    assert "secrecy" in stages
    assert proof.asked == []


def test_groups_stages_and_checks_can_be_named(cli: Any, proof: Proof) -> None:
    some = STAGES[0].checks[0]

    assert cli("prove", "--only", str(some.group), "--only", some.name)[0] == 0
    assert proof.asked[0][0].only == (str(some.group), some.name)


@pytest.mark.parametrize(
    ("choice", "twins", "word"),
    [
        (Choice(quick=True, only=("network.slow",)), False, "--quick"),
        (Choice(only=("files.alone",)), True, "twin"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(choice: Choice, twins: bool, word: str) -> None:
    stages = [FakeStage(check("network.slow", is_slow=True), ALONE)]

    with pytest.raises(command.UserError, match=word):
        command.check_choice(choice, stages, twins=twins)


def test_the_page_is_written_also_when_the_proof_fails(
    cli: Any, proof: Proof, tmp_path: Path
) -> None:
    proof.report = BAD
    target = tmp_path / "proof.html"

    status, out, _err = cli("prove", "--html", str(target), "--json")

    assert status == NOT_CONTAINED
    assert json.loads(out)["failed"] == 1
    source = target.read_text(encoding="utf-8")
    assert source.startswith("<!doctype html>")
    assert "NOT PROVEN" in source


def test_a_page_with_twins_has_both_halves(cli: Any, proof: Proof, tmp_path: Path) -> None:
    proof.report = report({ONE: "refused"}, {ONE: "reached"})

    status, out, _err = cli("prove", "--twins", "--html", str(tmp_path / "p.html"))

    assert status == 0
    assert proof.asked == [(Choice(), True, True)]
    assert "caught: reached" in out
    assert "1 of 1 twins caught" in (tmp_path / "p.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", ["", "no/such/place.html", "/proc/proof.html"])
def test_a_page_that_cannot_be_written_is_said_before_minutes_of_work(
    cli: Any, proof: Proof, tmp_path: Path, target: str
) -> None:
    status, _out, err = cli("prove", "--html", str(tmp_path / target))

    assert status == CODES[Code.INVALID].exit_code
    assert "cannot be written" in err
    assert proof.asked == []


def crashed(choice: Choice, **_halves: bool) -> Report:
    raise HostError(
        Code.UNAVAILABLE,
        "The proof did not finish.",
        hint="Look.",
        detail="Traceback: it broke",
    )


def test_a_page_is_not_begun_before_there_is_a_report(
    cli: Any, proof: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old.html"
    old.write_text("yesterday's")
    monkeypatch.setattr(command, "_proof", crashed)

    assert cli("prove", "--html", str(tmp_path / "new.html"))[0] != 0
    assert cli("prove", "--html", str(old))[0] != 0

    assert [path.name for path in tmp_path.iterdir()] == ["old.html"]
    assert old.read_text() == "yesterday's"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), ["--checks"]),
        (("--quick",), ["--quick", "--checks"]),
        (("--twins",), ["--twins"]),
        (("--only", "network"), ["--checks", "--only", "network"]),
    ],
)
def test_the_worker_is_told_what_to_run(
    cli: Any, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], words: list[str]
) -> None:
    told: list[list[str]] = []
    house: dict[str, str] = {}

    @contextlib.contextmanager
    def fake_house(
        mine: Any, config: Path | None, *, purpose: str, core: list[str]
    ) -> Iterator[Any]:
        told.append(core)
        house["purpose"] = purpose
        yield mine

    async def have_image(_mine: Any) -> str:
        return "sha256:" + "0" * 64

    made = CAUGHT if "--twins" in argv else GOOD
    monkeypatch.setattr(command, "private_house", fake_house)
    monkeypatch.setattr(command.launch, "have_image", have_image)
    monkeypatch.setattr(
        command.worker, "result_of", lambda _private, **_more: msgspec.json.encode(made)
    )

    assert cli("prove", *argv, "--json")[0] == 0
    assert house == {"purpose": "prove"}
    assert told == [[sys.executable, "-s", "-P", "-m", "ironclaw.prove.worker", *words]]


def test_a_worker_that_crashed_is_an_error_with_the_end_of_its_log(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_proof", crashed)

    status, out, err = cli("prove")

    assert (status, out) == (CODES[Code.UNAVAILABLE].exit_code, "")
    assert "it broke" in err


def test_an_error_names_a_dozen_checks_and_counts_the_rest(cli: Any, proof: Proof) -> None:
    proof.report = report({check(f"network.attack_{number}"): "reached" for number in range(20)})

    _status, _out, err = cli("prove")

    assert "20 of 20 checks failed" in err
    assert "and 8 more" in err
