"""Parts of the driver: boxes that fill the disk in each way there is, under the real guard."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from ironclaw.airlock.starter import AirlockStarter
from ironclaw.core.clock import SystemClock
from ironclaw.core.ids import AgentId
from ironclaw.core.tasks import Tasks
from ironclaw.domain.disk import Caps
from ironclaw.domain.model import Agent
from ironclaw.domain.wall import Durable
from ironclaw.services.disk_guard import DiskGuard
from ironclaw.services.freezing import Freezer
from ironclaw.services.slots import Slot
from ironclaw.testing.isolator_kit import LANE, WAIT_S, launched

if TYPE_CHECKING:
    from pathlib import Path

    from box_driver import RunscSubject

    from ironclaw.domain.disk import Over
    from ironclaw.domain.wall import AirlockLink

CAPS = Caps(64 * 1024 * 1024, 2000)
WAYS = {
    "bytes": b"w",
    "files": b"i",
    "nameless": b"u",
    "by-name": b"p",
    "mapped": b"m",
    "hidden": b"d",
    "deep": b"D",
}
"""How the box fills it: commands of the probe."""


def _failed(name: str, error: BaseException) -> None:
    raise AssertionError(name) from error


async def floods(subject: RunscSubject, state: Path) -> dict[str, Any]:
    """For each way: why the box was ended, how long that took, and what it holds then."""
    found = {}
    async with AirlockStarter() as airlocks, Tasks("floods", on_failure=_failed) as tasks:
        guard = DiskGuard(
            isolator=subject.isolator,
            airlocks=airlocks,
            caps=CAPS,
            roots=(state / Durable.WORKSPACE, state / Durable.MEMORY),
            clock=SystemClock(),
            tasks=tasks,
        )
        for way, command in WAYS.items():
            found[way] = await _flood(subject, airlocks, guard, way, command)
    return found


async def _flood(
    subject: RunscSubject, airlocks: AirlockStarter, guard: DiskGuard, way: str, command: bytes
) -> dict[str, Any]:
    spec, box, _ = await launched(subject, name=f"flood-{way}", agent="floods")
    slot = Slot(
        directory=spec.dir,
        box=box,
        # The guard has no use for it.
        link=cast("AirlockLink", SimpleNamespace(pid=0, controls=(), missing=())),
        freezer=Freezer(subject.isolator, box, after_s=3600),
        receipt=None,
        workspace=spec.workspace.name,
    )
    agent = Agent(id=AgentId("floods"), name="floods", lane=LANE)
    ended: asyncio.Future[Over] = asyncio.get_running_loop().create_future()
    async with guard.watching(slot, agent, ended.set_result):
        # What it holds before it does anything was counted.
        await asyncio.sleep(0.6)
        begun = time.monotonic()
        await subject.tell(spec.dir, command)
        async with asyncio.timeout(WAIT_S):
            over = await ended
        noticed_s = time.monotonic() - begun
        await subject.isolator.discard(box.slot)
        dead_s = time.monotonic() - begun
    holding = await airlocks.count(
        spec.dir, None, workspace=spec.workspace, memory=spec.memory, most_files=10**6
    )
    for place in (spec.workspace, spec.memory):
        await airlocks.sweep_path(place, uid=spec.dir.box_uid, gid=spec.dir.group)
    return {
        "where": over.where,
        "what": over.what,
        "used": over.used,
        "noticed_s": noticed_s,
        "dead_s": dead_s,
        "bytes": holding.workspace.bytes,
        "files": holding.workspace.files,
    }
