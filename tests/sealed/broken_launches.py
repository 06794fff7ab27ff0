"""Launches that somebody breaks off, or whose core dies meanwhile: what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ironclaw.core.errors import HostError
from ironclaw.sandbox import airlock_group, cgroups
from ironclaw.testing.isolator_kit import prepared

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from box_driver import RunscSubject

    from ironclaw.core.ids import SlotId
    from ironclaw.sandbox.isolator import RunscIsolator

MOMENTS_MS = range(4, 260, 16)


async def broken_off(subject: RunscSubject) -> dict[str, Any]:
    """What is left of launches that are broken off, and what would be if nobody waited for it."""
    found = await _break_off(subject)
    end = cgroups.end
    cgroups.end = _end_at_once  # the twin
    try:
        twin = await _break_off(subject)
    finally:
        cgroups.end = end
    for slot in twin["slots"]:
        box = f"{cgroups.PARENT}/{slot}"
        for path in (box, airlock_group.path_of(box)):
            await asyncio.to_thread(end, subject.isolator._groups, path)
    return {**found, "is_usable": subject.isolator._groups.usable, "twin": len(twin["groups"])}


def _end_at_once(groups: cgroups.Cgroups, path: str) -> bool:
    cgroups.remove(groups, path)
    return True


async def _break_off(subject: RunscSubject) -> dict[str, Any]:
    """Break launches off at one moment after another."""
    isolator, slots, early = subject.isolator, [], 0
    for moment in MOMENTS_MS:
        spec = await prepared(subject)
        await subject.arm(spec.dir)
        launching = asyncio.create_task(isolator.launch(spec))
        await asyncio.sleep(moment / 1000)
        early += not launching.done()
        launching.cancel()
        await asyncio.gather(launching, return_exceptions=True)
        await isolator.discard(spec.dir.slot)
        slots.append(spec.dir.slot)
    groups = [str(each) for slot in slots for each in _groups(isolator, slot)]
    await asyncio.sleep(0.5)
    processes = [*map(_processes, slots)]
    return {"early": early, "slots": slots, "groups": groups, "processes": processes}


async def orphaned(
    subject: RunscSubject, again: Callable[[], Awaitable[RunscIsolator]]
) -> dict[str, Any]:
    """Whether the next core knows a box that was being started when the last one was killed."""
    isolator = subject.isolator
    spec = await prepared(subject)
    await subject.arm(spec.dir)
    found: dict[str, Any] = {}
    for way in ("settled", "at once"):
        starting = await _start_alone(isolator, spec)
        try:
            runsc = type(isolator._runsc)
            settled = runsc.settled
            if way == "at once":
                runsc.settled = _nothing  # type: ignore[method-assign] - the twin
            try:
                heir = await again()
            finally:
                runsc.settled = settled  # type: ignore[method-assign]
            found[way] = [box.slot for box in await heir.survivors()] == [spec.dir.slot]
        finally:
            await asyncio.to_thread(starting.wait, 30)
        await heir.discard(spec.dir.slot)
        found[f"left {way}"] = _processes(spec.dir.slot)
        spec = await prepared(subject)
        await subject.arm(spec.dir)
    await isolator.discard(spec.dir.slot)
    return found


async def _nothing(_runsc: object) -> None:
    pass


async def _start_alone(isolator: RunscIsolator, spec: Any) -> subprocess.Popen[bytes]:
    """Start a box as a core does that is killed before runsc has said anything."""
    started: list[subprocess.Popen[bytes]] = []
    runsc = isolator._runsc

    async def start(id_: str, bundle: Path, *, log: Path) -> None:
        argv = (*runsc._base(), f"--log={log}", "run", "-detach", "-bundle", str(bundle), id_)
        quiet = subprocess.DEVNULL
        begin = partial(subprocess.Popen, argv, stdin=quiet, stdout=quiet, stderr=quiet)
        started.append(await asyncio.to_thread(begin))
        raise ConnectionAbortedError

    runsc.start = start  # type: ignore[method-assign]
    try:
        with contextlib.suppress(ConnectionAbortedError, HostError):
            await isolator.launch(spec)
    finally:
        del runsc.start  # type: ignore[method-assign]
    return started[0]


def _groups(isolator: RunscIsolator, slot: SlotId) -> list[Path]:
    box = f"{cgroups.PARENT}/{slot}"
    return [
        place
        for path in (box, airlock_group.path_of(box))
        if isolator._groups.usable
        for place in cgroups.directories(isolator._groups, path)
    ]


def _processes(slot: SlotId) -> list[str]:
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = file.read_bytes()
            if slot.encode() in words:
                found.append(words.replace(b"\0", b" ").decode())
    return found
