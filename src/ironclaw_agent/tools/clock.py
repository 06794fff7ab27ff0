"""`clock`: what time it is. A model has no other way to know."""

from __future__ import annotations

import time

import msgspec


class Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `clock`: none."""


def clock(_arguments: Clock) -> str:
    """The time in UTC and its day of the week."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ, %A", time.gmtime())
