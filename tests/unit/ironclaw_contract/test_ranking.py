"""Ranking: all words before some, whole words before parts, and any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_contract.ranking import MAX_WORDS, excerpt, query_words, score


def test_words_are_folded_and_each_counts_once():
    assert query_words("  The GARAGE-code, the Straße ") == ("the", "garage", "code", "strasse")
    assert query_words("?!, -") == ()
    assert len(query_words(" ".join(map(str, range(99))))) == MAX_WORDS


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("the code of the garage is 42", "garage garage garage garage garage"),  # all, some
        ("a garage", "garages"),  # a whole word, a beginning
        ("garages", "xgarage"),  # a beginning, an inside
        ("garage", "the of the the of the"),  # one that says much, several that say little
        ("garage and garage", "garage"),  # often, once
    ],
)
def test_the_better_answer_stands_first(better: str, worse: str):
    words = query_words("the code of the garage")
    if worse.startswith("garages") or better.startswith(("garages", "a garage", "garage and")):
        words = ("garage",)
    assert score(words, better) > score(words, worse) > 0


def test_a_title_counts_as_well():
    assert score(("garage",), "the code is 42", title="garage") > score(("garage",), "the garage")
    assert score(("garage", "code"), "the code", title="garage") > 1000


def test_an_excerpt_is_about_the_words():
    text = "x" * 1000 + " the garage " + "y" * 1000
    part = excerpt(("garage",), text, chars=100)
    assert "garage" in part
    assert len(part) == 102
    assert excerpt(("garage",), "short", chars=100) == "short"
    assert excerpt((), text, chars=10) == "x" * 10 + "…"


@given(st.text(max_size=200), st.text(max_size=500), st.text(max_size=50), st.integers(1, 50))
def test_any_text_has_a_score_and_an_excerpt(query: str, text: str, title: str, chars: int):
    words = query_words(query)
    number = score(words, text, title=title)
    assert number >= 0
    assert (number == 0) == (not any(w in text.casefold() or w in title.casefold() for w in words))
    assert len(excerpt(words, text, chars=chars)) <= chars + 2
    assert score(words, " ".join(words)) >= 1000 or not words
