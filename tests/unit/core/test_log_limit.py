"""Lines that repeat."""

from __future__ import annotations

import io

import pytest
import structlog

from ironclaw.core import log
from ironclaw.core.log_limit import BURST, KINDS, PER_S, LineLimit


class Time:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def say(limit: LineLimit, **event: str) -> dict[str, object] | None:
    """What is written of a line; None if it is left out."""
    try:
        return dict(limit(None, "info", dict(event)))
    except structlog.DropEvent:
        return None


def test_a_line_that_comes_too_often_is_left_out_and_counted() -> None:
    time = Time()
    limit = LineLimit(time)
    for _ in range(BURST):
        assert say(limit, event="a", session="s") == {"event": "a", "session": "s"}
    for _ in range(7):
        assert say(limit, event="a", session="s") is None
    time.now_s += 1.5 / PER_S
    assert say(limit, event="a", session="s") == {"event": "a", "session": "s", "left_out": 7}
    assert say(limit, event="a", session="s") is None


def test_other_lines_and_other_sessions_are_not_concerned() -> None:
    limit = LineLimit(Time())
    while say(limit, event="a", session="one") is not None:
        pass
    assert say(limit, event="a", session="two") is not None
    assert say(limit, event="b", session="one") is not None
    assert say(limit, event="a") is not None


def test_what_is_remembered_has_an_end() -> None:
    limit = LineLimit(Time())
    for number in range(3 * KINDS):
        say(limit, event="a", session=str(number))
    assert len(limit._kinds) == KINDS


def test_the_log_of_a_process_is_limited() -> None:
    sink = io.StringIO()
    log.configure(form="json", sink=sink)
    try:
        for number in range(10 * BURST):
            log.get_logger("test").warning("flood", session="ses_a", number=number)
    finally:
        structlog.reset_defaults()
        log.configure(form="text", sink=io.StringIO())
    assert BURST <= len(sink.getvalue().splitlines()) <= BURST + 2


@pytest.mark.parametrize("whom", ["session", "slot", "agent", "channel"])
def test_lines_are_told_apart_by_whom_they_are_about(whom: str) -> None:
    limit = LineLimit(Time())
    while say(limit, event="a", **{whom: "one"}) is not None:
        pass
    assert say(limit, event="a", **{whom: "two"}) is not None
