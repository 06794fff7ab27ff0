"""`session stop`, whatever the box does: from the call to the end of the box's last process."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.errors import IronClawError
from ironclaw.prove.house import measure, twins
from ironclaw.prove.house.private import GREEDY, open_house
from ironclaw.prove.model import ERROR, Check, Measured, could_not

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw.core.ids import SlotId
    from ironclaw.prove.house.private import House
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin

LIMIT_S: Final = 1.0
_GONE: Final = "gone within a second"
_LATE_S: Final = 4.0
_TWIN: Final = "house-polite"
_MUCH: Final = 1 << 40


class _Doing(NamedTuple):
    """What a box does when it is stopped."""

    check: Check
    order: str
    """Empty: it is still starting."""
    arguments: dict[str, object]


def _doing(
    name: str, what: str, order: str, *, is_slow: bool = True, **arguments: object
) -> _Doing:
    check = Check(
        f"stop.{name}",
        f"`session stop` kills a box within a second while it {what}.",
        f"stop a box that ignores every signal while it {what}",
        twins.KILL,
        frozenset({_GONE}),
        _TWIN,
        is_slow=is_slow,
    )
    return _Doing(check, order, arguments)


_DOINGS: Final = (
    _doing("idle", "waits for the next message", "wait", seconds=0, is_slow=False),
    _doing("busy", "spins in eight threads", "spin", workers=8, seconds=60),
    _doing("writing", "writes to the disk", "fill", place="/workspace", most=_MUCH),
    _doing("deaf", "has closed its bell and listens to nobody", "deaf", seconds=60),
    _doing("flooding", "floods its airlock", "flood", seconds=60),
    _doing("asking", "has model calls open", "storm", calls=40),
    _doing("crowded", "has four hundred threads", "threads", most=400),
    _doing("starting", "is starting", "", is_slow=False),
)


class _Stopping:
    """Implements `model.Stage`."""

    name = "stopping"
    checks = tuple(doing.check for doing in _DOINGS)
    twins = tuple(twin for twin in twins.TWINS if twin.name == _TWIN)

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Stop boxes. Raises IronClawError when there is no house."""
        wanted = {check.name for check in checks}
        async with open_house(lab, twins.WEAKENINGS[twin.name] if twin else None) as house:
            return {
                doing.check.name: await _tried(house, doing)
                for doing in _DOINGS
                if doing.check.name in wanted
            }


async def _tried(house: House, doing: _Doing) -> str:
    try:
        return await _stopped(house, doing)
    except (IronClawError, OSError, TimeoutError, ValueError, LookupError) as error:
        return could_not(error)


async def _stopped(house: House, doing: _Doing) -> str:
    chat = doing.check.name.replace(".", "-")
    await house.agent(chat, program=GREEDY)
    if doing.order:
        await house.ordered(chat, "wait", seconds=0)
        await house.order(chat, doing.order, **doing.arguments)
        # It is in the middle of it then.
        await asyncio.sleep(0.4)
        slot = house.launched(chat).dir.slot
    else:
        await house.order(chat, "wait", seconds=0)
        slot = await _starting(house, chat)
    processes = [pid for pid in house.isolator.processes(slot) if pid > 0]
    if not processes:
        return f"{ERROR}there was no box"
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(house.stop(chat), name="prove/stop")
        taken_s = await measure.gone_within(processes, seconds=_LATE_S)
    if taken_s is None:
        return f"{ERROR}it is still there after {time.perf_counter() - began:.1f} s"
    said = _GONE if taken_s <= LIMIT_S else "still there after a second"
    return Measured(said, ms=round(1000 * taken_s))


async def _starting(house: House, chat: str) -> SlotId:
    """Wait until a box's first process is there, which is long before its hello."""
    async with asyncio.timeout(_LATE_S):
        while True:
            if house.launches(chat):
                slot = house.launched(chat).dir.slot
                if house.isolator.processes(slot):
                    return slot
            await asyncio.sleep(0.005)


STOPPING: Final = _Stopping()
