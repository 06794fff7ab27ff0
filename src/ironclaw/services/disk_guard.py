"""The disk guard: ends a box whose workspace or memory grows over its cap.

Nothing runs while no box does. While boxes run, the free room of the file system is looked at every
`LOOK_S`; what boxes hold is counted only when that shrank, by confined processes (`Airlocks.count`)
that together get `DUTY` of a processor. The decisions are `domain.disk`.

    watching -> _run: _look -> is_due? -> _count_active -> judge -> over(...)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.errors import HostError
from ironclaw.core.log import get_logger
from ironclaw.domain import disk
from ironclaw.domain.ports import Durable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ironclaw.core.clock import Clock
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.disk import Caps, Holding, Over, Room
    from ironclaw.domain.model import Agent
    from ironclaw.domain.ports import Airlocks, Isolator
    from ironclaw.services.slots import Slot

LOOK_S: Final = 0.25
"""Seconds between two looks at the free room."""
DUTY: Final = 0.1
"""The most of the time in which boxes are counted."""
ROUND_S: Final = 1.0
"""Seconds after which a round of counting ends; the rest comes first in the next one."""

_log = get_logger("disk")


class _Places(NamedTuple):
    workspace: Path
    memory: Path


class _Watched:
    """One running box of a session."""

    def __init__(
        self, slot: Slot, places: _Places, caps: Caps, over: Callable[[Over], None]
    ) -> None:
        self.slot = slot
        self.places = places
        self.caps = caps
        self.over = over
        self.holding: Holding | None = None
        self.effort = 0
        """Of the box when it was last counted."""
        self.new_effort = 0
        self.is_ended = False


class DiskGuard:
    """Watches the disk of all boxes of one house.

    Args:
        isolator: Knows the directories, and what a box does.
        airlocks: Counts.
        caps: The house's own, for agents that have none.
        roots: Directories of the core, on the file systems that are looked at.
        clock: For the pauses.
        tasks: Owns the loop.
        look: Says what room is left; `os.statvfs` of `roots` when not given.
    """

    def __init__(
        self,
        *,
        isolator: Isolator,
        airlocks: Airlocks,
        caps: Caps,
        roots: tuple[Path, ...],
        clock: Clock,
        tasks: Tasks,
        look: Callable[[], tuple[Room, ...]] | None = None,
    ) -> None:
        self._isolator = isolator
        self._airlocks = airlocks
        self._caps = caps
        self._roots = roots
        self._clock = clock
        self._tasks = tasks
        self._look = look or self._rooms
        self._watched: set[_Watched] = set()
        self._full: dict[_Places, Holding] = {}
        """What was over its cap when its box went: the next one may not add to it."""
        self._is_running = False
        self._is_failing = False
        self._counted_s = 0.0
        """When the last round began, on the monotonic clock."""
        self._not_before_s = 0.0
        self._best: tuple[Room, ...] = ()

    @contextlib.asynccontextmanager
    async def watching(
        self, slot: Slot, agent: Agent, over: Callable[[Over], None]
    ) -> AsyncIterator[None]:
        """Watch a box while the context is open.

        Args:
            slot: The box's; it has not been told anything yet, or was adopted.
            agent: Whose limits count.
            over: Called once, when the box must end.

        Raises:
            HostError: The directories cannot be had, or an over-full one cannot be counted.
        """
        durable = self._isolator.durable
        places = _Places(
            await durable(Durable.WORKSPACE, slot.workspace, lane=agent.lane),
            await durable(Durable.MEMORY, agent.id, lane=agent.lane),
        )
        watched = _Watched(slot, places, disk.caps_of(agent.limits, self._caps), over)
        if self._was_full(places):
            # Before it does anything: what it adds from here on is its own doing.
            watched.holding = await self._count(watched)
        self._watched.add(watched)
        self._start()
        try:
            yield
        finally:
            self._watched.discard(watched)
            self._remember(watched)

    # --- the loop ---------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._best = self._look()
            self._counted_s = self._clock.monotonic_s()
            self._tasks.start(self._run(), name="disk guard")

    async def _run(self) -> None:
        try:
            while self._watched:
                now = self._look()
                self._best = tuple(map(disk.Room.most, self._best, now))
                if self._clock.monotonic_s() >= self._not_before_s and self._is_due(now):
                    await self._round(now)
                await asyncio.sleep(LOOK_S)
        finally:
            self._is_running = False

    def _rooms(self) -> tuple[Room, ...]:
        found = []
        for root in self._roots:
            seen = os.statvfs(root)
            size = seen.f_frsize
            found.append(
                disk.Room(seen.f_bavail * size, seen.f_favail, seen.f_blocks * size, seen.f_files)
            )
        return tuple(found)

    def _is_due(self, now: tuple[Room, ...]) -> bool:
        if any(watched.holding is None for watched in self._watched):
            return True
        caps = disk.Caps(
            min(watched.caps.bytes for watched in self._watched),
            min(watched.caps.files for watched in self._watched),
        )
        since_s = self._clock.monotonic_s() - self._counted_s
        return any(
            disk.is_due(best, room, caps=caps, since_s=since_s)
            for best, room in zip(self._best, now, strict=True)
        )

    async def _round(self, now: tuple[Room, ...]) -> None:
        began_s = self._clock.monotonic_s()
        is_short = any(room.is_short for room in now)
        is_done = True
        for watched in self._active():
            if self._clock.monotonic_s() - began_s > ROUND_S:
                is_done = False
                break
            is_done &= await self._check(watched, is_short=is_short)
        ended_s = self._clock.monotonic_s()
        if is_done:
            self._best, self._counted_s = now, began_s
        self._not_before_s = ended_s + (ended_s - began_s) * (1 - DUTY) / DUTY

    def _active(self) -> list[_Watched]:
        """Boxes that did something since they were counted, the busiest first."""
        found = []
        for watched in [each for each in self._watched if not each.is_ended]:
            watched.new_effort = self._isolator.effort(watched.slot.box)
            if watched.holding is None or watched.new_effort > watched.effort:
                found.append(watched)
        return sorted(found, key=lambda each: each.effort - each.new_effort)

    async def _check(self, watched: _Watched, *, is_short: bool) -> bool:
        """Count one box and judge it; return whether that worked."""
        try:
            now = await self._count(watched)
        except HostError as error:
            if not self._is_failing:
                _log.error("disk_not_counted", code=error.code, detail=error.detail)
            self._is_failing = True
            return False
        self._is_failing = False
        before, watched.holding = watched.holding, now
        watched.effort = watched.new_effort
        over = disk.judge(watched.caps, before, now, is_short=is_short)
        if over is not None and watched in self._watched:
            watched.is_ended = True
            _log.warning(
                "box_over_disk", slot=watched.slot.id, where=over.where, used=disk.amount(over)
            )
            watched.over(over)
        return True

    async def _count(self, watched: _Watched) -> Holding:
        return await self._airlocks.count(
            watched.slot.directory,
            watched.slot.box,
            workspace=watched.places.workspace,
            memory=watched.places.memory,
            most_files=2 * watched.caps.files,
        )

    # --- what was over-full -----------------------------------------------------------------------

    def _was_full(self, places: _Places) -> bool:
        return any(
            places.workspace == full.workspace or places.memory == full.memory
            for full in self._full
        )

    def _remember(self, watched: _Watched) -> None:
        holding = watched.holding
        if holding is not None and disk.is_over(watched.caps, holding):
            self._full[watched.places] = holding
        elif holding is not None:
            self._full.pop(watched.places, None)
