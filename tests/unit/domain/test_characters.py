"""Which characters mislead, by kind."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.characters import Findings, danger, is_form, is_of_word, script_of
from ironclaw.domain.lookalikes import LOOKS


@pytest.mark.parametrize(
    ("points", "kind"),
    [
        ((0x061C, 0x200E, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069), "bidirectional controls"),
        ((0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, 0x180E), "zero-width characters"),
        ((0xE0001, 0xE0020, 0xE007F), "tag characters"),
        ((0xFE00, 0xFE0F, 0xE0100, 0xE01EF, 0x180B, 0x180F), "variation selectors"),
        ((0x3164, 0x115F, 0x1160, 0xFFA0, 0x2800, 0x034F), "characters that look like nothing"),
        ((0x00, 0x09, 0x0A, 0x0D, 0x1B, 0x7F, 0x85, 0x9B), "control characters"),
        ((0x00AD, 0x206A, 0xFFF9, 0x2061), "format characters"),
        ((0xD800, 0xDFFF), "surrogates"),
        ((0xE000, 0xF0000), "private characters"),
        ((0xFFFF, 0x0378), "unassigned characters"),
        ((0x2028, 0x2029), "line and paragraph separators"),
        ((0xA0, 0x2003, 0x3000, 0x202F), "odd spaces"),
        ((0x20DD,), "enclosing marks"),
    ],
)
def test_what_is_never_shown_has_a_kind(points: tuple[int, ...], kind: str) -> None:
    assert {danger(chr(point)) for point in points} == {kind}


@given(st.characters())
def test_nothing_without_a_look_is_let_through(character: str) -> None:
    category = unicodedata.category(character)
    if category[0] == "C" or category in {"Zl", "Zp"} or (category == "Zs" and character != " "):
        assert danger(character)
        assert not is_of_word(character)


def test_letters_know_their_script() -> None:
    assert [script_of(one) for one in "aé\u00b5\u0430\u03b1\u4e00\u30fc"] == [
        "LATIN",
        "LATIN",
        "LATIN",
        "CYRILLIC",
        "GREEK",
        "CJK",
        "KATAKANA",
    ]


def test_letters_in_another_dress_are_known() -> None:
    assert all(map(is_form, "\uff41\U0001d41a\ufb01\u212a\u2167\u2460\ufe8d"))
    assert not any(map(is_form, "aé\u00b5\u00ba\u0e33\u00b2\uac00"))


def test_a_look_alike_is_a_foreign_letter_with_the_look_of_an_ascii_character() -> None:
    for letter, looks in LOOKS.items():
        assert not letter.isascii()
        assert looks.isascii()
        assert unicodedata.normalize("NFKC", letter) != looks


def test_a_finding_is_told_with_its_number() -> None:
    findings = Findings()
    assert findings.escape("\u202e", "kind") == "\\u202e"
    assert findings.escape("\U000e0041", "kind") == "\\U000e0041"
    assert findings.escape("\u202e", "kind") == "\\u202e"
    findings.note("odd", "x")

    assert findings.warnings("it") == [
        (
            "it: kind, shown as escapes: U+202E RIGHT-TO-LEFT OVERRIDE (2 times), "
            "U+E0041 TAG LATIN CAPITAL LETTER A"
        ),
        "it: odd: x",
    ]
