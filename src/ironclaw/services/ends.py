"""How the life of a box ends, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import MessageId
    from ironclaw.domain.model import Delivery

Reason = Literal[
    "idle",
    "retired",
    "replaced",
    "stopped",
    "ended",
    "gone",
    "hung",
    "tamper",
    "trouble",
    "memory",
    "disk",
    "overtime",
    "bug",
]

NO_MEMORY: Final = (
    "The agent took more memory than it may ({} MiB): it was stopped. Send it less at once, or "
    "something else."
)

TOO_LONG: Final = (
    "The agent took longer than the {:g} seconds that it may take for one turn, and was stopped. "
    "Ask for less at once; its limit can be raised: `ironclaw agent limits`."
)

_log = get_logger("life")


class End(NamedTuple):
    """How a life ended."""

    reason: Reason
    detail: str
    progressed: bool
    """At least one record of a turn was committed."""
    words: str = ""
    """What people are told, where this end is their answer."""
    code: Code = Code.BOX_BROKEN
    """What it is called on every surface, where it fails a message."""
    message: MessageId | None = None
    """The only one that it fails; None: all that wait."""


def note_failures(deliveries: Sequence[Delivery]) -> None:
    """Log what people are told of failures: whose and why, never a word of it."""
    for told in deliveries:
        if told.is_error:
            _log.warning("turn_failed", session=told.session, message=told.message, code=told.code)
