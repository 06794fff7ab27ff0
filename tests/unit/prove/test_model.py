"""An outcome passes only as claimed; an attack that was not carried out shows nothing."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.proofs import NO_WALL, check

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.prove.model import (
    ERROR,
    MAX_OUTCOME_CHARS,
    Check,
    Effect,
    Group,
    Measured,
    by_group,
    could_not,
    found,
    judged,
)
from ironclaw.prove.probe.attempt import outcome as attempted
from ironclaw.prove.probe.named import error_name

OUTCOMES = st.one_of(st.none(), st.text(max_size=300), st.text().map(ERROR.__add__))
EXPECTED = st.frozensets(
    st.text(min_size=1, max_size=20).filter(lambda word: not word.startswith(ERROR)), min_size=1
)
NAMES = st.sampled_from(Group).map(lambda group: f"{group}.word")


@given(EXPECTED, OUTCOMES)
def test_a_check_passes_exactly_when_what_was_seen_was_expected(
    expected: frozenset[str], outcome: str | None
) -> None:
    one = check(expected=expected)

    finding = found(one, outcome)

    assert finding.passed == (outcome is not None and outcome in expected)


@given(EXPECTED, st.text())
def test_an_attack_that_could_not_be_carried_out_neither_passes_nor_catches(
    expected: frozenset[str], reason: str
) -> None:
    one = check(expected=expected)

    assert not found(one, ERROR + reason).passed
    assert not judged(one, NO_WALL, ERROR + reason).caught


@given(EXPECTED)
def test_an_outcome_that_is_missing_fails_and_says_so(expected: frozenset[str]) -> None:
    one = check(expected=expected)

    for finding, verdict in (
        (found(one, None), found(one, None).passed),
        (judged(one, NO_WALL, None), judged(one, NO_WALL, None).caught),
    ):
        assert not verdict
        assert finding.outcome == ERROR + "nothing was observed"


@given(EXPECTED, OUTCOMES)
def test_no_outcome_both_passes_and_is_caught(
    expected: frozenset[str], outcome: str | None
) -> None:
    """What production does must differ from what its twin does."""
    one = check(expected=expected)

    assert not (found(one, outcome).passed and judged(one, NO_WALL, outcome).caught)


@given(EXPECTED, OUTCOMES)
def test_what_is_kept_of_an_outcome_has_an_end(
    expected: frozenset[str], outcome: str | None
) -> None:
    one = check(expected=expected)

    assert len(found(one, outcome).outcome) <= MAX_OUTCOME_CHARS
    assert len(judged(one, NO_WALL, outcome).outcome) <= MAX_OUTCOME_CHARS


@given(EXPECTED, st.text(), st.floats(allow_nan=False))
def test_numbers_beside_an_outcome_change_no_verdict(
    expected: frozenset[str], outcome: str, number: float
) -> None:
    one = check(expected=expected)

    plain, measured = found(one, outcome), found(one, Measured(outcome, p99_ms=number))

    assert (plain.passed, plain.outcome) == (measured.passed, measured.outcome)
    assert measured.measured == {"p99_ms": number}
    assert plain.measured == {}


def test_an_outcome_that_only_begins_as_expected_fails() -> None:
    """It is judged before it is cut."""
    one = check(expected=frozenset({"x" * MAX_OUTCOME_CHARS}))

    assert not found(one, "x" * (MAX_OUTCOME_CHARS + 1)).passed
    assert found(one, "x" * MAX_OUTCOME_CHARS).passed


@pytest.mark.parametrize(
    ("outcome", "effect"),
    [
        ("done", Effect.THROUGH),
        ("reached: the host", Effect.THROUGH),
        ("EIO", Effect.DEEPER),
        ("errno 4242", Effect.DEEPER),
        ("killed by SIGSEGV", Effect.DEEPER),
        ("refused", Effect.STOPPED),
        (ERROR + "no box", Effect.UNTRIED),
        (None, Effect.UNTRIED),
    ],
)
def test_what_a_twin_met_has_a_word(outcome: str | None, effect: Effect) -> None:
    one = judged(check(), NO_WALL, outcome)

    assert one.effect is effect
    assert one.caught == (effect in {Effect.THROUGH, Effect.DEEPER})


def test_what_is_meant_to_work_and_fails_met_no_deeper_layer() -> None:
    assert judged(check(expected=frozenset({"done"})), NO_WALL, "EPERM").effect is Effect.THROUGH


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (PermissionError(errno.EPERM, "no"), "EPERM"),
        (TimeoutError("timed out"), "ETIMEDOUT"),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), f"errno {socket.EAI_NONAME}"),
        (OSError("odd"), "error: no errno: odd"),
        (OSError(-11, "odd"), "errno -11"),
    ],
)
def test_an_error_is_named_by_its_errno_and_by_no_class(error: OSError, name: str) -> None:
    def attack(_context: object) -> None:
        raise error

    assert error_name(error) == name
    assert attempted(attack, {}) == name
    assert type(error).__name__ not in could_not(error)


def test_an_attack_that_could_not_be_carried_out_says_why_in_words() -> None:
    broken = HostError(Code.UNAVAILABLE, "runsc failed.", hint="Look.")

    assert could_not(broken) == "error: unavailable: runsc failed."
    told = HostError(broken.code, broken.message, detail="exec: 1\nno such container\n")
    assert could_not(told) == "error: unavailable: runsc failed. (no such container)"
    assert could_not(ValueError("it is odd")) == "error: it ended with it is odd"


@given(st.lists(st.tuples(NAMES, st.booleans())))
def test_groups_add_up(pairs: list[tuple[str, bool]]) -> None:
    findings = [found(check(name), "refused" if holds else "reached") for name, holds in pairs]

    counts = by_group(findings)

    assert sum(count["checks"] for count in counts.values()) == len(findings)
    assert sum(count["passed"] for count in counts.values()) == sum(holds for _, holds in pairs)
    assert list(counts) == [str(group) for group in Group if str(group) in counts]


def test_the_group_is_the_first_word_of_the_name() -> None:
    assert check("posture.inside.uid").group is Group.POSTURE
    assert isinstance(check(), Check)
