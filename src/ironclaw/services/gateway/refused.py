"""Refusals of the gateway, in the audit: each kind at once, and the same one not again and again.

An agent can ask for what it may not have as often as it likes. The audit is durable and never
shrinks by itself, so the same refusal of the same asker is recorded once in a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.errors import HostError
from ironclaw.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.clock import Clock
    from ironclaw.domain.audit import AuditEntry, By

WINDOW_S: Final = 60.0
MOST: Final = 1024
"""Refusals remembered; with more of them in a window, no further one is recorded but logged."""

_log = get_logger("gateway")


class Refused:
    """Records refusals.

    Args:
        append: Adds an entry to the audit, durable on return.
        clock: Tells when a window is over.
    """

    def __init__(self, append: Callable[[AuditEntry, By], Awaitable[None]], clock: Clock) -> None:
        self._append = append
        self._clock = clock
        self._known: dict[tuple[By, AuditEntry], float] = {}

    async def record(self, entry: AuditEntry, by: By) -> None:
        """Record a refusal. Never raises for a store that fails: who is refused stays so."""
        now_s = self._clock.monotonic_s()
        for key in [key for key, at_s in self._known.items() if now_s - at_s >= WINDOW_S]:
            del self._known[key]
        if (by, entry) in self._known:
            return
        if len(self._known) >= MOST:
            _log.error("refusal_not_recorded", code=entry.code, change=entry.change)
            return
        self._known[by, entry] = now_s
        try:
            await self._append(entry, by)
        except HostError as error:
            _log.error("refusal_not_recorded", code=entry.code, why=error.code)
