"""What an agent is told of its request, in the host's words: one line for each thing that happens.

Foreign text (what somebody said beside a decision, a name inside a problem) is put in quotes, on
the same line, with everything that could act on a reader made visible.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from ironclaw.core.sanitize import sanitize
from ironclaw.domain.change import Status

if TYPE_CHECKING:
    from ironclaw.domain.change import Row

_SHORT: Final = 500
"""Characters of foreign text in one line."""


def words_for(row: Row) -> str:
    """What is to be said of a change where it is now; empty when there is nothing."""
    about = f"Your request {row.change.id} ({row.change.spec.title})"
    grant = row.grant
    if grant is not None and grant.ended_ms is not None:
        why = {"revoked": "was taken back", "expired": "has ended: its time is over"}
        ended = why.get(grant.ended_why, "was replaced by another change")
        return f"{about}: what it gave {ended}.{_said(grant.ended_words)}"
    came = _came(row)
    return f"{about} {came}" if came else ""


def _came(row: Row) -> str:
    """What came of it so far; empty when that is nothing to tell."""
    if row.status is Status.APPLIED and row.code:
        return (
            f"was approved, but is not in force everywhere yet: {_quoted(row.problem)}. It is "
            "being tried again."
        )
    said = _said(next((one.words for one in reversed(row.decisions) if one.words), ""))
    until = ""
    if row.grant is not None and row.grant.expires_ms is not None:
        until = f", until {_time(row.grant.expires_ms)}"
    return {
        Status.DONE: f"was approved and is in force{until}.{said}",
        Status.DENIED: (
            f"was denied.{said} Asking for the same again will be refused: go on without it, or "
            "ask people here what they would allow."
        ),
        Status.FAILED: (
            f"was approved, but could not be applied: {_quoted(row.problem)}. People have been "
            "told and can try it again."
        ),
        Status.EXPIRED: "has expired: nobody decided on it in time.",
        Status.WITHDRAWN: "was withdrawn.",
        Status.OVERTAKEN: (f"is over, as nothing was left to do: {_quoted(row.problem)}."),
    }.get(row.status, "")


def _said(words: str) -> str:
    """Words of people, as theirs."""
    return f" They said: {_quoted(words)}." if words else ""


def _quoted(text: str) -> str:
    safe = sanitize(text).replace('"', "'")
    return f'"{safe[:_SHORT]}…"' if len(safe) > _SHORT else f'"{safe}"'


def _time(at_ms: int) -> str:
    at = dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC)
    return at.strftime("%Y-%m-%d %H:%M UTC")
