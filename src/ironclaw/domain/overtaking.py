"""Requests that events have overtaken: what they ask for is so already, or their subject is gone.

Such a request can do nothing any more, so it ends, with a word about why. Nothing is applied by it,
and nobody's approval is needed for that. Whatever might still do something goes on waiting. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ironclaw.core.errors import IronClawError
from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.change import Status
from ironclaw.domain.gateway import Write, entry, row_of

if TYPE_CHECKING:
    from ironclaw.domain.changes.base import Live, Spec
    from ironclaw.domain.gateway import Loaded

ENDABLE: Final = frozenset({Status.PENDING, Status.APPROVED, Status.FAILED})
"""Where nothing of a change is applied yet."""


class Overtaken(NamedTuple):
    """Why a request has nothing left to do."""

    why: Literal["come_true", "gone"]
    words: str
    """The same in sentences; they may have names in them."""


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


def overtaken(loaded: Loaded) -> Write:
    """End a request that has nothing left to do; nothing for any other."""
    row = row_of(loaded)
    if row.status not in ENDABLE:
        return Write()
    found = overtaken_by(row.change.spec, loaded.live)
    if found is None:
        return Write()
    return Write(
        status=Status.OVERTAKEN,
        problem=found.words,
        audit=(entry(AuditEvent.CHANGE_OVERTAKEN, row.change, reason=found.why),),
        event="overtaken",
    )
