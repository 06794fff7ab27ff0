"""The watch over an airlock: silent at rest, patient with a busy core, sure of one that hangs."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.cores import until

from ironclaw.airlock.watch import Patience, Watch

SHORT = Patience(quiet_s=0.02, answer_s=0.02)


class Airlock:
    """Answers when it is asked, unless told otherwise."""

    def __init__(self) -> None:
        self.watch = Watch(self, SHORT)
        self.asked = 0
        self.answers = True
        self.is_taken = True
        self.ended = asyncio.Event()

    def ask(self) -> None:
        self.asked += 1
        if self.answers:
            self.watch.heard()

    def is_reading(self) -> bool:
        return self.is_taken

    def hung(self) -> None:
        self.ended.set()


@pytest.fixture
async def airlock() -> Airlock:
    return Airlock()


async def hangs(airlock: Airlock, *, within_s: float = 5.0) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await airlock.ended.wait()
    except TimeoutError:
        return False
    return True


async def test_at_rest_nobody_is_asked(airlock: Airlock) -> None:
    await asyncio.sleep(0.1)
    assert (airlock.asked, airlock.watch._timer) == (0, None)


async def test_what_was_said_is_followed_by_one_question_and_then_rest(airlock: Airlock) -> None:
    for _ in range(5):
        airlock.watch.said()
    await asyncio.sleep(0.2)
    assert (airlock.asked, airlock.watch._timer) == (1, None)


async def test_one_that_does_not_answer_hangs(airlock: Airlock) -> None:
    airlock.answers = False
    airlock.watch.said()
    assert await hangs(airlock)
    assert airlock.asked == 1


async def test_bytes_from_before_the_question_are_no_answer(airlock: Airlock) -> None:
    airlock.answers = False
    airlock.watch.said()
    airlock.watch.heard()
    assert await hangs(airlock)


async def test_one_that_stops_in_the_middle_of_a_turn_hangs(airlock: Airlock) -> None:
    airlock.watch.said(owed=["msg_a"])
    await until(lambda: airlock.asked == 3, "the third question")
    airlock.answers = False
    assert await hangs(airlock)


async def test_an_answered_message_lets_it_rest(airlock: Airlock) -> None:
    airlock.watch.said(owed=["msg_a", "msg_b"])
    airlock.watch.settled("msg_a")
    airlock.watch.settled("msg_b")
    airlock.watch.settled("msg_of_nobody")
    await asyncio.sleep(0.2)
    assert (airlock.asked, airlock.watch._timer) == (1, None)


async def test_what_is_said_after_the_question_has_a_question_of_its_own(airlock: Airlock) -> None:
    airlock.watch.said()
    await until(lambda: airlock.asked, "the question")
    airlock.answers = False
    airlock.watch.said()
    assert await hangs(airlock)
    assert airlock.asked == 2


async def test_a_core_that_takes_nothing_accuses_nobody(airlock: Airlock) -> None:
    airlock.answers = airlock.is_taken = False
    airlock.watch.said(owed=["msg_a"])
    assert not await hangs(airlock, within_s=0.2)
    airlock.is_taken = True
    assert await hangs(airlock)


async def test_a_link_that_has_ended_is_watched_no_more(airlock: Airlock) -> None:
    airlock.answers = False
    airlock.watch.said(owed=["msg_a"])
    airlock.watch.stop()
    airlock.watch.said(owed=["msg_b"])
    assert not await hangs(airlock, within_s=0.2)
    assert airlock.asked == 0
