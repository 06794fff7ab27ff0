"""`tell`: words to the chat while the turn goes on. They are no answer; that is still to come.

How often is counted over the transcript, so a fresh box counts the same. The host takes none of it
on trust: a step may have so many words for people, and a turn so many steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from ironclaw_agent.tools.errors import ToolError
from ironclaw_contract.entries import Called
from ironclaw_contract.records import Say

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw_contract.entries import Entry

MOST_TOLD: Final = 8
"""In one turn."""
NAME: Final = "tell"


class Tell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `tell`."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]


def told(entries: Iterable[Entry]) -> int:
    """How often the model has called it; a call that was refused counts as well."""
    return sum(isinstance(entry, Called) and entry.name == NAME for entry in entries)


def tell(given: Tell, *, turn: str, before: int) -> Say:
    """The words, as they go with the step.

    Args:
        given: What the model wants to say.
        turn: The turn that runs.
        before: How often the tool was called in it before.

    Raises:
        ToolError: It was too often, or these are no words.
    """
    if not given.text.strip():
        raise ToolError("say something: the text is blank")
    if before >= MOST_TOLD:
        raise ToolError(
            f"at most {MOST_TOLD} times in one turn: say the rest in your answer, which ends it"
        )
    return Say(text=given.text, reply_to=turn)
