"""What the audit knows: a closed set of events, each with the words that belong to it.

No record ever holds what people or agents said. Words are names of checks, codes and the closed
reasons of refusals; ids are our own.
"""

from __future__ import annotations

import enum

import msgspec


class AuditEvent(enum.StrEnum):
    """What can have happened."""

    LAUNCH_PROVEN = "launch.proven"
    """A session was bound to a proven slot; its receipt is signed and stored. No words."""
    LAUNCH_REFUSED = "launch.refused"
    """A launch could not be proven, so no session got it. Words: the checks that failed."""
    SESSION_QUARANTINED = "session.quarantined"
    """A box broke the rules and its session was stopped. Words: which rule."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, as it is told to the audit."""

    event: AuditEvent
    agent: str | None = None
    session: str | None = None
    slot: str | None = None
    epoch: int | None = None
    """Which life of the session's box."""
    code: str = ""
    """Error code, for what was refused."""
    words: tuple[str, ...] = ()


class AuditRecord(AuditEntry, frozen=True, kw_only=True):
    """An entry in its place."""

    number: int
    """Grows by one, without gaps."""
    at_ms: int
