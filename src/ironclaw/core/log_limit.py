"""Keeps one thing that repeats from filling the log: a box can make the daemon say much.

Lines are counted by what they say and whom it is about. Once a line has come too often it is left
out, and the next one that is written says how many were.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ironclaw.core.structured import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, WrappedLogger

BURST: Final = 20
"""Lines of one kind that may come at once."""
PER_S: Final = 1.0
"""Lines of one kind that may follow, each second."""
KINDS: Final = 1024
"""Kinds that are remembered; the one that was silent longest is forgotten."""
_WHOM: Final = ("session", "slot", "agent", "channel")


class LineLimit:
    """A processor of structlog.

    Args:
        now_s: Says the time, in monotonic seconds.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._kinds: OrderedDict[tuple[str, str], _Kind] = OrderedDict()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Let a line through, or drop it. Raises structlog.DropEvent."""
        whom = next((str(event[name]) for name in _WHOM if name in event), "")
        key = (str(event.get("event", "")), whom)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = _Kind(self._now_s())
            if len(self._kinds) > KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(key)
        if not kind.take(self._now_s()):
            raise structlog.DropEvent
        if kind.left_out:
            event["left_out"] = kind.left_out
            kind.left_out = 0
        return event


class _Kind:
    """One kind of line: a bucket that fills by `PER_S`."""

    def __init__(self, now_s: float) -> None:
        self._left = float(BURST)
        self._at_s = now_s
        self.left_out = 0

    def take(self, now_s: float) -> bool:
        self._left = min(BURST, self._left + (now_s - self._at_s) * PER_S)
        self._at_s = now_s
        if self._left < 1:
            self.left_out += 1
            return False
        self._left -= 1
        return True
