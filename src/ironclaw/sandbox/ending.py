"""Ends one sandbox: kill by pidfd, wait, then let runsc forget it.

runsc's own `delete -force` polls until its processes are gone. Killing them first through pidfds
and waiting on those leaves it nothing to wait for: about 30 ms in place of 125 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from ironclaw.core.log import get_logger
from ironclaw.sandbox.process import gone, kill, start_ticks

if TYPE_CHECKING:
    from ironclaw.sandbox.runsc import Running, Runsc

_log = get_logger(__name__)
_END_S: Final = 5.0
"""Seconds a killed process has to be gone."""


async def end_sandbox(runsc: Runsc, id_: str) -> None:
    """Kill a sandbox, if it runs, and make runsc forget it. Nothing happens if there is none.

    Raises:
        HostError: runsc took too long.
    """
    running = runsc.state(id_)
    if running is None:
        return
    if runsc.is_sentry(running):
        await _kill(running)
    done = await runsc.delete(id_)
    if done.status != 0 and runsc.state(id_) is not None:
        _log.warning("runsc delete failed", id=id_, status=done.status, error=done.stderr)


async def _kill(running: Running) -> None:
    started = {
        pid: ticks
        for pid in (running.pid, running.gofer_pid)
        if pid > 0 and (ticks := start_ticks(pid)) is not None
    }
    for pid, ticks in started.items():
        kill(pid, started=ticks)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            for pid, ticks in started.items():
                await gone(pid, started=ticks)
