"""In a real house an idle box stands still and costs nothing; who speaks to it does not notice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.sealed.test_airlock_lost import airlock_of
from tests.support.house import wait_for, wait_for_end

from ironclaw.services.freezing import STILL_AFTER_S

if TYPE_CHECKING:
    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(120)]

WATCHED_S = 3.0
"""A sentry's own clocks wake it every second."""


def nanoseconds(pid: int) -> int:
    """Processor time of a process so far."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads)


def is_stopped(pid: int) -> bool:
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return {thread.read_text().rsplit(") ", 1)[1][0] for thread in threads} == {"T"}


def stands_still(pid: int) -> bool:
    """Whether it is stopped and was not let go on again because something in it ran."""
    if not is_stopped(pid):
        return False
    time.sleep(3 * STILL_AFTER_S)
    return is_stopped(pid)


def frozen(house: House, agent: str) -> str:
    """A session that has remembered something and whose box stands still."""
    session: str = house.ask(agent, "the first is 17")["session"]
    wait_for(lambda: stands_still(house.box_of(session).sentry), "the box to stand still")
    return session


def remembers(house: House, agent: str) -> bool:
    return bool(house.ask(agent, "!recall")["reply"] == '1. "the first is 17"')


def test_an_idle_box_uses_no_processor_and_answers_when_it_is_spoken_to(
    house: House, agent: str
) -> None:
    box = house.box_of(frozen(house, agent))
    before = nanoseconds(box.sentry)
    time.sleep(WATCHED_S)
    assert nanoseconds(box.sentry) == before
    assert remembers(house, agent)
    wait_for(lambda: stands_still(box.sentry), "the box to stand still again")


def test_one_that_is_not_frozen_uses_some(houses_of: Houses) -> None:
    """The twin of the test above: it would be found."""
    with houses_of.open(SANDBOX_FREEZE_AFTER_S="3600") as house:
        box = house.box_of(house.ask("demo", "hello")["session"])
        time.sleep(WATCHED_S)
        before = nanoseconds(box.sentry)
        time.sleep(WATCHED_S)
        assert nanoseconds(box.sentry) > before
        assert not stands_still(box.sentry)


def test_a_frozen_box_outlives_its_airlock(house: House, agent: str) -> None:
    session = frozen(house, agent)
    slot, airlock = house.box_of(session).slot, airlock_of(house, session)
    os.kill(airlock, signal.SIGKILL)
    wait_for_end(airlock)
    assert remembers(house, agent)
    assert house.box_of(session).slot == slot


def test_a_frozen_box_outlives_its_core(houses_of: Houses) -> None:
    with houses_of.open() as house:
        session = frozen(house, "demo")
        box, core = house.box_of(session), house.core()
        assert core is not None
        assert is_stopped(box.sentry)
        os.kill(core, signal.SIGKILL)
        wait_for_end(core)
        wait_for(lambda: house.core() not in {None, core} and house.is_ready, "a new core")
        assert remembers(house, "demo")
        assert house.box_of(session).slot == box.slot


def test_a_frozen_box_is_ended_as_any_other(house: House, agent: str) -> None:
    session = frozen(house, agent)
    sentry = house.box_of(session).sentry
    assert house.cli("session", "stop", session, "--json").status == 0
    wait_for_end(sentry)
