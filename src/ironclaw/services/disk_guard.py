"""The disk guard: ends a box whose workspace or memory grows over its cap.

Nothing runs while no box does, or all stand still. Otherwise the free room of the file system is
looked at every `LOOK_S`; what boxes hold is counted only when that shrank, by confined processes
(`Airlocks.count`) that together get `DUTY` of the time. The decisions are `domain.disk`.

    watching -> _run: _look -> _wanted -> _round: _check -> judge -> over(...)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.errors import HostError
from ironclaw.core.log import get_logger
from ironclaw.domain import disk
from ironclaw.domain.wall import Durable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ironclaw.core.clock import Clock
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.disk import Caps, Holding, Over, Room
    from ironclaw.domain.model import Agent
    from ironclaw.domain.wall import Airlocks, Isolator
    from ironclaw.services.slots import Slot

LOOK_S: Final = 0.25
"""Seconds between two looks at the free room."""
DUTY: Final = 0.1
"""The most of the time in which boxes are counted."""
URGENT_DUTY: Final = 0.5
"""The same, while the disk fills by more than a whole cap between two counts."""
QUIET_BYTES: Final = 1024 * 1024
QUIET_FILES: Final = 16
"""By how much the room may change before each box is thought about: logs change it all the time."""
QUIET_S: Final = 30.0
"""For how long at most."""
COUNT_S: Final = 3.0
"""Seconds one count may take; two hundred thousand entries take a tenth of that."""
MOST_FAILURES: Final = 2
"""Counts in a row that may fail while the disk fills; then a box is taken to be over."""
ROUND_S: Final = 1.0
"""Seconds after which a round of counting ends; the rest comes first in the next one."""

_log = get_logger("disk")


class _Places(NamedTuple):
    workspace: Path
    memory: Path


class _Watched:
    """One running box of a session."""

    def __init__(
        self,
        slot: Slot,
        places: _Places,
        caps: Caps,
        over: Callable[[Over], None],
    ) -> None:
        self.slot = slot
        self.places = places
        self.caps = caps
        self.over = over
        self.holding: Holding | None = None
        self.effort = 0
        """Of the box when it was last counted."""
        self.new_effort = 0
        self.still_since = 0
        """The freeze of its freezer during which it was seen to have done nothing; 0 for none."""
        self.is_ended = False
        self.failures = 0
        """Counts in a row that failed although it was urgent."""
        self.is_urgent = False
        self._best: tuple[Room, ...] = ()
        self._counted_s = 0.0

    def shares(self, other: _Watched) -> bool:
        """Whether it is known what it holds, and the other has the same memory."""
        return self.holding is not None and self.places.memory == other.places.memory

    def learn(self, known: _Watched) -> None:
        """Spare a count: a box with an empty workspace holds what its agent's memory does."""
        if self.holding is None and self.slot.is_fresh and known.holding is not None:
            self.holding = disk.Holding(disk.Usage(0, 0), known.holding.memory)

    def need(self, now: tuple[Room, ...], at_s: float) -> disk.Need:
        """How badly it has to be counted, given the room there is."""
        self._best = tuple(map(disk.Room.most, self._best, now))
        since_s = at_s - self._counted_s
        return max(
            disk.need(self.caps, self.holding, best, room, since_s=since_s)
            for best, room in zip(self._best, now, strict=True)
        )

    def seen(self, now: tuple[Room, ...], at_s: float) -> None:
        """It is known what it holds, as of this room and time."""
        self._best, self._counted_s = now, at_s


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
        self._roots = {root.stat().st_dev: root for root in roots}.values()
        self._clock = clock
        self._tasks = tasks
        self._look = look or self._rooms
        self._watched: set[_Watched] = set()
        self._full: dict[_Places, Holding] = {}
        """What was over its cap when its box went: the next one may not add to it."""
        self._is_running = False
        self._stirred = asyncio.Event()
        """Set when a box goes on, comes or goes."""
        self._is_failing = False
        self._thought: tuple[tuple[Room, ...], float] | None = None
        """Room and time when each box was last thought about; None when that is due."""
        self._due_s = 0.0
        """When boxes may be counted again, on the monotonic clock."""
        self._urgent_s = 0.0
        """The same, if it is urgent."""

    @property
    def weaker(self) -> tuple[str, ...]:
        """What does not hold now, in words."""
        return ("what boxes hold on the disk cannot be counted",) if self._is_failing else ()

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
        elif known := next((each for each in self._watched if each.shares(watched)), None):
            watched.learn(known)
        watched.seen(self._look(), self._clock.monotonic_s())
        self._watched.add(watched)
        self._thought = None
        slot.freezer.watch(self._stirred.set)
        self._stirred.set()
        self._start()
        try:
            yield
        finally:
            self._watched.discard(watched)
            self._stirred.set()
            self._remember(watched)

    # --- the loop ---------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._tasks.start(self._run(), name="disk guard")

    async def _run(self) -> None:
        try:
            while self._watched:
                now = self._look()
                if not self._is_quiet(now) and (wanted := self._wanted(now)):
                    await self._round(wanted, now)
                if self._all_stand_still() and self._thought is not None:
                    # Nothing grows, and what grew before has been thought about.
                    self._stirred.clear()
                    await self._stirred.wait()
                else:
                    await asyncio.sleep(LOOK_S)
        finally:
            self._is_running = False

    def _all_stand_still(self) -> bool:
        return all(each.slot.freezer.is_frozen for each in self._watched)

    def _rooms(self) -> tuple[Room, ...]:
        found = []
        for root in self._roots:
            seen = os.statvfs(root)
            size = seen.f_frsize
            found.append(
                disk.Room(seen.f_bavail * size, seen.f_favail, seen.f_blocks * size, seen.f_files)
            )
        return tuple(found)

    def _is_quiet(self, now: tuple[Room, ...]) -> bool:
        """Whether nothing happened since each box was thought about: the usual case, and cheap."""
        if self._thought is None:
            return False
        former, former_s = self._thought
        return self._clock.monotonic_s() - former_s < QUIET_S and all(
            abs(room.free_bytes - before.free_bytes) < QUIET_BYTES
            and abs(room.free_files - before.free_files) < QUIET_FILES
            and not room.is_short
            for before, room in zip(former, now, strict=True)
        )

    def _wanted(self, now: tuple[Room, ...]) -> list[_Watched]:
        """Boxes to count now, the busiest first."""
        at_s = self._clock.monotonic_s()
        self._thought = (now, at_s)
        wanted = []
        for watched in self._watched:
            need = watched.need(now, at_s)
            if need is disk.Need.NONE or watched.is_ended:
                continue
            watched.is_urgent = need is disk.Need.URGENT
            if at_s < (self._urgent_s if watched.is_urgent else self._due_s):
                self._thought = None
                continue
            if self._did_nothing(watched):
                # What went is somebody else's.
                watched.seen(now, at_s)
            else:
                wanted.append(watched)
        return sorted(wanted, key=lambda each: each.effort - each.new_effort)

    def _did_nothing(self, watched: _Watched) -> bool:
        """Whether a box was counted, and has not worked since."""
        freezer = watched.slot.freezer
        if freezer.is_frozen and watched.still_since == freezer.freezes:
            return True
        watched.new_effort = self._isolator.effort(watched.slot.box)
        is_same = watched.holding is not None and watched.new_effort == watched.effort
        # One that stands still need not be asked again.
        watched.still_since = freezer.freezes if is_same and freezer.is_frozen else 0
        return is_same

    async def _round(self, wanted: list[_Watched], now: tuple[Room, ...]) -> None:
        began_s = self._clock.monotonic_s()
        is_short = any(room.is_short for room in now)
        for watched in wanted:
            if await self._check(watched, is_short=is_short):
                watched.seen(now, began_s)
            # Once it is dead there is more room, and the others may be fine.
            if watched.is_ended or self._clock.monotonic_s() - began_s > ROUND_S:
                break
        self._thought = None
        ended_s = self._clock.monotonic_s()
        self._due_s = ended_s + (ended_s - began_s) * (1 - DUTY) / DUTY
        self._urgent_s = ended_s + (ended_s - began_s) * (1 - URGENT_DUTY) / URGENT_DUTY

    async def _check(self, watched: _Watched, *, is_short: bool) -> bool:
        """Count one box and judge it; return whether that worked.

        What cannot be counted while the disk fills counts as over: who breaks the counting would
        otherwise be who may fill the disk.
        """
        try:
            async with asyncio.timeout(COUNT_S):
                now = await self._count(watched)
        except (HostError, TimeoutError) as error:
            if not self._is_failing:
                _log.error("disk_not_counted", detail=getattr(error, "detail", "") or repr(error))
            self._is_failing = True
            watched.failures += watched.is_urgent or is_short
            if watched.failures >= MOST_FAILURES:
                self._end(watched, disk.UNCOUNTED)
            return False
        self._is_failing = False
        watched.failures = 0
        before, watched.holding = watched.holding, now
        watched.effort = watched.new_effort
        if (over := disk.judge(watched.caps, before, now, is_short=is_short)) is not None:
            self._end(watched, over)
        return True

    def _end(self, watched: _Watched, over: Over) -> None:
        if watched not in self._watched:
            return
        watched.is_ended = True
        _log.warning(
            "box_over_disk", slot=watched.slot.id, where=over.where, used=disk.amount(over)
        )
        watched.over(over)
        if over.where == "memory":
            self._spare(watched)

    def _spare(self, culprit: _Watched) -> None:
        """Judge the agent's other boxes by what its memory holds once the busiest is gone."""
        for other in self._watched:
            if other is not culprit and other.places.memory == culprit.places.memory:
                other.holding = None

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
