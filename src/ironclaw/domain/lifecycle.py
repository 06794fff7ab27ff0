"""What to do when a box ends: rest, start again after a while, or park the session and say so.

Pure: the sessions service carries the decision out.
"""

from __future__ import annotations

from typing import Final, NamedTuple

BASE_DELAY_S: Final = 1.0
MAX_DELAY_S: Final = 300.0
PARK_AFTER: Final = 5
"""Consecutive ends without any committed record in between."""


class Rest(NamedTuple):
    """Nothing is pending: the next message starts a box."""


class Retry(NamedTuple):
    """Start a fresh box after `delay_s` seconds."""

    delay_s: float
    failures: int


class Park(NamedTuple):
    """Give up until a person acts; pending messages fail with a clear word."""

    failures: int


Next = Rest | Retry | Park


def after_end(*, failures: int, progressed: bool, pending: bool) -> Next:
    """Decide what follows the end of a box.

    Args:
        failures: Ends in a row before this one that brought nothing.
        progressed: This box committed at least one record.
        pending: Messages wait for an answer.

    Returns:
        `Rest` when nothing waits. A box that got something done is replaced at once; one that did
        not is replaced after 1, 2, 4, … seconds and parked after `PARK_AFTER` in a row.
    """
    if not pending:
        return Rest()
    if progressed:
        return Retry(delay_s=0.0, failures=0)
    count = failures + 1
    if count >= PARK_AFTER:
        return Park(failures=count)
    return Retry(delay_s=min(BASE_DELAY_S * 2 ** (count - 1), MAX_DELAY_S), failures=count)
