"""Taint: what foreign content an agent has before it, and what it may not do by itself then. Pure.

    of_message   what comes with a message: who said it, and whether files came with it
    of_entries   what a turn has read: its tool calls and their results

Nothing here asks what a text says. The words are found from what the host itself has let in; what a
box tells of its turn can only add some. `docs/security/taint.md` is made from `RULES` and the
clean tools.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw_contract.clean_tools import CLEAN
from ironclaw_contract.entries import Called, Returned, Said

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ironclaw_contract.entries import Entry


class Taint(enum.StrEnum):
    """Why a turn loses what its agent may otherwise do by itself."""

    STRANGER = "stranger"
    AGENT = "agent"
    FILE = "file"
    READ = "read"
    SHARED = "shared"
    MEMORY = "memory"


Taints = frozenset[Taint]
NONE: Final[Taints] = frozenset()


class Rule(NamedTuple):
    """One word of the set, as people are told of it."""

    says: str
    """What there was, as it stands on a card."""
    when: str
    stays: bool
    """Whether it is of the whole conversation, until `/new`; else of the turn."""


RULES: Final = {
    Taint.STRANGER: Rule(
        "words of somebody whom nobody let in",
        "Somebody without a role that lets them talk to the agent wrote in a public chat of it, or "
        "answered its question there.",
        stays=True,
    ),
    Taint.AGENT: Rule(
        "words of another agent",
        "Another agent wrote to it, or answered what it had asked.",
        stays=True,
    ),
    Taint.FILE: Rule("a file that came with a message", "A message came with a file.", stays=True),
    Taint.READ: Rule(
        "what a tool has read",
        "In this turn a tool has returned anything, and it is none of the clean tools below.",
        stays=False,
    ),
    Taint.SHARED: Rule(
        "files that are shared with it",
        "In this turn it used a tool that reads files, and it has shared directories or skills.",
        stays=False,
    ),
    Taint.MEMORY: Rule(
        "tainted notes of its memory",
        "In this turn a tool of its memory has shown a note that is marked as tainted.",
        stays=False,
    ),
}
STAYS: Final = frozenset(word for word, rule in RULES.items() if rule.stays)

READS_FILES: Final = frozenset({"list_files", "read_file", "research", "search_files"})
_READS_NOTES: Final = frozenset({"memory_read", "memory_search"})
_TAINTED_NOTE: Final = ("tainted=yes", ", tainted):\n")
"""How a box shows that a note is tainted. What it shows otherwise is `READ` all the same."""
_ASKED: Final = "ask_user"


def of_message(*, is_stranger: bool, has_files: bool, came: Taints = NONE) -> Taints:
    """What comes with a message.

    Args:
        is_stranger: Whether its sender has no role that lets them talk to the agent.
        has_files: Whether files came with it.
        came: What the host knows of it already.
    """
    found = set(came)
    if is_stranger:
        found.add(Taint.STRANGER)
    if has_files:
        found.add(Taint.FILE)
    return frozenset(found)


def of_entries(
    entries: Iterable[Entry], *, has_shared: bool, asked: Collection[str] = ()
) -> Taints:
    """What a turn, or a part of it, has read.

    A result of a call that nobody knows counts as well: better one word too many.

    Args:
        entries: In order.
        has_shared: Whether the agent has shared directories or skills.
        asked: Calls before these entries that asked people something.

    Trust:
        A box's own words: what they say only adds, and a box that was taken over can leave it out.
    """
    names: dict[str, set[str]] = {call: {_ASKED} for call in asked}
    found: set[Taint] = set()
    for entry in entries:
        if isinstance(entry, Called):
            # A model may use one id for several calls.
            names.setdefault(entry.call, set()).add(entry.name)
        elif isinstance(entry, Returned):
            called = names.get(entry.call, set())
            if called and called <= CLEAN:
                continue
            found.add(Taint.READ)
            if has_shared and called & READS_FILES:
                found.add(Taint.SHARED)
            if called & _READS_NOTES and any(mark in entry.text for mark in _TAINTED_NOTE):
                found.add(Taint.MEMORY)
    return frozenset(found)


def part_of(entries: Sequence[Entry], turn: str) -> Sequence[Entry]:
    """What of a model call belongs to a turn: behind the message that began it, else all of it."""
    for place in range(len(entries) - 1, -1, -1):
        entry = entries[place]
        if isinstance(entry, Said) and entry.message == turn:
            return entries[place + 1 :]
    return entries


# --- how it is kept and shown ---------------------------------------------------------------------


def ordered(taints: Iterable[Taint]) -> tuple[Taint, ...]:
    """Always in the same order, each once."""
    given = set(taints)
    return tuple(word for word in Taint if word in given)


def kept(taints: Iterable[Taint]) -> str:
    """As it is kept in a column."""
    return " ".join(ordered(taints))


def read(text: str) -> Taints:
    """Undo `kept`."""
    return frozenset(map(Taint, text.split()))


def in_words(taints: Iterable[Taint]) -> str:
    """For people, in one line; empty when there is nothing."""
    return "; ".join(RULES[word].says for word in ordered(taints))


def marked(text: str, taints: Iterable[Taint]) -> str:
    """What is sent elsewhere, with a line of the host's own above it; as it is when clean."""
    words = in_words(taints)
    if not words:
        return text
    line = f"[IronClaw: the agent had foreign content before it when it wrote this: {words}.]"
    return f"{line}\n\n{text}".rstrip()
