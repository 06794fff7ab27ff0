"""What people are shown of an agent at work: a few words for each thing it does. Pure.

Names of tools come from a model; the contract bounds them to letters, digits and underscores, and
nothing of their arguments is shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ironclaw_contract.entries import Called, Said
from ironclaw_contract.rpc import Purpose

if TYPE_CHECKING:
    from ironclaw_contract.rpc import Generate, Generated

MAX_NAMES: Final = 4
MAX_THOUGHT_CHARS: Final = 16 * 1024
"""Of what a model thinks in one call: more than anybody reads along."""

_QUESTION: Final = re.compile(r"question [1-9]")
"""How a box names the sender of what it researches: the first entry of such a call."""


def asks(ask: Generate, *, again: bool) -> str:
    """What it means that the model is asked; empty for what a message is first answered with."""
    match ask.purpose:
        case Purpose.TURN:
            return "asks the model again" if again else ""
        case Purpose.SUMMARY:
            return "sums up the conversation"
        case Purpose.RESEARCH:
            # Once for each question: what follows is told by the tools that it uses.
            return "" if len(ask.entries) > 1 else f"researches {_question(ask)}".strip()


def uses(ask: Generate, answer: Generated) -> str:
    """The tools that an answer wants; empty when it wants none."""
    names = list(dict.fromkeys(e.name for e in answer.entries if isinstance(e, Called)))
    if not names:
        return ""
    more = len(names) - MAX_NAMES
    told = f"uses {', '.join(names[:MAX_NAMES])}" + (f" and {more} more" if more > 0 else "")
    question = _question(ask)
    return f"{told} for {question}" if question else told


def _question(ask: Generate) -> str:
    """Which of the questions of a research is asked; empty where that is not told."""
    first = ask.entries[0] if ask.entries else None
    if ask.purpose is not Purpose.RESEARCH or not isinstance(first, Said):
        return ""
    return first.sender if _QUESTION.fullmatch(first.sender) else ""
