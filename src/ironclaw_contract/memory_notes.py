"""A topic of an agent's memory as Markdown: notes, each below a line that says where it is from.

    <!-- memory session=ses_… at=2026-11-26T02:40:00Z tainted=no from="Ann" -->
    what is to be remembered

What stands before the first such line was written by people. The file is the box's to write, so a
line says no more than that a box of this agent said so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_NOTE_CHARS: Final = 8000
"""Text of one note."""
MAX_SENDER_CHARS: Final = 64

_OPEN: Final = "<!-- memory"
_CLOSE: Final = " -->"
_FIELDS: Final = ("session=", "at=", "tainted=", 'from="')


class Note(NamedTuple):
    """One entry of a topic."""

    text: str
    session: str = ""
    """Where it was written; empty when people wrote it."""
    at: str = ""
    """UTC, as `2026-11-26T02:40:00Z`."""
    tainted: bool = False
    """Written after reading what did not come from the agent's people."""
    sender: str = ""
    """Who had begun the turn."""


def parse(text: str) -> list[Note]:
    """Cut a topic into its notes, in order.

    A header line that cannot be understood begins a tainted note of nobody: no edit of it makes
    what follows look better than it was.

    Trust:
        `text` is anything. The work is linear in its length.
    """
    notes: list[Note] = []
    head = Note("")
    lines: list[str] = []
    for line in text.split("\n"):
        if line.startswith(_OPEN):
            _keep(notes, head, lines)
            head, lines = _header(line.rstrip()), []
        else:
            lines.append(line)
    _keep(notes, head, lines)
    return notes


def render(notes: Iterable[Note]) -> str:
    """The notes as one topic; `parse` gives them back."""
    return "\n".join(map(_written, notes))


def _keep(notes: list[Note], head: Note, lines: list[str]) -> None:
    text = "\n".join(lines).strip()
    if text:
        notes.append(head._replace(text=text))


def _header(line: str) -> Note:
    words = line[len(_OPEN) : -len(_CLOSE)].strip().split(" ", len(_FIELDS) - 1)
    is_whole = line.endswith(f'"{_CLOSE}') and len(words) == len(_FIELDS)
    if not is_whole or not all(map(str.startswith, words, _FIELDS)):
        return Note("", tainted=True)
    session, at, tainted, sender = (
        word[len(field) :] for word, field in zip(words, _FIELDS, strict=True)
    )
    return Note("", session, at, tainted=tainted != "no", sender=sender[:-1])


def _written(note: Note) -> str:
    # A line of the text that looked like a header would begin a note of its own.
    text = "\n".join(
        f"\\{line}" if line.startswith(_OPEN) else line for line in note.text.strip().split("\n")
    )
    if not note.session and not note.tainted:
        return f"{text}\n"
    values = (note.session, note.at, "yes" if note.tainted else "no", _plain(note.sender))
    said = " ".join(map(str.__add__, _FIELDS, values))
    return f'{_OPEN} {said}"{_CLOSE}\n{text}\n'


def _plain(sender: str) -> str:
    """A name that can neither end the comment nor the quotes, whatever it was."""
    kept = "".join(letter for letter in sender if letter.isprintable() and letter not in '"<>')
    return kept[:MAX_SENDER_CHARS].replace("--", "- ")
