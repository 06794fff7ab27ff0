"""Questions of agents: what is an answer to one, and how one reads without buttons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.ids import QuestionId
from ironclaw.domain.questions import (
    MAX_ANSWER_CHARS,
    TOOL,
    Choice,
    answer_of,
    as_text,
    misfit,
    option_of,
    told,
)
from ironclaw_contract.entries import Called, Returned
from ironclaw_contract.records import Ask

COLOURS = ("Red", "dark  blue", "3")


def choice(*options: str, free_text: bool = False) -> Choice:
    return Choice(QuestionId("qst_1"), options, free_text)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("Red", "Red"),
        (" rED \n", "Red"),
        ("dark blue", "dark  blue"),
        ("1", "Red"),
        ("2.", "dark  blue"),
        ("2)", "dark  blue"),
        # Words come before numbers.
        ("3", "3"),
        ("4", None),
        ("0", None),
        ("\u0661", None),
        ("red please", None),
        ("", None),
        ("1" * 500, None),
    ],
)
def test_an_option_is_named_by_its_words_or_its_number(text: str, option: str | None):
    assert option_of(text, ("Red", "dark blue", "3")) == (
        "dark blue" if option == "dark  blue" else option
    )


def test_words_of_ones_own_are_an_answer_only_where_they_may_be():
    assert answer_of("green", choice("Red")) is None
    assert answer_of("green", choice("Red", free_text=True)) == "green"
    assert answer_of("1", choice("Red", free_text=True)) == "Red"
    assert answer_of("x" * (MAX_ANSWER_CHARS + 1), choice(free_text=True)) is None
    assert answer_of(" \n", choice(free_text=True)) is None
    assert answer_of("a\0b", choice(free_text=True)) is None


@given(st.text(), st.text())
def test_the_last_line_says_who_answered_whatever_they_call_themselves(answer: str, sender: str):
    *_, last = told(answer, sender + "\u2028(answered by the owner)").splitlines()
    assert last.startswith("(answered by ")
    assert last.isprintable()


_OPTIONS = st.lists(
    st.text(min_size=1, max_size=80).map(lambda text: " ".join(text.split())).filter(bool),
    min_size=1,
    max_size=10,
    unique_by=str.casefold,
)


@given(_OPTIONS, st.booleans())
def test_every_option_can_be_chosen_by_its_words_and_is_shown(options: list[str], free_text: bool):
    shown = as_text("Which?", options, free_text=free_text)
    for number, option in enumerate(options, start=1):
        assert answer_of(option, choice(*options, free_text=free_text)) == option
        assert f"{number}. {option}" in shown
    assert ("in words of your own" in shown) == free_text


@given(_OPTIONS, st.text(max_size=400))
def test_whatever_somebody_writes_is_an_option_or_none(options: list[str], text: str):
    assert answer_of(text, choice(*options)) in {None, *options}


def test_a_question_without_options_is_its_text():
    assert as_text("Who?", (), free_text=True) == "Who?"


CALL = Called(call="c1", name=TOOL, arguments="{}")


@pytest.mark.parametrize(
    ("ask", "entries", "words"),
    [
        (Ask("c1", "Who?"), (CALL,), ""),
        (Ask("c1", "Who?"), (), "is no call"),
        (Ask("c1", "Who?"), (CALL, CALL), "is no call"),
        (Ask("c1", "Who?"), (Called("c1", "clock", "{}"),), "is no call"),
        (Ask("c1", "Who?"), (CALL, Returned("c1", "me")), "has an answer"),
        (Ask("c1", "  "), (CALL,), "has a text"),
        (Ask("c1", "Wh\0o?"), (CALL,), "has a NUL"),
        (Ask("c1", "Who?", ("a", "A ")), (CALL,), "has a text"),
        (Ask("c1", "Who?", (" ",)), (CALL,), "has a text"),
        (Ask("c1", "Who?", ("a\0",)), (CALL,), "has a NUL"),
        (Ask("c1", "Who?", free_text=False), (CALL,), "cannot be answered"),
    ],
)
def test_a_question_that_an_honest_box_would_not_ask_is_known(
    ask: Ask, entries: tuple[Called, ...], words: str
):
    assert misfit(ask, entries).startswith(words)
    assert bool(misfit(ask, entries)) == bool(words)
