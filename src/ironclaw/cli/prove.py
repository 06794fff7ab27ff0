"""`ironclaw prove`: every claim of the wall attacked on real boxes, and each check shown to fail.

It runs in a private house and needs no daemon. The exit status is 0 only when something was run,
every check held and every twin was caught.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from ironclaw.cli import launch, prove_text, render, worker
from ironclaw.cli.options import Json, chosen
from ironclaw.cli.private_house import private_house
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, PeerError, UserError
from ironclaw.prove.model import Group
from ironclaw.prove.report.html import page
from ironclaw.prove.report.model import read_report
from ironclaw.prove.runner import Choice
from ironclaw.prove.stages import STAGES
from ironclaw.prove.worker import NOTE, RESULT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.prove.model import Stage
    from ironclaw.prove.report.model import Report

LIMIT_S: Final = 1800.0
_NAMED: Final = 12
"""Failed checks that an error names; the report has them all."""


def prove(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out slow checks: < 45 s.")] = False,
    twins: Annotated[
        bool,
        typer.Option(
            "--twins", help="Attack weakened copies instead: each check must fail in its own."
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            help="A group, stage or check of docs/security/claims.md, as network, wall or "
            "network.resolver; repeat.",
            metavar="NAME",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write one page too; with --twins it has checks and twins."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Attack real boxes in every way that the claims name; exit 0 only if all of it was stopped."""
    choice = Choice(quick, tuple(only or ()))
    check_choice(choice, STAGES, twins=twins)
    if html is not None:
        _check_writable(html)
    began = time.monotonic()
    report = _proof(choice, checks=not twins or html is not None, twins=twins)
    report = msgspec.structs.replace(report, took_s=round(time.monotonic() - began, 1))
    if html is not None:
        html.write_text(page(report), encoding="utf-8")
    problem = problem_with(report)
    if not as_json:
        prove_text.show(report)
        if problem is not None:
            raise problem
        return
    if problem is None:
        render.data(report.told())
        return
    error = {"code": problem.code, "message": problem.message, "hint": problem.hint}
    render.data(report.told() | {"error": error})
    raise typer.Exit(problem.row.exit_code)


def check_choice(choice: Choice, stages: Sequence[Stage], *, twins: bool) -> None:
    """Refuse to prove nothing.

    Raises:
        UserError: `INVALID`: a name is unknown, or what is left has no check, or no twin.
    """
    if unknown := choice.unknown(stages):
        groups = {str(check.group) for stage in stages for check in stage.checks}
        known = ", ".join(str(group) for group in Group if group in groups)
        raise UserError(
            Code.INVALID,
            f"There is nothing named {', '.join(unknown)} to prove.",
            hint=f"Groups: {known}. Stages: {', '.join(stage.name for stage in stages)}. "
            "Names of checks are in docs/security/claims.md.",
        )
    checks = [check for stage in stages for check in choice.of(stage)]
    if not any(check.twin or not twins for check in checks):
        raise UserError(
            Code.INVALID,
            "None of the checks that were chosen has a twin."
            if checks
            else "Of what was chosen, every check is slow and left out by --quick.",
            hint="Choose more with --only, or leave it out."
            if checks
            else "Leave out --quick, or choose more with --only.",
        )


def problem_with(report: Report) -> IronClawError | None:
    """What keeps the report from being a proof; None when nothing does."""
    if report.proven:
        return None
    if not report.ran:
        return HostError(
            Code.HOST_UNSUITED,
            "Nothing was proven: this host offers none of the controls that were asked about.",
            hint="`ironclaw doctor` says what the host lacks.",
        )
    parts = []
    if report.failures:
        failed = [f"{row.name} (control: {row.control})" for row in report.failures]
        parts.append(f"{len(failed)} of {len(report.rows or ())} checks failed: {_some(failed)}.")
    if report.missed:
        missed = [f"{row.check} (without {', '.join(row.removed)})" for row in report.missed]
        parts.append(
            f"{len(missed)} of {len(report.twin_rows or ())} twins not caught: {_some(missed)}."
        )
    return PeerError(
        Code.NOT_CONTAINED,
        " ".join(parts),
        hint="The report has each attack and its outcome. Trust no agent here until it is mended; "
        "`ironclaw doctor` tries the parts of the wall one by one.",
    )


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _proof(choice: Choice, *, checks: bool, twins: bool) -> Report:
    """Run the worker in a private house and wait for its report. Raises IronClawError."""
    mine, config = chosen()
    launch.claim_directories(mine)
    asyncio.run(launch.have_image(mine))
    core = [
        *(sys.executable, "-s", "-P", "-m", "ironclaw.prove.worker"),
        *(["--quick"] if choice.quick else []),
        *(["--twins"] if twins else []),
        *(["--checks"] if checks else []),
        *(word for name in choice.only for word in ("--only", name)),
    ]
    with private_house(mine, config, purpose="prove", core=core) as private:
        raw = worker.result_of(private, file=RESULT, says=NOTE, what="The proof", limit_s=LIMIT_S)
    return read_report(raw)


def _check_writable(path: Path) -> None:
    """Find out now, not after minutes, that the page cannot be written. Raises UserError."""
    was_there = path.exists()
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o644))
        if not was_there:
            path.unlink()
    except OSError as error:
        raise UserError(
            Code.INVALID,
            f"{path} cannot be written: {error.strerror}.",
            hint="Name a file in a directory of yours.",
        ) from error
