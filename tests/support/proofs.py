"""Checks, stages and reports of proofs that no box was needed for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ironclaw.prove.model import Check, Finding, Twin, TwinFinding, found, judged
from ironclaw.prove.report.model import Report
from ironclaw.prove.runner import Choice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw.prove.lab.opened import Lab

NO_WALL = Twin("no-wall", ("the wall", "the moat"))
WEAKER = ("agents share one range of host ids",)
MACHINE = {"user": "root", "kernel": "6.1.0"}


def check(name: str = "network.reach", **more: Any) -> Check:
    """A check that holds when the attack is `refused`, with a twin unless told."""
    words: dict[str, Any] = {
        "claim": "A box reaches nothing.",
        "attack": "connect to what listens",
        "control": "the wall",
        "expected": frozenset({"refused"}),
    }
    twin = {} if "why_no_twin" in more else {"twin": NO_WALL.name}
    return Check(name, **(words | twin | more))


class FakeStage:
    """Observes what it is told to, in production and in its twin."""

    name = "fake"
    twins = (NO_WALL,)

    def __init__(
        self,
        *checks: Check,
        outcomes: Mapping[str, str] | None = None,
        twin_outcomes: Mapping[str, str] | None = None,
        error: Exception | None = None,
    ) -> None:
        self.checks = checks or (check(),)
        self._outcomes = {one.name: "refused" for one in self.checks} | dict(outcomes or {})
        self._weak = {one.name: "reached" for one in self.checks} | dict(twin_outcomes or {})
        self._error = error
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        """What was run: twin (empty for production) and names of checks."""

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Say what it was told to."""
        del lab
        self.asked.append((twin.name if twin else "", tuple(one.name for one in checks)))
        if self._error is not None:
            raise self._error
        return self._weak if twin else self._outcomes


def a_finding(one: Check, outcome: str | None = "refused") -> Finding:
    """A judged outcome."""
    return found(one, outcome)


def a_twin_finding(one: Check, outcome: str | None = "reached") -> TwinFinding:
    """A judged outcome of the twin."""
    return judged(one, NO_WALL, outcome)


def report(
    outcomes: Mapping[Check, str | None] | None,
    twin_outcomes: Mapping[Check, str | None] | None = None,
    *,
    choice: Choice = Choice(),  # noqa: B008 - a value that does not change
    stages: Sequence[Any] = (),
) -> Report:
    """The report of these outcomes; None for a half that was not run."""
    checks = list(outcomes or twin_outcomes or {})
    return Report.of(
        None if outcomes is None else [a_finding(*pair) for pair in outcomes.items()],
        None
        if twin_outcomes is None
        else [a_twin_finding(*pair) for pair in twin_outcomes.items()],
        stages=stages or ([FakeStage(*checks)] if checks else []),
        choice=choice,
        weaker=WEAKER,
        machine=MACHINE,
        took_s=1.5,
    )
