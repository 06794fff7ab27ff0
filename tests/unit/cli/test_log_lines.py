"""A line of the log is an object for programs and plain words for people, whatever it holds."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.cli.log_lines import in_words, parse_line

LINE = {
    "part": "life",
    "session": "ses_a",
    "code": "too_many_steps",
    "detail": "two words",
    "count": 3,
    "event": "turn_failed",
    "level": "warning",
    "timestamp": "2027-01-15T08:00:00.123456Z",
}


def test_a_line_is_shown_as_when_how_bad_where_what_and_the_rest() -> None:
    assert in_words(json.dumps(LINE)) == (
        "2027-01-15 08:00:00Z warning life      turn_failed"
        ' session=ses_a code=too_many_steps detail="two words" count=3'
    )


def test_a_line_is_an_object_for_programs() -> None:
    assert parse_line(json.dumps(LINE)) == LINE


@given(st.text() | st.sampled_from(["[1]", "7", "null", "[" * 100_000, "{}", '{"a": 1}']))
def test_what_is_no_line_of_ours_is_shown_as_it_is(line: str) -> None:
    assert in_words(line) == line
    assert parse_line(line) in ({"text": line}, {"a": 1})
