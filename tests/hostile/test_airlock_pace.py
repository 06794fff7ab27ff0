"""A box that keeps its airlock busy gets a share of one core for that, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.slots import slots

from ironclaw.airlock.pace import BURST_S, SHARE
from ironclaw_contract.frames import pack
from ironclaw_contract.limits import MAX_TOOL_FRAME_BYTES
from ironclaw_contract.rpc import Bell, Cancel, Use

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.slots import Slot

pytestmark = pytest.mark.hostile

_FLOOD_S = 4.0
_SLACK_S = 0.1
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


@contextlib.contextmanager
def flood(once: Callable[[], object]) -> Iterator[None]:
    """Do something again and again in a thread."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            try:
                once()
            except BlockingIOError:
                time.sleep(0.0005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def bells(slot: Slot) -> Callable[[], object]:
    assert slot.box.bell is not None
    slot.box.bell.setblocking(False)
    return lambda: slot.box.bell and slot.box.bell.send(Bell.LOOK.value)


def cancels(slot: Slot) -> Callable[[], object]:
    slot.box.model = slot.box.connect("model.sock")
    slot.box.model.setblocking(False)
    frames = pack(Cancel(call=77)) * 100
    return lambda: slot.box.model and slot.box.model.send(frames)


def uses(slot: Slot) -> Callable[[], object]:
    """More than may be open: each is refused, and nobody reads that, so connections are lost."""
    use = Use(call=1, turn="msg_a", key="k", tool="my_rights", arguments="x" * 1000)
    frame = pack(use, limit=MAX_TOOL_FRAME_BYTES)

    def once() -> None:
        if slot.box.tools is None:
            slot.box.tools = slot.box.connect("tools.sock")
        try:
            slot.box.tools.sendall(frame)
        except ConnectionError:
            slot.box.tools.close()
            slot.box.tools = None

    return once


@pytest.mark.parametrize("kind", [bells, cancels, uses])
async def test_a_flood_costs_a_share_of_a_core_and_the_session_goes_on(
    kind: Callable[[Slot], Callable[[], object]],
) -> None:
    async with slots() as (slot,):
        await slot.bring_up()
        await slot.link.offer_tools(True)
        assert await slot.send("before") == ["before"]
        before = cpu_s(slot.link.pid)
        with flood(kind(slot)):
            await asyncio.sleep(_FLOOD_S)
            used = cpu_s(slot.link.pid) - before
        assert used < BURST_S + SHARE * _FLOOD_S + _SLACK_S
        assert slot.box.bell is not None
        slot.box.bell.setblocking(True)
        assert await slot.send("after") == ["after"]
