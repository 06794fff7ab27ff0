"""Foreign text is shown for what it is: nothing hides, nothing poses, nothing is the same twice."""

# ruff: noqa: RUF001 - letters that look like others are what this is about

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.support.specs import LOOKALIKE, NASTY, texts

from ironclaw.core.sanitize import sanitize
from ironclaw.domain.characters import Findings, danger
from ironclaw.domain.visible import name, prose, quoted

ESCAPE = re.compile(r"\\(?:(\\)|u([0-9a-f]{4})|U([0-9a-f]{8}))")
any_text = texts | st.text()


def back(shown: str) -> str:
    """The text that a shown one stands for."""

    def one(found: re.Match[str]) -> str:
        return "\\" if found[1] else chr(int(found[2] or found[3], 16))

    return ESCAPE.sub(one, shown)


def shown_name(text: str) -> tuple[str, list[str]]:
    findings = Findings()
    return name(text, findings), findings.warnings("it")


def shown_prose(text: str) -> tuple[list[str], list[str]]:
    findings = Findings()
    return prose(text, findings), findings.warnings("it")


# --- what holds for all texts ---------------------------------------------------------------------


@given(any_text)
def test_a_name_is_one_line_of_ascii_that_says_exactly_what_it_is(text: str) -> None:
    shown, _ = shown_name(text)

    assert shown.isascii()
    assert not shown or shown.isprintable()
    assert back(shown) == text


@given(any_text, any_text)
def test_two_names_never_look_the_same(one: str, other: str) -> None:
    assume(one != other)

    assert shown_name(one)[0] != shown_name(other)[0]
    assert quoted(one, Findings()) != quoted(other, Findings())


def test_a_way_to_show_that_does_not_double_backslashes_shows_two_names_as_one() -> None:
    """The weakened twin: what makes text safe for a terminal is no proof of what it is."""
    assert sanitize("a\x1b") == sanitize("a\\x1b")


@given(any_text)
def test_no_row_of_prose_has_a_character_that_acts_or_hides(text: str) -> None:
    rows, _ = shown_prose(text)

    for row in rows:
        assert [character for character in row if danger(character)] == []
        assert row == row.rstrip(" ")
    assert back("\n".join(rows)) == text


def test_what_is_only_cut_into_rows_has_them() -> None:
    """The weakened twin: rows of the text as it is."""
    assert any(danger(character) for row in NASTY.split("\n") for character in row)


@given(any_text)
def test_whatever_becomes_an_escape_is_warned_of_by_its_code_point(text: str) -> None:
    for shown, warnings in (shown_name(text), shown_prose(text)):
        joined = shown if isinstance(shown, str) else "\n".join(shown)
        for found in ESCAPE.finditer(joined):
            if not found[1]:
                point = int(found[2] or found[3], 16)
                assert any(f"U+{point:04X}" in line for line in warnings)
        assert all(line.isascii() and line.isprintable() for line in warnings)


@pytest.mark.parametrize("character", sorted(set(NASTY) - {"\n"}), ids=ascii)
def test_each_of_the_dangerous_is_an_escape_in_prose_too(character: str) -> None:
    rows, warnings = shown_prose(f"a {character}b")

    assert character not in rows[0]
    assert warnings


# --- names ----------------------------------------------------------------------------------------


def test_look_alikes_of_a_name_are_named() -> None:
    assert shown_name("p\u0430ypal") == (
        "p\\u0430ypal",
        ["it: characters that are not ASCII, shown as escapes: U+0430 CYRILLIC SMALL LETTER A"],
    )


@pytest.mark.parametrize("text", ["name ", " name", "na  me"])
def test_a_space_that_nobody_sees_is_an_escape_in_a_name(text: str) -> None:
    assert "\\u0020" in shown_name(text)[0]


def test_json_in_a_name_is_a_string_in_quotes() -> None:
    assert quoted('{"role": "owner"}', Findings()) == r'"{\"role\": \"owner\"}"'


def test_a_ready_made_escape_is_not_taken_for_one() -> None:
    assert shown_name("\\u202e")[0] == "\\\\u202e"


# --- prose ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Antworte höflich, \u201ewie immer\u201c \u2013 aber kurz…",
        "Отвечай вежливо, с утра и до вечера.",
        "Απάντησε ευγενικά και σύντομα.",
        "日本語で答えてください。APIサーバーとTシャツ。",
        "请用中文回答。谢谢！",
        "विनम्रता से उत्तर दें",
        "ตอบอย่างสุภาพ น้ำ",
        "한국어로 대답해",
        "5 µs, 3½ %, nº 4 ✓ 🙂",
        "  indented\n    more",
    ],
)
def test_ordinary_words_of_any_script_stay_as_they_are(text: str) -> None:
    assert shown_prose(text) == (text.split("\n"), [])


@pytest.mark.parametrize("letter", sorted(LOOKALIKE), ids=ascii)
def test_a_foreign_letter_inside_a_word_is_an_escape(letter: str) -> None:
    rows, warnings = shown_prose(f"please p{letter}y them")

    assert rows[0].startswith("please p\\")
    assert rows[0].endswith("y them")
    assert unicodedata.name(letter) in warnings[0]


def test_a_whole_word_that_reads_as_latin_is_an_escape_and_is_read_out() -> None:
    rows, warnings = shown_prose("send it to раура and хорошо")

    assert rows == ["send it to \\u0440\\u0430\\u0443\\u0440\\u0430 and хорошо"]
    assert 'it: a whole word of another script that reads as Latin: "paypa"' in warnings


def test_short_words_that_look_latin_stay_among_words_of_their_own_script() -> None:
    assert shown_prose("с утра")[0] == ["с утра"]
    assert shown_prose("drive с only")[0] == ["drive \\u0441 only"]


def test_letters_in_another_dress_are_escapes() -> None:
    assert shown_prose("\uff46ull \U0001d41bold \ufb01ne \u212a")[0] == [
        "\\uff46ull \\U0001d41bold \\ufb01ne \\u212a"
    ]


def test_a_letter_in_two_pieces_does_not_pass_for_the_whole_one() -> None:
    assert shown_prose("caf\u00e9")[0] != shown_prose("cafe\u0301")[0]
    assert shown_prose("cafe\u0301")[0] == ["cafe\\u0301"]


def test_marks_do_not_pile_up_or_stand_on_what_is_not_theirs() -> None:
    assert shown_prose("x" + "\u0323" * 9)[0] == ["x\u0323\u0323" + "\\u0323" * 7]
    assert shown_prose("a \u0323")[0] == ["a \\u0323"]
    assert shown_prose("n\u0336o")[0] == ["n\\u0336o"]


def test_digits_of_another_script_are_read_out_and_never_mixed() -> None:
    rows, warnings = shown_prose("৪০ 1٠0")

    assert rows == ["৪০ 1\\u06600"]
    assert any("BENGALI DIGIT FOUR" in line for line in warnings)


def test_letters_that_run_the_other_way_are_said() -> None:
    rows, warnings = shown_prose("שלום")

    assert rows == ["שלום"]
    assert "right to left" in warnings[0]


def test_spaces_do_not_push_text_out_of_sight() -> None:
    rows, warnings = shown_prose("harmless" + " " * 400 + "evil")

    assert " " * 17 not in rows[0]
    assert "384 times" in warnings[0]


@pytest.mark.parametrize(
    ("text", "row", "said"),
    [
        ("see xn--pypal-4ve.com", "see xn--pypal-4ve.com", 'reads "p\\u0430ypal.com"'),
        (
            "https://раура.example/a",
            "https://\\u0440\\u0430\\u0443\\u0440\\u0430.example/a",
            "host names",
        ),
        ("mail me@пример.рф", None, "host names"),
        ("go to example\u3002com", "go to example\\u3002com", "host names"),
        ("see XN--" + "a" * 80 + ".com", None, 'reads "?.com"'),
        ("see xn--\u0430.com", None, 'reads "?.com"'),
    ],
)
def test_a_host_name_in_prose_that_is_not_what_it_looks_like_is_read_out(
    text: str, row: str | None, said: str
) -> None:
    rows, warnings = shown_prose(text)

    assert row is None or rows == [row]
    assert any(said in line for line in warnings)


def test_an_ordinary_host_name_is_not_warned_of() -> None:
    assert shown_prose("see https://example.com/x and you@example.com.")[1] == []


@pytest.mark.parametrize(
    "piece",
    [NASTY, LOOKALIKE, "a.", "xn--a.", "://", " ", "\u0301", "\\", "а.", "x\u3002", "@", "\n"],
    ids=ascii,
)
def test_the_longest_texts_are_shown_in_time_that_grows_with_them_alone(piece: str) -> None:
    """No text of the longest size takes long: a square of its length would take minutes."""
    text = piece * (64 * 1024 // len(piece))
    began = time.process_time()
    shown_prose(text)
    shown_name(text)

    assert time.process_time() - began < 4
