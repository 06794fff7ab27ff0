"""Words about twins that the terminal and the page share: both say no more than was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.prove.model import Effect

if TYPE_CHECKING:
    from ironclaw.prove.report.model import Report, TwinRow


def caught(row: TwinRow) -> str:
    """What came of a twin: `caught`, `deeper layer` when something behind answered, `MISSED`."""
    if not row.caught:
        return "MISSED"
    return str(Effect.DEEPER) if row.effect is Effect.DEEPER else "caught"


def effects(report: Report) -> str:
    """How many of the caught attacks went through, and how many a deeper layer answered."""
    counts = report.effects
    through, deeper = counts[str(Effect.THROUGH)], counts[str(Effect.DEEPER)]
    return f"{through} went through, {deeper} answered by a deeper layer"
