"""Starts an airlock as production does, and says in words what one goes without on this host.

Slots, receipts, `status` and the proof all say it from here, so that none of them says less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.ids import SlotId, new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.domain.wall import AirlockLink, Airlocks, Isolator, SlotDir

GROUP: Final = "cgroup"
"""The control that the core adds to those an airlock puts on itself."""


async def start_enclosed(isolator: Isolator, airlocks: Airlocks, directory: SlotDir) -> AirlockLink:
    """Start a slot's airlock and put it in its group; `controls` and `missing` tell of both.

    Raises:
        HostError: `AIRLOCK_FAILED`, or its group cannot be looked after; no airlock is left.
    """
    link = await airlocks.start(directory)
    try:
        is_enclosed = await isolator.enclose(directory.slot, link.pid)
    except BaseException:
        await link.close()
        raise
    if is_enclosed:
        link.controls = (*link.controls, GROUP)
    else:
        link.missing = (*link.missing, GROUP)
    return link


async def airlocks_weaker(isolator: Isolator, airlocks: Airlocks) -> tuple[str, ...]:
    """Start one airlock to see what airlocks go without here, in words; nothing of it is left.

    Raises:
        HostError: It cannot be started.
    """
    slot = SlotId(new_id("slt"))
    try:
        directory = await isolator.prepare(slot, lane=0)
        link = await start_enclosed(isolator, airlocks, directory)
        await link.close()
        return in_words(link.missing)
    finally:
        await isolator.discard(slot)


def in_words(missing: Sequence[str]) -> tuple[str, ...]:
    """Controls that airlocks go without, for people."""
    return tuple(f"airlocks run without {control}" for control in missing)
