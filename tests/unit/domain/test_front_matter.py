"""The head of a SKILL.md: the forms that the field writes, each one meaning one thing."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.errors import UserError
from ironclaw.domain.front_matter import split


def head(*lines: str) -> dict[str, object]:
    return dict(split("\n".join(["---", *lines, "---", "body"]))[0])


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("name: birds", "birds"),
        ("name: birds   # of the garden", "birds"),
        ("name: a: b", "a: b"),
        ("name: issue#5", "issue#5"),
        ('name: "a # b\\n\\u00e9"', "a # b\né"),
        ("name: 'it''s'", "it's"),
        ("name:", ""),
        ("name: [a, 'b, c', \"d\"]", ["a", "b, c", "d"]),
        ("name: []", []),
    ],
)
def test_a_value_on_its_line(line: str, value: object) -> None:
    assert head(line) == {"name": value}


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        (["name: >", "  one", "  two", "", "  three"], "one two\n\nthree\n"),
        (["name: >-", "  one", "  two"], "one two"),
        (["name: |-", "  one", "    two"], "one\n  two"),
        (["name: one", "  two"], "one two"),
        (["name:", "  - a", "  # not b", "  - c"], ["a", "c"]),
        (["name:", "- a"], ["a"]),
        (["name:", "  x: 1", '  y: "2"'], {"x": "1", "y": "2"}),
        (["name: >-", ""], ""),
    ],
)
def test_a_value_on_several_lines(lines: list[str], value: object) -> None:
    assert head(*lines, "other: x") == {"name": value, "other": "x"}


def test_what_follows_is_the_body() -> None:
    assert split("---\nname: x\n---\none\n---\ntwo") == ({"name": "x"}, "one\n---\ntwo")


@pytest.mark.parametrize(
    "lines",
    [
        ["name: a", "name: b"],
        ["name: &x a"],
        ["name: *x"],
        ["name: !!python/object a"],
        ["name: {a: b}"],
        ["name: [a, [b]]"],
        ["name: [a"],
        ['name: "a'],
        ["name: 'a"],
        ['name: "a" b'],
        ["name: 'a' b"],
        ["\tname: a"],
        ["  name: a"],
        ["- a"],
        ["just words"],
        ["name: 'a'", "  more"],
        ["name: a", "- b"],
        ["name:", "  x: 1", "    y: 2"],
        ["name:", "  x: 1", "  x: 2"],
        ["name: |", "  a", " b"],
        ["name: @a"],
        ["<<: *base"],
    ],
)
def test_what_could_mean_something_else_is_refused_by_its_line(lines: list[str]) -> None:
    with pytest.raises(UserError, match=r"line \d") as caught:
        head(*lines)
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "name: a", "---\nname: a", "----\nname: a\n---\n", " ---\n"])
def test_a_text_without_a_head_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        split(text)


def test_a_head_has_an_end() -> None:
    with pytest.raises(UserError, match="does not end within"):
        split("---\n" + "a: b\n" * 300 + "---\n")


@given(st.text(alphabet="ab-:#'\"[]>| \n\t\\,{}&*", max_size=200))
def test_whatever_comes_is_understood_or_refused(text: str) -> None:
    try:
        fields, _ = split(f"---\n{text}\n---\n")
    except UserError:
        return
    assert all(isinstance(value, str | list | dict) for value in fields.values())


@pytest.mark.parametrize("filling", [" ", "# ", " \t", "a#"])
def test_a_long_value_costs_no_more_than_its_length(filling: str) -> None:
    value = "a" + filling * (40_000 // len(filling)) + "b"
    began = time.process_time()
    head(f"name: {value}")
    assert time.process_time() - began < 1
