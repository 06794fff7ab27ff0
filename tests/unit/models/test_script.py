"""The language of the scripted model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.models.script import DIRECTIVES, MAX_CHARS, Script, ToolCall, parse_script
from ironclaw_contract.codes import WireCode

_PAGE = Path(__file__).parents[3] / "docs/reference/scripted-model.md"


def test_lines_without_a_mark_are_what_the_message_says():
    assert parse_script("hello\nworld") == Script(plain="hello\nworld")


def test_tools_are_rounds_and_a_round_may_hold_several():
    script = parse_script('!tool a {"x": 1}\n!and b\n!tool c not json')
    assert script.rounds == (
        (ToolCall("a", '{"x": 1}'), ToolCall("b", "{}")),
        (ToolCall("c", "not json"),),
    )


def test_failures_have_a_code_and_a_count():
    assert parse_script("!fail permanent").fails is WireCode.MODEL_REFUSED
    script = parse_script("!fail 2")
    assert (script.fails, script.failures) == (WireCode.MODEL_UNAVAILABLE, 2)


_BAD = (
    "! !what !long !long_-1 !long_99999999999 !stream_0 !stream_x_y !fail !and_x !tool !slow_ten"
    " !recall_now !long_٣"
)


@pytest.mark.parametrize("line", [word.replace("_", " ") for word in _BAD.split()])
def test_a_line_that_cannot_be_understood_is_told_back(line: str):
    assert parse_script(line).mistake == line


@given(st.text(alphabet=st.sampled_from("!tolandhgsy 0123456789{}\n\r\x00é"), max_size=200))
def test_no_text_breaks_the_parser(text: str):
    parse_script(text)


def test_the_reference_page_has_exactly_the_directives():
    told = set(re.findall(r"^\| `!([a-z]+)", _PAGE.read_text(), flags=re.MULTILINE))
    assert set(DIRECTIVES) == told


def test_the_reference_page_says_how_long_an_answer_may_be():
    assert f"N characters long (at most {MAX_CHARS})" in _PAGE.read_text()
    assert parse_script(f"!long {MAX_CHARS + 1}").mistake
