"""What follows the end of a box."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.lifecycle import (
    BASE_DELAY_S,
    MAX_DELAY_S,
    PARK_AFTER,
    Park,
    Rest,
    Retry,
    after_end,
)


@given(st.integers(0, 50), st.booleans())
def test_nothing_pending_always_rests(failures: int, progressed: bool) -> None:
    assert Rest() == after_end(failures=failures, progressed=progressed, pending=False)


@given(st.integers(0, 50))
def test_a_box_that_got_something_done_is_replaced_at_once(failures: int) -> None:
    expected = Retry(delay_s=0.0, failures=0)

    assert expected == after_end(failures=failures, progressed=True, pending=True)


def test_ends_that_bring_nothing_wait_longer_each_time_and_then_park() -> None:
    steps = []
    failures = 0
    for _ in range(PARK_AFTER):
        step = after_end(failures=failures, progressed=False, pending=True)
        steps.append(step)
        if isinstance(step, Retry):
            failures = step.failures

    delays = [step.delay_s for step in steps if isinstance(step, Retry)]
    assert [BASE_DELAY_S, 2.0, 4.0, 8.0] == delays
    assert Park(failures=PARK_AFTER) == steps[-1]


@given(st.integers(0, 1000))
def test_the_wait_is_bounded(failures: int) -> None:
    step = after_end(failures=failures, progressed=False, pending=True)

    assert isinstance(step, Park) or 0 < step.delay_s <= MAX_DELAY_S  # type: ignore[union-attr]
