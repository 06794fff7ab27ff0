"""What happens by itself when its time has come: requests expire and escalate, grants end.

run: next_due -> sleep until then, or until something new is written -> happen -> next_due ...

One task and one timer. What became due while the core was down is due at once at its start.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.core.alarm import Alarm
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.core.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.clock import Clock
    from ironclaw.services.gateway.rows import ChangeStore, Due

BASE_S: Final = 1.0
CAP_S: Final = 300.0
"""After the n-th failure in a row it waits BASE * 2^n seconds, at most CAP."""
LOOK_S: Final = 3600.0
"""The longest sleep: a machine that was suspended, or whose clock was set, is found out by then."""

_log = get_logger("gateway")


class Deadlines:
    """Carries out what is due.

    Args:
        store: Knows what comes next.
        clock: Says whether it has come.
        happen: Carries one out. Raises IronClawError; then it is tried again later.
    """

    def __init__(
        self, *, store: ChangeStore, clock: Clock, happen: Callable[[Due], Awaitable[None]]
    ) -> None:
        self._store = store
        self._clock = clock
        self._happen = happen
        self._alarm = Alarm()
        self._failures = 0
        self.trouble = ""
        """What cannot be carried out, in words; empty when all is well."""

    def wake(self) -> None:
        """Something was written: another thing may come first now."""
        self._alarm.ring()

    async def run(self) -> None:
        """Carry out what is due until cancelled."""
        await self._alarm.keep(self._look)

    async def _look(self) -> float | None:
        wait_s = await self._step()
        if self._failures and wait_s is not None:
            # News are no reason to try again what failed a moment ago.
            await asyncio.sleep(wait_s)
            return 0
        return wait_s

    async def catch_up(self) -> None:
        """Carry out what is due now. What fails is tried again by `run`."""
        await self._step()

    async def _step(self) -> float | None:
        """Carry out what is due; seconds until the next is, None when there is none."""
        before: Due | None = None
        refusal = ""
        try:
            while (due := await self._store.next_due()) is not None:
                wait_s = (due.at_ms - self._clock.now_ms()) / 1000
                if wait_s > 0:
                    self._succeeded()
                    # A millisecond more: a timer may fire a moment early.
                    return min(wait_s + 0.001, LOOK_S)
                if due == before:
                    return self._failed(due, refusal or "it has no effect")
                before, refusal = due, ""
                try:
                    await self._happen(due)
                except (UserError, PolicyError) as error:
                    # Somebody was quicker, in most cases: then the next look finds it gone.
                    refusal = f"{error.code}: {error.message}"
        except HostError as error:
            return self._failed(before, f"{error.code}: {error.message}", detail=error.detail)
        self._succeeded()
        return None

    def _succeeded(self) -> None:
        self._failures = 0
        self.trouble = ""

    def _failed(self, due: Due | None, why: str, *, detail: str = "") -> float:
        about = "the next time" if due is None else f"{due.what} {due.grant or due.change}"
        wait_s: float = min(BASE_S * 2**self._failures, CAP_S)
        self._failures = min(self._failures + 1, 30)
        self.trouble = f"gateway: cannot carry out {about} ({why})"
        _log.error("due_failed", about=about, why=why, detail=detail, again_s=wait_s)
        return wait_s
