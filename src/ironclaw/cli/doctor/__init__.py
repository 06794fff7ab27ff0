"""`ironclaw doctor`: tries each thing that a launch needs, and says how to mend what fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import typer

from ironclaw.cli import render
from ironclaw.cli.doctor import host, wall
from ironclaw.cli.doctor.check import Finding, Machine, Mark, fail
from ironclaw.cli.options import Json, settings
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import IronClawError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.cli.render import Tone

CHECKS: Final[tuple[Callable[[Machine], Finding], ...]] = (
    wall.runsc_version,
    host.subordinate_ids,
    host.user_namespaces,
    wall.box,
    wall.seccomp,
    wall.sealed,
    wall.limits,
    host.directories,
    host.disk,
    host.memory,
    host.clock,
    host.image,
    host.keys,
    host.models,
    host.daemon,
)
_TONES: Final[dict[Mark, Tone]] = {Mark.OK: "good", Mark.WARN: "warn", Mark.FAIL: "bad"}


def doctor(*, as_json: Json = False) -> None:
    """Try each thing that a launch needs; print the fix for each that fails."""
    mine = settings()
    if not as_json:
        render.note("Launching a tiny box …")
    machine = Machine(mine, os.geteuid(), wall.launch(mine.sandbox.runsc, mine.sandbox.platform))
    found: list[Finding] = []
    for check in CHECKS:
        finding = once(examine(check, machine), found)
        found.append(finding)
        if not as_json:
            show(finding)
    failed = [finding for finding in found if finding.mark is Mark.FAIL]
    if as_json:
        render.data(
            {
                "ok": not failed,
                "checks": [finding._asdict() for finding in found],
                "box": machine.probe,
            }
        )
    elif not failed:
        render.line("All that a launch needs is there.", tone="good")
    if failed:
        raise typer.Exit(exit_code(failed[0]))


def examine(check: Callable[[Machine], Finding], machine: Machine) -> Finding:
    """Run one check; one that cannot even be tried has failed."""
    try:
        return check(machine)
    except IronClawError as error:
        return fail(check.__name__, error.message, fix=error.hint, code=error.code)
    except OSError as error:
        return fail(
            check.__name__, f"Cannot be tried: {error}.", fix="Check that this user may look there."
        )


def once(finding: Finding, before: Sequence[Finding]) -> Finding:
    """Name the check that is to be mended first, where its fix would only be said again."""
    for former in before:
        if former.mark is Mark.FAIL and former.fix and former.fix == finding.fix:
            return finding._replace(fix=f"Mend `{former.name}` first.")
    return finding


def exit_code(finding: Finding) -> int:
    """The exit code of the table for a failed check."""
    return CODES[Code(finding.code)].exit_code


def show(finding: Finding) -> None:
    """Show what a check found."""
    render.edge(f"{finding.mark:4}  {finding.name:12} {finding.text}", tone=_TONES[finding.mark])
    if finding.fix:
        # As one line: it has commands, which are copied.
        render.line(f"      fix: {finding.fix}")
