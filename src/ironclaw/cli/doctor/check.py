"""What a check is, and the machine it looks at."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ironclaw.config.settings import Settings


class Mark(enum.StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    """Works, but something is weaker or missing that can wait."""
    FAIL = "fail"
    """A launch will not work."""


class Finding(NamedTuple):
    """What a check found."""

    name: str
    mark: Mark
    text: str
    """What was tried and what came of it."""
    fix: str = ""
    """The command or change that mends it."""
    code: str = ""
    """The error code that a launch would end with."""


class Machine(NamedTuple):
    """What the checks look at."""

    settings: Settings
    uid: int
    probe: dict[str, Any]
    """What the tiny box said: see `ironclaw.cli.doctor.probe`."""


def ok(name: str, text: str) -> Finding:
    """All well."""
    return Finding(name, Mark.OK, text)


def warn(name: str, text: str, *, fix: str) -> Finding:
    """Weaker than it could be."""
    return Finding(name, Mark.WARN, text, fix)


def fail(name: str, text: str, *, fix: str, code: str = "host_unsuited") -> Finding:
    """Broken."""
    return Finding(name, Mark.FAIL, text, fix, code)
