"""Tells when a turn goes in circles: the same calls with the same results, again and again.

Pure. A call is a repeat when the calls before it, with their results, are the same sequence of one
to `MAX_PERIOD` calls over and over, and it is the next of that sequence. What lies between two
equal calls must repeat as well: whoever does something else meanwhile gets on.

The third time, a call is not run: the model is told so instead. The fifth time ends the turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw_contract.entries import Called, Returned

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw_contract.entries import Entry

MAX_PERIOD: Final = 3
"""Calls of the longest circle that is told."""
WARN_AT: Final = 3
END_AT: Final = 5
"""Which time the same call is."""
WARNING: Final = (
    "not run: this very call was made before, with the same result each time, and nothing else in "
    "between. Doing it again will not change that, and ends the turn. Do something else, or answer "
    "with what you have"
)


class Done(NamedTuple):
    """A call and what came of it."""

    name: str
    arguments: str
    result: str | None
    """None: not known yet. It is taken for the same as any other."""

    def is_same_call(self, other: Done) -> bool:
        """Whether both want the same."""
        return self.name == other.name and self.arguments == other.arguments

    def is_same(self, other: Done) -> bool:
        """Whether both came to the same."""
        return self.is_same_call(other) and (
            self.result is None or other.result is None or self.result == other.result
        )


class Verdict(NamedTuple):
    """What is to be done with the calls of one answer."""

    warned: dict[int, Returned]
    """Results in place of running, by the call's place in the answer."""
    ends: bool
    """The turn goes in circles and nothing else."""


def judge(entries: Sequence[Entry], calls: Sequence[Called]) -> Verdict:
    """Decide which calls of an answer are run.

    Args:
        entries: The turn before the answer.
        calls: Of the answer, in order.

    Trust:
        Calls are a model's. They are only compared.
    """
    past = done(entries)
    warned: dict[int, Returned] = {}
    for place, call in enumerate(calls):
        wanted = Done(call.name, call.arguments, None)
        time = times(past, wanted)
        if time >= END_AT:
            return Verdict(warned, ends=True)
        if time >= WARN_AT:
            warned[place] = Returned(call=call.call, text=WARNING, is_error=True)
        past.append(wanted)
    return Verdict(warned, ends=False)


def times(past: Sequence[Done], wanted: Done) -> int:
    """Which time in a row `wanted` is called: 1 for a call that is new."""
    return max(_times(past, wanted, period) for period in range(1, MAX_PERIOD + 1))


def _times(past: Sequence[Done], wanted: Done, period: int) -> int:
    """The same for circles of one length."""
    line = [*past, wanted]
    end = len(line) - 1
    time = 1
    place = end - period
    while place >= 0 and line[place].is_same_call(wanted):
        # All from here up to the next of these calls must be what is one round later.
        is_first = time == 1
        if not is_first and not all(
            line[at].is_same(line[at + period]) for at in range(place, place + period)
        ):
            break
        time += 1
        place -= period
    return time


def done(entries: Sequence[Entry]) -> list[Done]:
    """The calls of a turn that have returned, in order."""
    waiting: list[Called] = []
    past: list[Done] = []
    for entry in entries:
        if isinstance(entry, Called):
            waiting.append(entry)
        elif isinstance(entry, Returned):
            place = next((i for i, call in enumerate(waiting) if call.call == entry.call), None)
            if place is not None:
                call = waiting.pop(place)
                # One that was not run would have come to the same.
                result = None if entry.text == WARNING else entry.text
                past.append(Done(call.name, call.arguments, result))
    return past
