"""An agent's words on the terminal, as they come.

In a conversation the edge of the terminal is the host's own: the prompt stands there, and nothing
that an agent says can look like it. Its words are set in, and lines are broken here, for a terminal
would let a long one go on at the edge.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from ironclaw.cli import render
from ironclaw.core.sanitize import sanitize

_WIDE: Final = frozenset("WF")


class Words:
    """Writes them.

    Args:
        is_inset: Set in, where this is a terminal; what a pipe gets is as it was said.
    """

    def __init__(self, *, is_inset: bool) -> None:
        self._is_inset = is_inset and render.columns() > 0
        self._column = 0
        self._is_at_edge = False
        self._word = ""
        """Its end has not come, so nobody knows yet on which line it will stand."""

    def block(self, text: str) -> None:
        """Several lines, ended."""
        # At once: an editor draws its line again behind each write, and expects whole lines.
        render.piece(self._made(text) + self._ended())

    def piece(self, text: str) -> None:
        """Words that go on later; the last one is shown once it is whole."""
        render.piece(self._made(text))

    def end(self) -> None:
        """Whatever follows begins a line."""
        render.piece(self._ended())

    def at_edge(self) -> None:
        """Something else has ended the line that words stand on; from any thread."""
        self._is_at_edge = True

    def pause(self) -> None:
        """Something else is shown now, on lines of its own; what follows goes on set in."""
        if self._column and not self._is_at_edge:
            render.line()
        self._is_at_edge = True

    def _made(self, text: str) -> str:
        return self._set_in(text) if self._is_inset else text

    def _ended(self) -> str:
        self._look()
        last = self._placed(render.columns())
        self._column = 0
        return last + "\n"

    def _look(self) -> None:
        if self._is_at_edge:
            self._is_at_edge = False
            self._column = 0

    def _set_in(self, text: str) -> str:
        self._look()
        width = render.columns()
        made = []
        for one in sanitize(text, lines=True).replace("\t", render.TAB):
            if one.isspace():
                made.append(self._placed(width))
                made.append(self._space(one, width))
                continue
            if render.width_of(self._word + one) > width - len(render.INSET):
                made.append(self._placed(width))
            self._word += one
            # Scripts with no spaces have wide letters: a line may end after each of them.
            if unicodedata.east_asian_width(one) in _WIDE:
                made.append(self._placed(width))
        return "".join(made)

    def _placed(self, width: int) -> str:
        """The word, on a line that has room for it."""
        word, self._word = self._word, ""
        if not word:
            return ""
        columns = render.width_of(word)
        before = ""
        if self._column and self._column + columns > width:
            before = "\n"
            self._column = 0
        if not self._column:
            before += render.INSET
            self._column = len(render.INSET)
        self._column += columns
        return before + word

    def _space(self, one: str, width: int) -> str:
        if one == "\n" or self._column + 1 > width:
            self._column = 0
            return "\n"
        before = "" if self._column else render.INSET
        self._column += len(before) + 1
        return before + " "
