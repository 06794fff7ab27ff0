"""In a real house an airlock that is killed or hangs costs its session a moment, others nothing."""

from __future__ import annotations

import os
import signal
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.house import wait_for, wait_for_end

from ironclaw.airlock.watch import Patience

if TYPE_CHECKING:
    from tests.support.house import House

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]

ROUNDS = 20


def airlock_of(house: House, session: str) -> int:
    """The pid of a session's airlock: the process whose root has this slot's `out/`."""
    slot = house.box_of(session).slot
    wanted = house.in_nest("stat", "-c", "%d", str(house.view / "slots" / slot / "out")).strip()
    for pid in zygote_children(house):
        own_root = f"/proc/{pid}/root"
        found = house.in_nest("stat", "-c", "%d", own_root + "/out").strip()
        if found == wanted:
            return pid
    raise AssertionError(f"no airlock serves {slot}")


def zygote_children(house: House) -> list[int]:
    """Airlocks of this house."""
    core = house.core()
    assert core is not None
    zygotes = [pid for pid in children(core) if b"ironclaw.airlock" in cmdline(pid)]
    return [child for pid in zygotes for child in children(pid)]


def children(pid: int) -> list[int]:
    return [
        int(text)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for text in (task / "children").read_text().split()
    ]


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def round_trips(house: House, agent: str) -> float:
    """The median of some, in milliseconds."""
    took = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        house.ask(agent, f"hello {number}")
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_only_its_own_session_notices(house: House, agent: str, how: signal.Signals) -> None:
    sibling = f"{agent}-b"
    with house.api() as api:
        api.make_agent(sibling)
    session = house.ask(agent, "the first is 17")["session"]
    house.ask(sibling, "hello")
    before = round_trips(house, sibling)
    slot, airlock = house.box_of(session).slot, airlock_of(house, session)
    os.kill(airlock, how)
    with house.api() as api:
        began = time.monotonic()
        sent = api.say(agent, "!recall", wait=0)
        during = round_trips(house, sibling)
        wait_for_end(airlock)
        wait_for(lambda: reply_to(house, session, sent["message"]), "the answer")
        took = time.monotonic() - began
    assert reply_to(house, session, sent["message"]) == '1. "the first is 17"'
    # The box itself went on, with another airlock.
    assert house.box_of(session).slot == slot
    assert airlock_of(house, session) != airlock
    assert during < 3 * before + 100, f"{before:.1f} ms before, {during:.1f} ms during"
    assert took < sum(Patience()) + 15


def reply_to(house: House, session: str, message: str) -> str:
    """What the agent said to a message; empty while it has said nothing."""
    with house.api() as api:
        events = api.get(f"/v1/sessions/{session}/transcript").body["events"]
    said = [each for each in events if each["message"] == message and each["kind"] == "reply"]
    return said[-1]["text"] if said else ""
