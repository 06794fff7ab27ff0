"""A card on a terminal: foreign words stay behind their gutter, signs say what colours would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.cli import cards
from ironclaw.core.ids import ChangeId
from ironclaw.domain.cards import Card, Line

if TYPE_CHECKING:
    from collections.abc import Iterable


def card(
    *, reason: tuple[str, ...] = (), fields: Iterable[Line] = (), diff: Iterable[Line] = ()
) -> Card:
    return Card(
        version=1,
        change=ChangeId("chg_a"),
        hash="sha256:aa",
        state="sha256:bb",
        title="Change who an agent is",
        asker='the agent "bot" ("agt_a")',
        reason=reason,
        about=(Line(label="asked at", text="0"),),
        fields=tuple(fields),
        diff=tuple(diff),
        notices=("It widens what may be done.",),
        warnings=("persona: odd spaces, shown as escapes: U+00A0 NO-BREAK SPACE",),
    )


def shown(one: Card, width: int = 80) -> list[str]:
    return [text for _, text in cards.lines(one, width=width)]


def test_all_of_a_card_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    cards.show(
        card(
            reason=("first", "second"),
            fields=[
                Line(label="agent", text='"agt_a"'),
                Line(label="persona", text="Be kind.", foreign=True),
                Line(label="persona", text="", foreign=True),
            ],
            diff=[
                Line(label="model", text='"x"', sign="-"),
                Line(label="model", text='"y"', sign="+"),
                Line(label="persona, line 1", text="Be kind.", sign="+", foreign=True),
            ],
        )
    )

    assert capsys.readouterr().out.splitlines() == [
        "Change who an agent is  (chg_a)",
        'asked by the agent "bot" ("agt_a")',
        "  * It widens what may be done.",
        "  ! persona: odd spaces, shown as escapes: U+00A0 NO-BREAK SPACE",
        "Why, in the asker's words:",
        "    │ first",
        "    │ second",
        "What is asked for:",
        '  agent: "agt_a"',
        "  persona, in the words of the request:",
        "    │ Be kind.",
        "    │ ",
        "What would be different (- now, + afterwards):",
        '  - model: "x"',
        '  + model: "y"',
        "  + persona, line 1, in the words of the request:",
        "  + │ Be kind.",
        "About the request:",
        "  asked at: 0",
        "  change sha256:aa, state sha256:bb, card 1",
    ]


def test_a_card_without_a_difference_says_so() -> None:
    assert "  nothing" in shown(card())


@pytest.mark.parametrize("width", [1, 40, 79, 200])
@pytest.mark.parametrize("text", ["word " * 60, "x" * 300, "日本語" * 60])
def test_long_lines_are_broken_and_marked_as_going_on(width: int, text: str) -> None:
    lines = shown(card(reason=(text,)), width)
    begin = lines.index("Why, in the asker's words:") + 1
    rows = lines[begin : lines.index("What is asked for:")]

    assert [row[:6] for row in rows] == ["    │ ", *["    ┆ "] * (len(rows) - 1)]
    assert "".join(row[6:] for row in rows) == text
    assert all(
        sum(1 if character.isascii() else 2 for character in row) <= max(width, 40) + 1
        for row in rows
    )


FAKE = "  * It only takes away."


@pytest.mark.parametrize("width", [40, 80])
def test_a_text_that_fills_a_row_does_not_go_on_at_the_edge(width: int) -> None:
    one = card(
        reason=("x" * (width - 6) + FAKE,),
        fields=[Line(label="name", text='"' + "x" * (width - 9) + FAKE + '"')],
        diff=[Line(label="p", text="x" * (width - 6) + FAKE, sign="+", foreign=True)],
    )

    assert not any(line.startswith("  * It only") for line in shown(one, width))


def test_a_text_that_the_terminal_breaks_goes_on_at_the_edge() -> None:
    """The weakened twin: the same card in lines as long as they come."""
    one = card(reason=("x" * 74 + FAKE,))
    on_screen = [
        line[at : at + 80] for line in shown(one, 10_000) for at in range(0, len(line), 80)
    ]

    assert any(line.startswith("  * It only") for line in on_screen)
