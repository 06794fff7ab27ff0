"""When tasks are due, around changes of the clock, and after a long silence."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, TaskId
from ironclaw.domain.model import Misfire, Task
from ironclaw.domain.schedules import (
    GRACE_MS,
    Plan,
    check_cron,
    next_time,
    plan,
    task_of,
    told_as,
)

HOUR = 3_600_000
DAY = 24 * HOUR
NEW_YEAR = 1_767_225_600_000  # 2026-01-01T00:00Z
VIENNA = "Europe/Vienna"
LATE_MS = 86_400_000


def task(cron: str | None = None, zone: str = "UTC", at_ms: int | None = None) -> Task:
    return Task(
        id=TaskId("tsk_a"),
        agent=AgentId("agt_a"),
        name="report",
        channel="api",
        platform_id="home",
        prompt="report",
        cron=cron,
        zone=zone,
        at_ms=at_ms,
    )


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def refusal(cron: str, zone: str, now_ms: int) -> Code | None:
    try:
        check_cron(cron, zone, now_ms)
    except UserError as error:
        return error.code
    return None


def following(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next times, as the clock on the wall there shows them."""
    found, at_ms = [], ms(after)
    for _ in range(count):
        at_ms = next_time(task(cron, zone), after_ms=at_ms) or 0
        found.append(datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).isoformat())
    return found


# --- changes of the clock -------------------------------------------------------------------------


def test_a_time_of_day_that_the_clock_leaves_out_comes_at_the_end_of_the_gap() -> None:
    assert [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ] == following("30 2 * * *", VIENNA, "2026-03-28T00:00+01:00", 3)


def test_two_times_that_are_left_out_are_made_up_for_once() -> None:
    assert ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"] == following(
        "0,30 2 * * *", VIENNA, "2026-03-28T20:00+01:00", 2
    )


def test_a_time_of_day_that_comes_twice_is_due_once() -> None:
    assert [
        "2026-10-24T02:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
    ] == following("30 2 * * *", VIENNA, "2026-10-24T00:00+02:00", 3)


def test_it_is_not_due_again_when_somebody_asks_within_the_second_hour() -> None:
    assert ["2026-10-26T02:30:00+01:00"] == following(
        "30 2 * * *", VIENNA, "2026-10-25T02:10+01:00", 1
    )


def test_every_so_many_minutes_goes_by_real_time_through_the_hour_that_comes_twice() -> None:
    assert [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T02:30:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ] == following("*/30 * * * *", VIENNA, "2026-10-25T02:10+02:00", 4)


def test_half_past_seven_stays_half_past_seven_on_both_sides_of_a_change() -> None:
    seen = following("30 7 * * *", VIENNA, "2026-03-27T12:00+01:00", 4)
    assert {"07:30:00"} == {one[11:19] for one in seen}


_PLACES = st.sampled_from(["UTC", VIENNA, "America/New_York", "Australia/Lord_Howe", "Asia/Tehran"])
_MOMENTS = st.integers(min_value=NEW_YEAR, max_value=NEW_YEAR + 800 * DAY)


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.integers(1, high or 1).map(lambda step: f"*/{step}"),
        st.tuples(number, number).map(lambda two: f"{min(two)}-{max(two)}"),
        st.lists(number, min_size=1, max_size=3).map(lambda some: ",".join(map(str, some))),
    )


_CRONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 28), _field(1, 12), _field(0, 7)).map(
    " ".join
)


@given(cron=_CRONS, zone=_PLACES, after=_MOMENTS)
@example(cron="30 2 * * *", zone=VIENNA, after=ms("2026-10-25T02:45+02:00"))
def test_the_next_time_is_later_on_a_full_minute_and_nothing_comes_before_it(
    cron: str, zone: str, after: int
) -> None:
    one = task(cron, zone)
    found = next_time(one, after_ms=after)
    assert found is not None
    assert found > after
    assert found % 60_000 == 0
    assert next_time(one, after_ms=found - 1) == found
    again = next_time(one, after_ms=(after + found) // 2)
    assert again == found


@given(cron=st.text(max_size=250), zone=st.text(max_size=80), after=st.integers(0, 2**53))
@example(cron="* * * * *", zone="../../etc/passwd", after=0)
@example(cron="* * * * *", zone="Europe", after=0)
@example(cron="* * * * *", zone="U\0TC", after=0)
@example(cron="0 0 L/2,LW * 5L", zone="UTC", after=2**53)
@example(cron="1/1/1/1 * * * *", zone="UTC", after=0)
def test_foreign_text_is_a_schedule_or_refused(cron: str, zone: str, after: int) -> None:
    assert refusal(cron, zone, after) in {None, Code.INVALID}


@given(
    fields=st.lists(st.text(alphabet="0123456789*/,-#LWMONFRI", min_size=1), min_size=5, max_size=5)
)
def test_what_looks_like_a_schedule_is_one_or_refused(fields: list[str]) -> None:
    assert refusal(" ".join(fields), "UTC", NEW_YEAR) in {None, Code.INVALID}


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@daily", "* * * * *" + " " * 200],
)
def test_no_schedule_is_refused_with_an_example(cron: str) -> None:
    with pytest.raises(UserError) as caught:
        check_cron(cron, "UTC", NEW_YEAR)
    assert "30 7 * * MON-FRI" in caught.value.hint


@pytest.mark.parametrize("zone", ["Nowhere/Land", "", "../etc/passwd", "Europe", "zone.tab"])
def test_an_unknown_zone_is_named(zone: str) -> None:
    with pytest.raises(UserError) as caught:
        check_cron("0 7 * * *", zone, NEW_YEAR)
    assert repr(zone) in caught.value.message
    assert "tzdata" in caught.value.hint


# --- once -----------------------------------------------------------------------------------------


def test_what_happens_once_has_no_time_after_it() -> None:
    one = task(at_ms=NEW_YEAR)
    assert next_time(one, after_ms=NEW_YEAR - 1) == NEW_YEAR
    assert next_time(one, after_ms=NEW_YEAR) is None


def test_a_task_without_any_time_is_never_due() -> None:
    assert next_time(task(), after_ms=NEW_YEAR) is None


# --- what was missed ------------------------------------------------------------------------------


def test_on_time_it_fires_and_is_due_again() -> None:
    assert plan(task("0 * * * *"), due_ms=NEW_YEAR, now_ms=NEW_YEAR + 5) == Plan(
        NEW_YEAR, NEW_YEAR + HOUR
    )


def test_many_missed_times_are_made_up_for_once_for_the_latest() -> None:
    now = NEW_YEAR + 10 * HOUR + 5
    assert plan(task("0 * * * *"), due_ms=NEW_YEAR, now_ms=now) == Plan(
        NEW_YEAR + 10 * HOUR, NEW_YEAR + 11 * HOUR
    )


def test_after_days_only_the_last_day_counts() -> None:
    now = NEW_YEAR + 5 * DAY + 30 * 60_000
    assert plan(task("0 * * * *"), due_ms=NEW_YEAR, now_ms=now) == Plan(
        NEW_YEAR + 5 * DAY, NEW_YEAR + 5 * DAY + HOUR
    )


def test_what_is_a_day_late_is_not_made_up_for() -> None:
    weekly = task("0 0 * * THU")  # the first day of that year
    due_ms = next_time(weekly, after_ms=NEW_YEAR - 1)
    assert due_ms == NEW_YEAR
    assert plan(weekly, due_ms=due_ms, now_ms=due_ms + LATE_MS) == Plan(None, due_ms + 7 * DAY)
    assert plan(weekly, due_ms=due_ms, now_ms=due_ms + LATE_MS - 1) == Plan(
        due_ms, due_ms + 7 * DAY
    )


def test_what_happens_once_is_made_up_for_within_a_day_and_then_over() -> None:
    one = task(at_ms=NEW_YEAR)
    assert plan(one, due_ms=NEW_YEAR, now_ms=NEW_YEAR + LATE_MS - 1) == Plan(NEW_YEAR, None)
    assert plan(one, due_ms=NEW_YEAR, now_ms=NEW_YEAR + LATE_MS) == Plan(None, None)


@given(cron=_CRONS, zone=_PLACES, due=_MOMENTS, late=st.integers(0, 3 * DAY))
def test_a_plan_never_fires_ahead_of_time_and_always_moves_on(
    cron: str, zone: str, due: int, late: int
) -> None:
    one = task(cron, zone)
    due_ms = next_time(one, after_ms=due)
    assert due_ms is not None
    now = due_ms + late
    found = plan(one, due_ms=due_ms, now_ms=now)
    assert found.next_ms is not None
    assert found.next_ms > now
    if found.fire_ms is not None:
        assert due_ms <= found.fire_ms <= now
        assert now - found.fire_ms < LATE_MS
    assert (found.fire_ms is not None) or late >= LATE_MS


def test_the_year_has_its_seasons() -> None:
    """So that the tests above test what they say."""
    winter, summer = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 7))
    assert (
        winter.astimezone(ZoneInfo(VIENNA)).utcoffset()
        != summer.astimezone(ZoneInfo(VIENNA)).utcoffset()
    )


# --- every so many seconds, and what is missed ----------------------------------------------------


@given(
    every_s=st.integers(60, 100_000),
    due_ms=st.integers(NEW_YEAR, NEW_YEAR + 400 * DAY),
    late_ms=st.integers(0, 60 * DAY),
    late_s=st.integers(60, 31 * 86_400),
    misfire=st.sampled_from(Misfire),
)
def test_of_what_comes_again_and_again_the_latest_that_is_not_too_late_is_told(
    every_s: int, due_ms: int, late_ms: int, late_s: int, misfire: Misfire
) -> None:
    now_ms = due_ms + late_ms
    what = msgspec.structs.replace(task(), every_s=every_s, late_s=late_s, misfire=misfire)
    fire_ms, next_ms = plan(what, due_ms=due_ms, now_ms=now_ms)
    allowed_ms = GRACE_MS if misfire is Misfire.SKIP else late_s * 1000
    latest = due_ms + late_ms // (every_s * 1000) * every_s * 1000
    assert fire_ms == (latest if now_ms - latest < allowed_ms else None)
    assert next_ms == latest + every_s * 1000


@given(
    due_ms=st.integers(NEW_YEAR, NEW_YEAR + 60 * DAY).map(lambda ms: ms // 60_000 * 60_000),
    late_ms=st.integers(0, 3 * DAY),
    cron=st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 */5 * * *"]),
)
def test_looking_back_for_an_hour_first_finds_the_same_as_looking_at_all_of_it(
    due_ms: int, late_ms: int, cron: str
) -> None:
    what = msgspec.structs.replace(task(cron, VIENNA), late_s=4 * 86_400)
    times, at_ms = [due_ms], due_ms
    while at_ms <= due_ms + late_ms:
        at_ms = next_time(what, after_ms=at_ms) or 0
        times.append(at_ms)
        if len(times) > 500:
            return
    assert plan(what, due_ms=due_ms, now_ms=due_ms + late_ms) == (times[-2], times[-1])


def test_only_an_id_of_the_hosts_making_tells_a_task() -> None:
    assert task_of(told_as(TaskId("tsk_a"), "now/x:y")) == "tsk_a"
    assert task_of("task:tsk_a:1") is None
