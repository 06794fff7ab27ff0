"""An agent's words on the terminal, as they come.

In a conversation the edge of the terminal is the host's own: the prompt stands there, and nothing
that an agent says can look like it. Its words are set in, and lines are broken here, for a terminal
would let a long one go on at the edge.
"""

from __future__ import annotations

from ironclaw.cli import render
from ironclaw.core.sanitize import sanitize


class Words:
    """Writes them.

    Args:
        is_inset: Set in, where this is a terminal; what a pipe gets is as it was said.
    """

    def __init__(self, *, is_inset: bool) -> None:
        self._is_inset = is_inset and render.columns() > 0
        self._column = 0

    def block(self, text: str) -> None:
        """Several lines, ended."""
        self.piece(text)
        self.end()

    def piece(self, text: str) -> None:
        """Words that go on later."""
        render.piece(self._set_in(text) if self._is_inset else text)

    def end(self) -> None:
        """Whatever follows begins a line."""
        render.line()
        self._column = 0

    def _set_in(self, text: str) -> str:
        width = render.columns()
        made = []
        for one in sanitize(text, lines=True).replace("\t", render.TAB):
            if one == "\n":
                made.append(one)
                self._column = 0
                continue
            # What is not ASCII may be two columns wide; too short a line harms nobody.
            columns = 1 if one.isascii() else 2
            if self._column + columns > width:
                made.append("\n")
                self._column = 0
            if not self._column:
                made.append(render.INSET)
                self._column = len(render.INSET)
            made.append(one)
            self._column += columns
        return "".join(made)
