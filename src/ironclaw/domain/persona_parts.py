"""A persona in its three parts: who it is, how it is, how it works. One text with headings. Pure.

    # Identity       who it is, and for whom
    # Soul           what it cares about, how it talks
    # Instructions   how it goes about its work

The text is what the agent has and what a card shows; the parts are a way to write and to alter it.
A text without these headings is all identity.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Parts(NamedTuple):
    """The parts; any may be empty."""

    identity: str = ""
    soul: str = ""
    instructions: str = ""


HEADINGS: Final = ("# Identity", "# Soul", "# Instructions")


def compose(parts: Parts) -> str:
    """The one text of the parts that say something."""
    said = [
        f"{heading}\n\n{text.strip()}"
        for heading, text in zip(HEADINGS, parts, strict=True)
        if text.strip()
    ]
    return "\n\n".join(said)


def parts_of(persona: str) -> Parts:
    """Take a persona apart; each heading counts once, at its first place, in this order."""
    found = ["", "", ""]
    at = 0
    lines: list[list[str]] = [[], [], []]
    for line in persona.split("\n"):
        later = [n for n in range(at, 3) if line.strip() == HEADINGS[n]]
        if later and (later[0] > at or not any(one.strip() for one in lines[at])):
            at = later[0]
            continue
        lines[at].append(line)
    for number, part in enumerate(lines):
        found[number] = "\n".join(part).strip()
    return Parts(*found)
