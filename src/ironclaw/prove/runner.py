"""Runs stages, one after the other, and judges what they observed. A stage that fails is loud."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.prove.model import could_not, found, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Check, Finding, Need, Stage, Twin, TwinFinding

_log = get_logger("prove")


class Choice(NamedTuple):
    """Which checks are run."""

    quick: bool = False
    only: tuple[str, ...] = ()
    """Groups, stages or names of checks; empty for all."""
    missing: frozenset[Need] = frozenset()
    """What this host does not offer."""

    def of(self, stage: Stage) -> list[Check]:
        """The checks of a stage that are run."""
        return [
            check
            for check in stage.checks
            if self._is_chosen(stage, check) and check.needs not in self.missing
        ]

    def not_here(self, stage: Stage) -> list[Check]:
        """The checks whose control this host does not offer."""
        return [
            check
            for check in stage.checks
            if self._is_chosen(stage, check) and check.needs in self.missing
        ]

    def left_out(self, stage: Stage) -> list[Check]:
        """The slow checks that are not run because it is to be quick."""
        return [
            check
            for check in stage.checks
            if self.quick
            and check.is_slow
            and check.needs not in self.missing
            and self._is_named(stage, check)
        ]

    def unknown(self, stages: Sequence[Stage]) -> list[str]:
        """Words of `only` that name no group, stage or check."""
        known = {stage.name for stage in stages}
        for stage in stages:
            for check in stage.checks:
                known |= {str(check.group), check.name}
        return [word for word in self.only if word not in known]

    def _is_chosen(self, stage: Stage, check: Check) -> bool:
        return self._is_named(stage, check) and not (self.quick and check.is_slow)

    def _is_named(self, stage: Stage, check: Check) -> bool:
        return not self.only or bool({stage.name, check.group, check.name} & set(self.only))


async def run_checks(
    stages: Sequence[Stage], lab: Lab, choice: Choice, note: Callable[[str], None]
) -> list[Finding]:
    """Attack production as it is; one finding for each chosen check."""
    findings: list[Finding] = []
    for stage in stages:
        checks = choice.of(stage)
        if not checks:
            continue
        note(f"{stage.name}: {len(checks)} attacks")
        began = time.monotonic()
        seen = await _observed(stage, lab, None, checks)
        ms = round(1000 * (time.monotonic() - began))
        findings += [found(check, seen.get(check.name), ms=ms) for check in checks]
    return findings


async def run_twins(
    stages: Sequence[Stage], lab: Lab, choice: Choice, note: Callable[[str], None]
) -> list[TwinFinding]:
    """Attack every twin with the checks that must not hold there."""
    findings: list[TwinFinding] = []
    for stage in stages:
        checks = choice.of(stage)
        for twin in stage.twins:
            mine = [check for check in checks if check.twin == twin.name]
            if not mine:
                continue
            note(f"{stage.name}, without {', '.join(twin.removes)}: {len(mine)} attacks")
            seen = await _observed(stage, lab, twin, mine)
            findings += [judged(check, twin, seen.get(check.name)) for check in mine]
    return findings


async def _observed(
    stage: Stage, lab: Lab, twin: Twin | None, checks: Sequence[Check]
) -> Mapping[str, str]:
    try:
        return await stage.observe(lab, twin, checks)
    except (IronClawError, OSError, TimeoutError, ValueError, LookupError) as error:
        detail = getattr(error, "detail", "")
        _log.warning("stage_failed", stage=stage.name, error=repr(error), detail=detail)
        word = could_not(error)
        return {check.name: word for check in checks}
