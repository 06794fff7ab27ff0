"""Requests that events have overtaken: what they ask for is so already, or their subject is gone.

Such a request can do nothing any more, so it ends, with a word about why. Nothing is applied by it,
and nobody's approval is needed for that. Whatever might still do something goes on waiting. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, UserError
from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.card_text import moment
from ironclaw.domain.change import Status
from ironclaw.domain.gateway import Write, entry, row_of

if TYPE_CHECKING:
    from ironclaw.domain.change import Change, Grant
    from ironclaw.domain.changes.base import Live, Spec
    from ironclaw.domain.gateway import Loaded

ENDABLE: Final = frozenset({Status.PENDING, Status.APPROVED, Status.FAILED})
"""Where nothing of a change is applied yet."""


class Overtaken(NamedTuple):
    """Why a request has nothing left to do."""

    why: Literal["come_true", "gone"]
    words: str
    """The same in sentences; they may have names in them."""


class NotYet(NamedTuple):
    """Why a request has to wait though somebody may decide on it, in sentences."""

    why: str
    way: str
    """What would help; empty when nobody knows."""


def overtaken_by(spec: Spec, live: Live) -> Overtaken | None:
    """Why a change has nothing left to do; None while it might do something, also when in doubt.

    1. It is refused as things are: what may be applied is never ended.
    2. What it was about is gone for good, or it would leave all that it is about as it is.
    """
    try:
        spec.check(live)
    except IronClawError as error:
        refusal = error.message
    else:
        return None
    if spec.is_gone(live):
        return Overtaken("gone", f"What it was about is gone. {refusal}")
    if spec.has_come_true(live):
        return Overtaken("come_true", f"It has come true already. {refusal}")
    return None


def is_lent(loaded: Loaded, change: Change) -> bool:
    """Whether what is asked for may be so for a time alone, and shall be so for longer."""
    lent = loaded.lent
    if lent is None or lent.expires_ms is None:
        return False
    return (
        change.grant_s is None or loaded.live.house.now_ms + change.grant_s * 1000 > lent.expires_ms
    )


def so_for_a_time(how: str, lent: Grant) -> UserError:
    """What is asked for is so by now, as `how` says, and ends by itself: nothing to do yet."""
    return UserError(
        Code.CONFLICT,
        f"{how} But only for a time.",
        hint=f"It is so {_until(lent)}. Come back when that has ended{_or_taken_back(lent)}.",
    )


def not_yet(loaded: Loaded, change: Change) -> NotYet | None:
    """Why a change that waits could not be applied as things are; None when it could be.

    For one that is not overtaken: its refusal may pass.
    """
    spec, live, lent = change.spec, loaded.live, loaded.lent
    try:
        spec.check(live)
    except IronClawError as error:
        refusal = error
    else:
        return None
    if lent is not None and is_lent(loaded, change) and overtaken_by(spec, live) is not None:
        return NotYet(
            f"It is so already for a time: {_until(lent)}.",
            f"It can be approved once that has ended{_or_taken_back(lent)}.",
        )
    return NotYet(refusal.message, refusal.hint or "")


def _until(lent: Grant) -> str:
    ends = "it ends by itself" if lent.expires_ms is None else f"until {moment(lent.expires_ms)}"
    return f"{ends}, by the grant {lent.id}"


def _or_taken_back(lent: Grant) -> str:
    return f" or was taken back: `ironclaw grant revoke {lent.id}`" if lent.revocable else ""


def overtaken(loaded: Loaded) -> Write:
    """End a request that has nothing left to do; nothing for any other.

    What is so for a time alone ends nobody's request to have it so for good: a rest of a minute
    would end the request for one without an end.
    """
    row = row_of(loaded)
    if row.status not in ENDABLE:
        return Write()
    found = overtaken_by(row.change.spec, loaded.live)
    if found is None or (found.why == "come_true" and is_lent(loaded, row.change)):
        return Write()
    return Write(
        status=Status.OVERTAKEN,
        problem=found.words,
        audit=(entry(AuditEvent.CHANGE_OVERTAKEN, row.change, reason=found.why),),
        event="overtaken",
    )
