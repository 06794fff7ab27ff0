"""What people are shown of an agent at work: a few words for each thing it does. Pure.

Names of tools come from a model; the contract bounds them to letters, digits and underscores, and
nothing of their arguments is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw_contract.entries import Called
from ironclaw_contract.rpc import Purpose

if TYPE_CHECKING:
    from ironclaw_contract.rpc import Generated

MAX_NAMES: Final = 4
MAX_THOUGHT_CHARS: Final = 16 * 1024
"""Of what a model thinks in one call: more than anybody reads along."""

_PURPOSES: Final = {
    Purpose.SUMMARY: "sums up the conversation",
    Purpose.RESEARCH: "researches",
}


def asks(purpose: Purpose, *, again: bool) -> str:
    """What it means that the model is asked; empty for what a message is first answered with."""
    return _PURPOSES.get(purpose, "asks the model again" if again else "")


def uses(answer: Generated) -> str:
    """The tools that an answer wants; empty when it wants none."""
    names = list(dict.fromkeys(e.name for e in answer.entries if isinstance(e, Called)))
    if not names:
        return ""
    more = len(names) - MAX_NAMES
    return f"uses {', '.join(names[:MAX_NAMES])}" + (f" and {more} more" if more > 0 else "")
