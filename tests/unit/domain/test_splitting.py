"""Splitting: every part fits and no word is lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.splitting import split_text


def test_the_best_break_is_taken():
    assert split_text("one two.\n\nthree four", 12) == ["one two.", "three four"]
    assert split_text("one. two three", 10) == ["one. two", "three"]
    assert split_text("fits", 10) == ["fits"]
    assert split_text("abcdefgh", 3) == ["abc", "def", "gh"]


@given(st.text(max_size=300), st.integers(min_value=1, max_value=50))
def test_every_part_fits_and_only_white_space_is_lost(text: str, limit: int):
    parts = split_text(text, limit)
    assert parts
    assert all(len(part) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
