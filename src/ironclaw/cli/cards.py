"""Cards on a terminal: in the host's words, with foreign words behind a gutter.

Long lines are broken here and not by the terminal, so that no text can fill a row with spaces and
go on at the edge, where only the host's own words begin.
"""

from __future__ import annotations

import shutil
from itertools import groupby
from typing import TYPE_CHECKING, Final

from ironclaw.cli import render

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ironclaw.cli.render import Tone
    from ironclaw.domain.cards import Card, Line

_GUTTER: Final = "    \u2502 "
"""Before every row of foreign words."""
_ON: Final = "    \u2506 "
"""Before what is still the same row."""


def show(card: Card) -> None:
    """Write a card to the terminal; signs and words say all of it, colour only helps."""
    for tone, text in lines(card, width=shutil.get_terminal_size((100, 24)).columns):
        render.line(text, tone=tone)


def lines(card: Card, *, width: int) -> Iterator[tuple[Tone, str]]:
    """A card in lines of a terminal, each with its tone.

    Args:
        card: As it was rendered by the core.
        width: Columns of the terminal.
    """
    for tone, head, text in _parts(card):
        for line in _broken(head, text, max(width, render.LEAST)):
            yield tone, line


def _parts(card: Card) -> Iterator[tuple[Tone, str, str]]:
    yield "strong", "", f"{card.title}  ({card.change})"
    yield "plain", "", f"asked by {card.asker}"
    yield from (("plain", "  * ", notice) for notice in card.notices)
    yield from (("warn", "  ! ", warning) for warning in card.warnings)
    if card.reason:
        yield "strong", "", "Why, in the asker's words:"
        yield from (("plain", _GUTTER, row) for row in card.reason)
    yield "strong", "", "What is asked for:"
    yield from _fields(card.fields)
    yield "strong", "", "What would be different (- now, + afterwards):"
    if not card.diff:
        yield "plain", "  ", "nothing"
    yield from _diff(card.diff)
    yield "strong", "", "About the request:"
    yield from _fields(card.about)
    yield "dim", "  ", f"change {card.hash}, state {card.state}, card {card.version}"


def _fields(fields: Sequence[Line]) -> Iterator[tuple[Tone, str, str]]:
    for (label, is_foreign), group in groupby(fields, key=lambda one: (one.label, one.foreign)):
        if is_foreign:
            yield "plain", "  ", f"{label}, in the words of the request:"
            yield from (("plain", _GUTTER, one.text) for one in group)
        else:
            yield from (("plain", "  ", f"{label}: {one.text}") for one in group)


def _diff(diff: Sequence[Line]) -> Iterator[tuple[Tone, str, str]]:
    for one in diff:
        tone: Tone = "bad" if one.sign == "-" else "good"
        head = f"  {one.sign} "
        if one.foreign:
            yield tone, head, f"{one.label}, in the words of the request:"
            yield tone, head[:-1] + _GUTTER[3:], one.text
        else:
            yield tone, head, f"{one.label}: {one.text}"


def _broken(head: str, text: str, width: int) -> Iterator[str]:
    """A line in as many as it takes; every further one is marked as going on."""
    sign = head[:4] if head.endswith(_GUTTER[-2:]) else " " * max(len(head), 4)
    begin, on = head, sign + _ON[-2:]
    start = 0
    while True:
        end = render.fitting(text, start, width - len(begin))
        yield begin + text[start:end]
        if end == len(text):
            return
        begin, start = on, end
