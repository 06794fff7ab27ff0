"""The refusal of what a box says and cannot be true."""

from __future__ import annotations

from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError


def tamper(reason: str, detail: str) -> PeerError:
    """The error that ends a session.

    Args:
        reason: The rule that was broken, in a word.
        detail: What was claimed, for the log.
    """
    return PeerError(
        Code.TAMPER,
        "The sandbox broke the rules of the queue.",
        hint="The session is quarantined: look at its log, then start a new one.",
        detail=f"{reason}: {detail}",
    )
