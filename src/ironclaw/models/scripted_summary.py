"""How the scripted model sums a conversation up, and how it finds a summary again. Pure.

It keeps every fact, a sentence of a person that begins with `Fact:`, and of everything else that
people said the first sentence, the newest ones, as far as there is room.
"""

from __future__ import annotations

import re
from typing import Final

FACT: Final = "Fact:"
MOST_CHARS: Final = 4000
"""Of a summary."""
SUMMED_UP: Final = "What was said before the messages below, as you summed it up"
"""Begins the part of the instructions that holds a summary; each line of it is marked."""
_RECORD: Final = "The record so far:\n"
_SINCE: Final = "\n\nWhat was said since:\n"
_MARK: Final = "> "
_LINE_CHARS: Final = 160
_PERSON: Final = re.compile(r"^person (?P<sender>.{0,256}?) \(\d[^)]{0,32}\): (?P<words>.*)$")
_SENTENCE: Final = re.compile(r"[^.!?]*[.!?]?")


def sum_up(text: str) -> str:
    """The new record, of what a box asks to be summed up."""
    former, _, since = text.removeprefix(_RECORD).partition(_SINCE)
    lines = [line for line in former.splitlines() if line.startswith("- ")]
    for line in since.splitlines():
        if (said := _PERSON.match(line)) is not None:
            sentence = _SENTENCE.match(said["words"])
            words = "" if sentence is None else sentence[0].strip()
            if words:
                lines.append(f"- {said['sender']}: {words}"[:_LINE_CHARS])
    facts = [line for line in lines if FACT in line]
    room = MOST_CHARS - sum(len(line) + 1 for line in facts)
    others: list[str] = []
    for line in reversed([line for line in lines if FACT not in line]):
        room -= len(line) + 1
        if room < 0:
            break
        others.append(line)
    return "\n".join([*facts, *reversed(others)])[:MOST_CHARS] or "- Nothing was said."


def summary_in(system: str) -> str:
    """The summary that instructions hold; empty when they hold none."""
    _, begins, rest = system.partition(SUMMED_UP)
    lines = rest.split("\n")[1:] if begins else []
    kept: list[str] = []
    for line in lines:
        if not line.startswith(_MARK):
            break
        kept.append(line.removeprefix(_MARK))
    return "\n".join(kept)
