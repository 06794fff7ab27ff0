"""Shows what comes of a message as it comes, and keeps what a program wants of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ironclaw.cli import render
from ironclaw.cli.nouns.files import told
from ironclaw.cli.words import Words
from ironclaw.domain.questions import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.cli.talk import Spoken

MOST_DOING: Final = 1000
"""Things that an agent does for one message and that are shown."""


def show(one: Spoken) -> None:
    """Show, beside a prompt, something that is whole and of no message that is being played."""
    words = Words(is_inset=True)
    if one.kind == "error":
        render.note(one.text, tone="bad")
    elif one.kind == "question":
        words.block(as_text(one.text, one.options, free_text=one.free_text))
    elif one.text:
        words.block(one.text)
    for line in told(list(one.files)):
        render.edge(line)


class Player:
    """What came of one message.

    Args:
        is_shown: Whether somebody reads along.
        is_inset: Whether the agent's words are set in: a prompt stands at the edge.
    """

    def __init__(self, *, is_shown: bool, is_inset: bool = False) -> None:
        self._is_shown = is_shown
        self._words = Words(is_inset=is_inset)
        self._pieces = ""
        """What was shown of the words that are being made."""
        self.notices: list[Spoken] = []
        """What the host had to say of earlier messages."""
        self.doing: list[str] = []
        """What the agent did meanwhile."""
        self.files: list[dict[str, Any]] = []
        """What it sent."""
        self.said: list[str] = []
        """What it said before it had answered."""

    def play(self, spoken: Iterable[Spoken]) -> Spoken:
        """Show it; return the last of it: reply, question or error."""
        last = None
        for one in spoken:
            match one.kind:
                case "notice":
                    self.notices.append(one)
                    if self._is_shown:
                        render.note(one.text, tone="warn")
                case "doing":
                    self._do(one.text)
                case "said":
                    self._take(one)
                case "thinking":
                    self._do("thinks")
                case _:
                    last = one
                    if self._is_shown:
                        self._show(one)
                    self.files += one.files
                    self._name(one)
        if last is None:
            raise AssertionError("hearing ends with a reply or raises")
        return last

    def at_edge(self) -> None:
        """Something else has ended the line that the agent's words stand on; from any thread."""
        self._words.at_edge()

    def pause(self) -> None:
        """Something else is shown now, while nothing that came is."""
        self._words.pause()

    def wait(self, seconds: int) -> None:
        """Say that for so long nothing came, where no words stand in the middle of a line."""
        if self._is_shown and not self._pieces and render.is_noted():
            render.note(f"  at work ({seconds} s)")

    def _take(self, one: Spoken) -> None:
        """Words and files of the agent before it has answered."""
        self.files += one.files
        if one.text and len(self.said) < MOST_DOING:
            self.said.append(one.text)
        if not self._is_shown:
            return
        if self._pieces:
            self._words.end()
            self._pieces = ""
        if one.text:
            self._words.block(one.text)
        self._name(one)

    def _name(self, one: Spoken) -> None:
        if self._is_shown:
            for line in told(list(one.files)):
                render.edge(line)

    def _do(self, text: str) -> None:
        if self.doing[-1:] == [text] or len(self.doing) >= MOST_DOING:
            return
        self.doing.append(text)
        if not self._is_shown:
            return
        if self._pieces:
            # Words before it are of an earlier step: the reply does not repeat them.
            self._words.end()
            self._pieces = ""
        render.note(f"  {text}")

    def _show(self, one: Spoken) -> None:
        if one.kind == "progress":
            self._words.piece(one.text)
            self._pieces += one.text
        elif one.kind == "question":
            if self._pieces:
                self._words.end()
            self._words.block(as_text(one.text, one.options, free_text=one.free_text))
        elif one.kind == "reply":
            # Pieces are the reply as it was made; what they lack is shown now.
            if one.text.startswith(self._pieces):
                self._words.block(one.text[len(self._pieces) :])
            else:
                self._words.block(f"\n{one.text}")
        elif self._pieces:
            self._words.end()
