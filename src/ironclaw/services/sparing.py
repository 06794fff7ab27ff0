"""Records that strangers can cause: few of them, each with a count of the rest.

The first of a kind is recorded at once. What follows within the window is only counted, and
recorded as one when the window ends; so nobody can fill the disk, and nothing is left unsaid.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.audit import AuditEntry

WINDOW_S: Final = 60.0

_log = get_logger("audit")
_Key = tuple[str, str | None]


class Sparing:
    """Counts and records. At rest it has no timer.

    Args:
        append: Adds an entry to the audit.
        tasks: Who owns the work.
        window_s: Seconds in which one record of a kind is made.
    """

    def __init__(
        self,
        append: Callable[..., Awaitable[None]],
        tasks: Tasks,
        *,
        window_s: float = WINDOW_S,
    ) -> None:
        self._append = append
        self._tasks = tasks
        self._window_s = window_s
        # Open windows: what was counted in them, None when nothing yet.
        self._open: dict[_Key, AuditEntry | None] = {}
        self._timers: dict[_Key, asyncio.TimerHandle] = {}
        # What a task is to record that has not begun; it may be cancelled before it does.
        self._unsaid: list[AuditEntry] = []
        # Records that are under way: closing is over when they are.
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed = False

    def note(self, entry: AuditEntry) -> None:
        """Something happened once more. Its `event` and `reason` say of which kind it is."""
        if self._closed:
            return
        key = (entry.event.value, entry.reason)
        if key not in self._open:
            self._begin(key, msgspec.structs.replace(entry, count=1))
            return
        before = self._open[key]
        count = 1 + (0 if before is None else before.count or 0)
        self._open[key] = msgspec.structs.replace(entry, count=count)

    async def close(self) -> None:
        """Record what was only counted so far. Idempotent."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        self._unsaid += [entry for entry in self._open.values() if entry is not None]
        self._open.clear()
        self._timers.clear()
        for entry in list(self._unsaid):
            await self._record(entry)
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _begin(self, key: _Key, entry: AuditEntry) -> None:
        self._unsaid.append(entry)
        task = self._tasks.start(self._record(entry), name=f"audit {entry.event}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        self._open[key] = None
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._window_s, self._end, key)

    def _end(self, key: _Key) -> None:
        del self._timers[key]
        entry = self._open.pop(key)
        if entry is not None:
            self._begin(key, entry)

    async def _record(self, entry: AuditEntry) -> None:
        if entry not in self._unsaid:
            return
        self._unsaid.remove(entry)
        try:
            await self._append(entry)
        except (IronClawError, ValueError) as error:
            # Whoever was refused is refused either way; the log has what the audit could not take:
            # a store that fails, or a name of a stranger that fits no field.
            why = error.code if isinstance(error, IronClawError) else type(error).__name__
            _log.error("audit_failed", audit=entry.event, count=entry.count, why=why)
