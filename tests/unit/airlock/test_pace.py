"""How much processor time an airlock spends on its box."""

from __future__ import annotations

import pytest

from ironclaw.airlock.pace import BURST_S, MESSAGE_S, SHARE, Pace


def test_a_burst_is_free() -> None:
    pace = Pace(0)
    pace.spent(BURST_S * 0.99)
    assert pace.pause_s(0) == 0


def test_a_used_up_burst_is_waited_for_in_part() -> None:
    pace = Pace(0)
    pace.spent(BURST_S)
    pause_s = pace.pause_s(0)
    assert pause_s == pytest.approx(BURST_S / 4 / SHARE)
    assert pace.pause_s(pause_s / 2) == pytest.approx(pause_s / 2)
    assert pace.pause_s(pause_s + 0.001) == 0


def test_on_average_a_flood_gets_its_share() -> None:
    pace = Pace(0)
    now, used = 0.0, 0.0
    while now < 100:
        if pause_s := pace.pause_s(now):
            now += pause_s + 1e-9
        else:
            pace.spent(0.001)
            used += 0.001
            now += 0.001
    assert used / now == pytest.approx(SHARE, rel=0.05)


def test_messages_of_the_core_pay_for_their_turns() -> None:
    pace = Pace(0)
    for _ in range(10_000):
        pace.message()
        pace.spent(MESSAGE_S * 0.9)
        assert pace.pause_s(0) == 0


def test_nothing_is_saved_beyond_the_burst() -> None:
    pace = Pace(0)
    pace.message()
    assert pace.pause_s(1_000_000) == 0
    pace.spent(BURST_S)
    assert pace.pause_s(1_000_000) > 0
