"""When a provider is left alone, and when it is asked again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.models.breaker import Breaker, BreakerLimits

LIMITS = BreakerLimits(failures=3, rest_s=10.0, longest_s=40.0)


def broken() -> Breaker:
    breaker = Breaker(LIMITS)
    for _ in range(3):
        assert breaker.rest_s(0.0) == 0.0
        breaker.failed(0.0)
    return breaker


def test_some_failures_in_a_row_open_it() -> None:
    breaker = broken()

    assert breaker.rest_s(4.0) == 6.0
    assert breaker.rest_s(9.9) > 0


def test_an_answer_in_between_forgives() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(10):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded()

    assert breaker.rest_s(0.0) == 0.0


def test_after_the_rest_one_attempt_finds_out() -> None:
    breaker = broken()

    assert breaker.rest_s(10.0) == 0.0
    assert breaker.rest_s(10.0) > 0
    breaker.succeeded()
    assert breaker.rest_s(10.0) == 0.0
    assert breaker.rest_s(10.0) == 0.0


def test_each_rest_that_did_not_help_is_followed_by_a_longer_one() -> None:
    breaker = broken()
    now = 10.0
    rests = []
    for _ in range(4):
        assert breaker.rest_s(now) == 0.0
        breaker.failed(now)
        rests.append(breaker.rest_s(now))
        now += rests[-1]

    assert rests == [20.0, 40.0, 40.0, 40.0]


def test_an_attempt_that_was_cancelled_lets_another_one_find_out() -> None:
    breaker = broken()
    assert breaker.rest_s(10.0) == 0.0

    breaker.gave_up()

    assert breaker.rest_s(10.0) == 0.0


@given(st.lists(st.sampled_from(["ask", "failed", "succeeded", "gave_up", "wait"]), max_size=60))
def test_it_never_stays_open_for_ever(steps: list[str]) -> None:
    breaker = Breaker(LIMITS)
    now = 0.0
    for step in steps:
        match step:
            case "ask":
                assert 0.0 <= breaker.rest_s(now) <= LIMITS.longest_s
            case "failed":
                breaker.failed(now)
            case "succeeded":
                breaker.succeeded()
            case "gave_up":
                breaker.gave_up()
            case _:
                now += 7.0
    breaker.gave_up()

    assert breaker.rest_s(now + LIMITS.longest_s) == 0.0
