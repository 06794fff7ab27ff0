"""What a model thinks within a turn: kept while its provider may want it back, then left out.

No I/O. Thoughts are part of a turn's record, so that a fresh box can go on with them; they are no
part of what the model is shown of ended turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw_agent.context import total
from ironclaw_contract.entries import Called, Thought

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ironclaw_contract.entries import Entry

_MOST_BYTES: Final = 256 * 1024
"""Of the thoughts of one turn: the rest of a record is for what is done and said."""


def with_meaning(answer: Iterable[Entry], so_far: Sequence[Entry]) -> tuple[Entry, ...]:
    """What is kept of a model's answer: no empty words, and thoughts while there is room for them.

    Args:
        answer: What it answered.
        so_far: The turn before it.
    """
    spent = total(entry for entry in so_far if isinstance(entry, Thought))
    found: list[Entry] = []
    for entry in answer:
        if isinstance(entry, Thought):
            spent += total((entry,))
            if spent <= _MOST_BYTES and (entry.opaque or entry.text.strip()):
                found.append(entry)
        elif isinstance(entry, Called) or entry.text.strip():
            found.append(entry)
    return tuple(found)


def without(entries: Iterable[Entry]) -> list[Entry]:
    """All but the thoughts."""
    return [entry for entry in entries if not isinstance(entry, Thought)]
