"""The report of a proof: what is kept of it, from which JSON, terminal and HTML page are made.

A proof has two halves: the checks (production as it is) and the twins (weakened copies). A half
that was not asked for is None, and absent from the JSON: "0 twins" would be a claim.
"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

import ironclaw
from ironclaw.core.clock import SystemClock
from ironclaw.prove.model import Effect, by_group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Check, Finding, Stage, TwinFinding
    from ironclaw.prove.runner import Choice


class CheckRow(msgspec.Struct, frozen=True):
    """One check and what came of it. The outcome may be a box's own words."""

    name: str
    group: str
    claim: str
    attack: str
    control: str
    """What answers first."""
    then: tuple[str, ...]
    """What stands behind it, as far as its twin takes that away too."""
    expected: tuple[str, ...]
    """Outcomes that mean that the attack was stopped."""
    outcome: str
    passed: bool
    twin: str
    why_no_twin: str
    measured: dict[str, float] = {}
    """Numbers behind the outcome, by a name with its unit."""

    @property
    def numbers(self) -> str:
        """What was measured, for people; empty when nothing was."""
        return ", ".join(f"{name} {value:g}" for name, value in self.measured.items())


class TwinRow(msgspec.Struct, frozen=True):
    """One check against its twin."""

    check: str
    twin: str
    control: str
    """The one that the check is about."""
    removed: tuple[str, ...]
    """All that the twin goes without."""
    outcome: str
    caught: bool
    """The check did not hold there: it can fail."""
    effect: Effect
    """Whether the attack went through there, or a deeper layer answered it."""


class NotHere(msgspec.Struct, frozen=True):
    """A check whose control this host does not offer."""

    name: str
    claim: str
    control: str
    needs: str


class Unproven(msgspec.Struct, frozen=True):
    """A check that cannot have a twin."""

    name: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """All of a proof."""

    rows: tuple[CheckRow, ...] | None
    """None when only twins were asked for."""
    twin_rows: tuple[TwinRow, ...] | None
    """None when twins were not asked for."""
    groups: dict[str, dict[str, int]]
    """`{"network": {"checks": 14, "passed": 14}}`, of the checks."""
    without_twin: tuple[Unproven, ...]
    not_enforced_here: tuple[NotHere, ...]
    weaker: tuple[str, ...]
    """How this host's boxes are weaker than they could be, as every receipt says it."""
    machine: dict[str, str]
    took_s: float
    quick: bool
    only: tuple[str, ...]
    """The names that were asked about; empty for all."""
    available: int
    """How many checks there are in all; when only twins were asked for, how many have one."""
    left_out: tuple[str, ...]
    """The slow checks that a quick proof would have run."""

    @classmethod
    def of(
        cls,
        findings: Sequence[Finding] | None,
        judged: Sequence[TwinFinding] | None,
        *,
        stages: Sequence[Stage],
        choice: Choice,
        weaker: Sequence[str],
        machine: dict[str, str],
        took_s: float,
    ) -> Report:
        """Put a report together; None for a half that was not run."""
        chosen = [check for stage in stages for check in choice.of(stage)]
        behind = {
            check.name: twin.behind(check.control)
            for stage in stages
            for check in stage.checks
            for twin in stage.twins
            if twin.name == check.twin
        }
        return cls(
            rows=None
            if findings is None
            else tuple(_row(one, behind.get(one.check.name, ())) for one in findings),
            twin_rows=None if judged is None else tuple(map(_twin_row, judged)),
            groups=by_group(findings or ()),
            without_twin=tuple(
                Unproven(check.name, check.why_no_twin) for check in chosen if not check.twin
            ),
            not_enforced_here=tuple(
                NotHere(check.name, check.claim, check.control, str(check.needs))
                for stage in stages
                for check in choice.not_here(stage)
            ),
            weaker=tuple(weaker),
            machine=machine,
            took_s=took_s,
            quick=choice.quick,
            only=choice.only,
            available=sum(
                findings is not None or bool(check.twin)
                for stage in stages
                for check in stage.checks
            ),
            left_out=tuple(check.name for stage in stages for check in choice.left_out(stage)),
        )

    @property
    def failures(self) -> list[CheckRow]:
        """The checks that did not hold, those that could not be tried among them."""
        return [row for row in self.rows or () if not row.passed]

    @property
    def missed(self) -> list[TwinRow]:
        """The twins in which nothing was noticed: what their checks say proves nothing."""
        return [row for row in self.twin_rows or () if not row.caught]

    @property
    def partial(self) -> bool:
        """Whether only a part was asked for: what it says holds for that part alone."""
        return self.quick or bool(self.only)

    @property
    def extent(self) -> str:
        """How much of all that there is was run: `27 of 422 checks (only: files)`."""
        half, noun = (self.twin_rows, "twins") if self.rows is None else (self.rows, "checks")
        ran = len(half or ())
        parts = [f"only: {', '.join(self.only)}"] if self.only else []
        if self.quick:
            parts.append(f"quick: {len(self.left_out)} slow left out")
        if parts:
            return f"{ran} of {self.available} {noun} ({'; '.join(parts)})"
        if ran == self.available:
            return f"all {ran} {noun}"
        return f"{ran} of {self.available} {noun}: all that this host can run"

    @property
    def verdict(self) -> str:
        """`proven`, `partly proven` when only a part was asked for, or `NOT PROVEN`."""
        if not self.proven:
            return "NOT PROVEN"
        return "partly proven" if self.partial else "proven"

    @property
    def effects(self) -> dict[str, int]:
        """Of the twins that were caught: how often the attack went through, and how often not."""
        seen = [row.effect for row in self.twin_rows or () if row.caught]
        return {str(one): seen.count(one) for one in (Effect.THROUGH, Effect.DEEPER)}

    @property
    def ran(self) -> bool:
        """Whether every half that was asked for had something to run."""
        halves = [half for half in (self.rows, self.twin_rows) if half is not None]
        return bool(halves) and all(halves)

    @property
    def proven(self) -> bool:
        """Something was run, every check held and every twin was caught."""
        return self.ran and not self.failures and not self.missed

    def told(self) -> dict[str, object]:
        """The report as `--json` prints it: counts first, then names, then rows."""
        told: dict[str, object] = {"proven": self.proven}
        if self.rows is not None:
            told |= {
                "checks": len(self.rows),
                "passed": len(self.rows) - len(self.failures),
                "failed": len(self.failures),
                "groups": self.groups,
                "failures": [row.name for row in self.failures],
            }
        if self.twin_rows is not None:
            told |= {
                "twins": len(self.twin_rows),
                "caught": len(self.twin_rows) - len(self.missed),
                "effects": self.effects,
                "missed": [row.check for row in self.missed],
            }
        told |= {
            "verdict": self.verdict,
            "extent": self.extent,
            "without_twin": self.without_twin,
            "not_enforced_here": self.not_enforced_here,
            "weaker": self.weaker,
            "machine": self.machine,
            "took_s": self.took_s,
            "quick": self.quick,
            "only": self.only,
            "available": self.available,
            "left_out": self.left_out,
        }
        if self.rows is not None:
            told["rows"] = self.rows
        if self.twin_rows is not None:
            told["twin_rows"] = self.twin_rows
        return told


def machine_facts(lab: Lab) -> dict[str, str]:
    """Where the proof ran, in words: a reader must be able to tell what it holds for."""
    return {
        "ironclaw": ironclaw.__version__,
        "when": datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC).isoformat(
            " ", "seconds"
        ),
        "user": "ordinary user" if lab.rootless else "root",
        "runtime": f"runsc {lab.isolator.version} ({lab.settings.sandbox.platform})",
        "image": lab.image.digest,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": str(os.cpu_count()),
    }


def write_report(report: Report, path: Path) -> None:
    """Leave the report for the command that waits for it, whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(msgspec.json.encode(report))
    draft.replace(path)


def read_report(raw: bytes) -> Report:
    """Read what `write_report` wrote. Raises ValueError."""
    return msgspec.json.decode(raw, type=Report)


def _row(finding: Finding, then: tuple[str, ...]) -> CheckRow:
    check: Check = finding.check
    return CheckRow(
        name=check.name,
        group=str(check.group),
        claim=check.claim,
        attack=check.attack,
        control=check.control,
        then=then,
        expected=tuple(sorted(check.expected)),
        outcome=finding.outcome,
        passed=finding.passed,
        twin=check.twin,
        why_no_twin=check.why_no_twin,
        measured=dict(finding.measured),
    )


def _twin_row(one: TwinFinding) -> TwinRow:
    return TwinRow(
        check=one.check.name,
        twin=one.twin.name,
        control=one.check.control,
        removed=one.twin.removes,
        outcome=one.outcome,
        caught=one.caught,
        effect=one.effect,
    )
