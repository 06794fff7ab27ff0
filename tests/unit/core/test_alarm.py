"""The alarm: who sleeps until something is due, and who rings."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.alarm import Alarm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@contextlib.asynccontextmanager
async def kept(alarm: Alarm, look: Callable[[], Awaitable[float | None]]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(alarm.keep(look))
        yield
        task.cancel()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Looks:
    """Counts looks; each of them says how long there is nothing to do."""

    def __init__(self, *waits_s: float | None) -> None:
        self.count = 0
        self.are_over = asyncio.Event()
        self._waits_s = list(waits_s)

    async def __call__(self) -> float | None:
        self.count += 1
        if self._waits_s:
            return self._waits_s.pop(0)
        self.are_over.set()
        return None


async def test_with_nothing_to_come_it_sleeps_until_rung() -> None:
    alarm, looks = Alarm(), Looks()
    async with kept(alarm, looks):
        await turns()
        assert looks.count == 1
        alarm.ring()
        await turns()
        assert looks.count == 2


async def test_rings_before_a_look_are_one_look() -> None:
    alarm, looks = Alarm(), Looks()
    alarm.ring()
    async with kept(alarm, looks):
        await turns()
        assert looks.count == 1
        alarm.ring()
        alarm.ring()
        await turns()
        assert looks.count == 2


async def test_it_looks_again_when_the_time_has_come() -> None:
    alarm, looks = Alarm(), Looks(0.01, 0.0)
    async with kept(alarm, looks), asyncio.timeout(5):
        await looks.are_over.wait()
    assert looks.count == 3


async def test_a_look_sees_whether_it_was_rung_since_it_began() -> None:
    alarm = Alarm()
    seen: list[bool] = []

    async def look() -> None:
        seen.append(alarm.is_rung)
        if len(seen) == 1:
            alarm.ring()
            seen.append(alarm.is_rung)

    alarm.ring()
    async with kept(alarm, look):
        await turns()
    assert seen == [False, True, False]


async def test_what_a_look_raises_ends_it() -> None:
    async def look() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await Alarm().keep(look)


@given(
    gaps=st.lists(st.integers(0, 6), max_size=20),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    wait_s=st.sampled_from([None, 60.0, 0.0]),
)
def test_no_ring_is_lost_whenever_it_comes(
    gaps: list[int], before: int, after: int, wait_s: float | None
) -> None:
    """What is written and then rung for is found, also during a look that has read already."""

    async def run() -> None:
        alarm = Alarm()
        written = found = 0

        async def look() -> float | None:
            nonlocal found
            await turns(before)
            found = written
            await turns(after)
            # Once all is found, only a ring may bring the next look: nothing else hides a lost one.
            return wait_s if written < len(gaps) else None

        async with kept(alarm, look):
            for gap in gaps:
                await turns(gap)
                written += 1
                alarm.ring()
            await turns(50)
            assert found == len(gaps)

    asyncio.run(run())
