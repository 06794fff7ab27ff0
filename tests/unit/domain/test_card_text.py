"""Values of a card: each kind looks like itself, and every difference is found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.card_text import Item, compared, flat, items, plain, span
from ironclaw.domain.characters import Findings

rows = st.lists(st.builds(Item, st.just("line"), st.sampled_from(["", "a", "b", "c"])), max_size=9)


@given(rows, rows)
def test_taking_away_and_adding_what_differs_makes_the_one_of_the_other(
    before: list[Item], after: list[Item]
) -> None:
    gone = {number for is_new, number, _ in compared(before, after) if not is_new}
    new = {number: item for is_new, number, item in compared(before, after) if is_new}
    stays = iter([item for number, item in enumerate(before, 1) if number not in gone])
    made = [new[number] if number in new else next(stays) for number in range(1, len(after) + 1)]

    assert made == after
    assert list(stays) == []


def test_words_of_the_host_and_strings_that_say_the_same_look_different() -> None:
    shown = [
        plain("x", value, Findings())
        for value in (None, "not set", True, "yes", 1, "1", [], "empty", "", {})
    ]

    assert len(set(shown)) == len(shown) - 1  # nothing in a list, nothing in a struct


def test_a_place_says_where_a_value_is() -> None:
    assert dict(flat("p", {"a": [{"b": 1}, {"b": None}], "c": []})) == {
        "p.a[0].b": 1,
        "p.a[1].b": None,
        "p.c": [],
    }


def test_an_empty_text_is_said_to_be_empty() -> None:
    assert items("", Findings(), key="persona", is_prose=True) == [Item("", "empty")]
    assert items("empty", Findings(), key="persona", is_prose=True) == [
        Item("line", "empty", foreign=True)
    ]


def test_numbers_have_the_unit_of_their_name() -> None:
    assert plain("at_ms", 253_402_300_800_000, Findings()) == "253402300800000"
    assert plain("at_ms", 1000, Findings()) == "1000 (1970-01-01 00:00:01 UTC)"
    assert plain("turn_s", 90, Findings()) == "90"
    assert plain("turn_s", 180, Findings()) == "180 (3 minutes)"
    assert plain("disk_bytes", 1024, Findings()) == "1024"


def test_a_span_is_told_in_the_largest_unit_that_fits() -> None:
    assert [span(seconds) for seconds in (0, 1, 60, 90, 3600, 86_400, 172_800)] == [
        "0 seconds",
        "1 second",
        "1 minute",
        "90 seconds",
        "1 hour",
        "1 day",
        "2 days",
    ]
