"""What the turn machine says and holds: its commands, and the turn that runs. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ironclaw_agent.thinking import without
from ironclaw_contract.entries import Answered, Called, Returned
from ironclaw_contract.records import OutboundBody
from ironclaw_contract.rpc import Cancel, Generate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ironclaw_agent.intake import Beginning
    from ironclaw_agent.research import Research
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import Ask


class Publish(NamedTuple):
    """Publish this record durably, then ring."""

    body: OutboundBody


class Run(NamedTuple):
    """Run these tool calls, in order, and give the results to `Loop.returned`."""

    calls: tuple[Called, ...]
    allowed: frozenset[str]
    """As the newest setup has it."""
    turn: str
    step: int
    """Index of the record that their results will be part of."""
    heard: tuple[Entry, ...]
    """The turn so far, without the answer that they are part of."""


Command = Publish | Generate | Cancel | Run


class Turn:
    """The turn that runs."""

    __slots__ = (
        "asks",
        "call",
        "carried",
        "draft",
        "entries",
        "heard",
        "id",
        "index",
        "memory",
        "research",
        "room",
        "steps",
        "waits_for",
        "warned",
    )

    def __init__(self, beginning: Beginning, *, room: int, memory: str) -> None:
        self.id = beginning.turn
        self.entries = beginning.entries
        """All of it so far, the messages that began it included."""
        self.index = beginning.next_index
        """Of the next record."""
        self.steps = self.index
        """Model calls made, former boxes' included."""
        self.room = room
        """Bytes of conversation in one call."""
        self.memory = memory
        """What the model is told of the agent's memory, as it was when the turn began."""
        self.call = 0
        """Number of the model call that is waited for; 0 for none."""
        self.draft: tuple[Entry, ...] = ()
        """What the next step holds before its tool results."""
        self.asks: tuple[Ask, ...] = ()
        """Questions that the next step asks."""
        self.waits_for: tuple[str, ...] = ()
        """Calls whose questions people have not answered."""
        self.carried: tuple[Entry, ...] = ()
        """What people answered: part of the turn, and of its next record."""
        self.warned: dict[int, Returned] = {}
        """Results of calls that are not run, by their place among the calls of the draft."""
        self.research: Research | None = None
        """What is asked side by side, before the step is done."""
        self.heard: tuple[str, ...] = ()
        """Messages that joined, and that no record has told of yet."""


def unreturned(entries: Sequence[Entry]) -> list[Called]:
    """Calls without a result, in order. A model may use one id twice, so results are counted."""
    waiting: list[Called] = []
    for entry in entries:
        if isinstance(entry, Called):
            waiting.append(entry)
        elif isinstance(entry, Returned):
            for place, call in enumerate(waiting):
                if call.call == entry.call:
                    del waiting[place]
                    break
    return waiting


def in_place(warned: Mapping[int, Returned], results: Sequence[Returned]) -> list[Returned]:
    """The results of an answer's calls in their order, those that were not run included."""
    run = iter(results)
    return [
        warned[place] if place in warned else next(run)
        for place in range(len(warned) + len(results))
    ]


def last_words(entries: Sequence[Entry]) -> list[Answered]:
    """The answers at the end, behind everything else but thoughts."""
    words: list[Answered] = []
    for entry in reversed(without(entries)):
        if not isinstance(entry, Answered):
            break
        words.append(entry)
    return words[::-1]
