"""What words of closed sets mean: every one of them, and no other text."""

from __future__ import annotations

import enum

import pytest

from ironclaw.domain.meanings import meaning_of
from ironclaw.domain.model import Engage, Ignored, Partition, SenderScope, UnknownSender
from ironclaw.domain.tools import TOOLS


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("engage", Engage),
        ("sender_scope", SenderScope),
        ("ignored", Ignored),
        ("partition", Partition),
        ("strangers", UnknownSender),
        ("policy", UnknownSender),
    ],
)
def test_each_word_of_a_closed_set_is_explained(key: str, values: type[enum.StrEnum]) -> None:
    assert all(meaning_of(key, one.value) for one in values)
    assert meaning_of(key, "else") == ""


@pytest.mark.parametrize("key", ["add", "remove", "tools"])
def test_each_tool_says_what_it_does(key: str) -> None:
    assert {one: meaning_of(key, one) for one in TOOLS} == TOOLS


def test_switches_are_explained_however_they_are_written() -> None:
    assert meaning_of("solo", value=True) == meaning_of("solo mode", "on") != ""
    assert meaning_of("solo", value=False) == meaning_of("solo mode", "off") != ""


@pytest.mark.parametrize("value", [None, 1, [], {}, "write_file"])
def test_nothing_else_is(value: object) -> None:
    assert meaning_of("name", value) == ""
    assert value == "write_file" or meaning_of("add", value) == ""
