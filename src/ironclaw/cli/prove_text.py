"""The report of a proof for a terminal: what failed first, then every check, then what is missing.

Outcomes may be a box's own words; the renderer makes them safe to show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.cli import render
from ironclaw.prove.model import ERROR
from ironclaw.prove.report.words import caught, effects

if TYPE_CHECKING:
    from ironclaw.prove.report.model import CheckRow, Report, TwinRow


def show(report: Report) -> None:
    """Show a report to people."""
    for row in report.failures:
        _failure(row)
    for missed in report.missed:
        _miss(missed)
    twins = {row.check: row for row in report.twin_rows or ()}
    if report.rows is None:
        _twins(report.twin_rows or ())
    else:
        for group, counts in report.groups.items():
            title = f"{group}: {counts['passed']} of {counts['checks']} held"
            _group(title, [row for row in report.rows if row.group == group], twins)
    _missing(report)
    render.line("where", tone="strong")
    render.fields({f"  {name}": value for name, value in report.machine.items()})
    render.line()
    render.line(summary(report), tone="good" if report.proven else "bad")


def summary(report: Report) -> str:
    """The proof in one line."""
    parts = []
    if report.rows is not None:
        parts.append(f"{len(report.rows) - len(report.failures)} of {len(report.rows)} checks held")
    if report.twin_rows is not None:
        seen = len(report.twin_rows) - len(report.missed)
        parts.append(f"{seen} of {len(report.twin_rows)} twins caught ({effects(report)})")
    if report.not_enforced_here:
        parts.append(f"{len(report.not_enforced_here)} not enforced on this host")
    word = f"{report.verdict}, {report.extent}" if report.partial else report.verdict
    return f"{word}: {', '.join(parts)}; {report.took_s:g} s"


def _failure(row: CheckRow) -> None:
    render.line(f"FAIL  {row.name}", tone="bad")
    render.fields(
        {
            "  claim": row.claim,
            "  attack": row.attack,
            "  control": f"{row.control}: {_why(row.outcome, 'did not hold')}",
            "  outcome": _outcome(row),
            "  expected": " or ".join(row.expected),
        }
    )
    render.line()


def _miss(row: TwinRow) -> None:
    render.line(f"MISSED  {row.check}", tone="bad")
    render.fields(
        {
            "  twin": row.twin,
            "  without": ", ".join(row.removed),
            "  outcome": row.outcome,
            "  so": f"{_why(row.outcome, 'nothing was noticed')}: the check proves nothing",
        }
    )
    render.line()


def _why(outcome: str, otherwise: str) -> str:
    return "the attack could not be carried out" if outcome.startswith(ERROR) else otherwise


def _group(title: str, rows: list[CheckRow], twins: dict[str, TwinRow]) -> None:
    render.line(title, tone="strong")
    failed_first = sorted(rows, key=lambda row: row.passed)
    cells = [
        (
            "PASS" if row.passed else "FAIL",
            row.name,
            _outcome(row),
            row.control,
            *([_twin(twins.get(row.name))] if twins else []),
            row.claim,
        )
        for row in failed_first
    ]
    more = ["ITS TWIN"] if twins else []
    render.table(("", "CHECK", "OUTCOME", "CONTROL", *more, "CLAIM"), cells, fit=True)
    render.line()


def _outcome(row: CheckRow) -> str:
    return f"{row.outcome} ({row.numbers})" if row.measured else row.outcome


def _twin(row: TwinRow | None) -> str:
    if row is None:
        return "none"
    return f"{caught(row)}: {row.outcome}"


def _twins(rows: tuple[TwinRow, ...]) -> None:
    cells = [
        (caught(row), row.check, ", ".join(row.removed), row.outcome)
        for row in sorted(rows, key=lambda row: row.caught)
    ]
    render.table(("", "CHECK", "WITHOUT", "OUTCOME"), cells, fit=True)
    render.line()


def _missing(report: Report) -> None:
    if report.not_enforced_here or report.weaker:
        render.line("not enforced on this host", tone="warn")
        for words in report.weaker:
            render.edge(f"  {words}")
    if report.not_enforced_here:
        render.table(
            ("  CHECK", "CONTROL", "NEEDS", "CLAIM"),
            [
                (f"  {row.name}", row.control, row.needs, row.claim)
                for row in report.not_enforced_here
            ],
            fit=True,
        )
    if report.not_enforced_here or report.weaker:
        render.line()
    if report.left_out:
        render.line(f"left out by --quick: {len(report.left_out)} slow checks", tone="warn")
        for name in report.left_out:
            render.line(f"  {name}")
        render.line()
    if report.without_twin:
        render.line("without a twin, and why", tone="strong")
        render.fields({f"  {row.name}": row.why for row in report.without_twin})
        render.line()
