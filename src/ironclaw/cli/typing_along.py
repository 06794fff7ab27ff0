"""What somebody types into a conversation while the agent is at work.

A command, such as `/stop`, goes out at once; any other line waits for the end of the turn, as the
next message. Only where a person is there who sees it: a pipe is read line by line.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from ironclaw.cli import render
from ironclaw.core.errors import IronClawError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COMMAND: Final = "/"
_KEYS: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")
"""What a terminal sends for a key that is no letter (ECMA-48)."""
GONE_S: Final = 0.01
"""Ends of input that come sooner one after the other are no keys."""
LEAVING: Final = "  leaves once the agent has answered; Ctrl-C stops it"


class Typing:
    """Reads along while something is played.

    Args:
        command: Sends a command. What it raises puts the line off, as any other.
        leave: Words that end the conversation: for whoever asks for the next line.
    """

    def __init__(self, command: Callable[[str], object], *, leave: frozenset[str]) -> None:
        self._command = command
        self._leave = leave
        self._lines: deque[str | None] = deque()

    def next(self, ask: Callable[[], str | None]) -> str | None:
        """The line that waits longest, else the next one that `ask` gives; None at the end."""
        return self._lines.popleft() if self._lines else ask()

    @contextlib.contextmanager
    def reading(self, at_edge: Callable[[], None], *, is_ahead: bool = False) -> Iterator[None]:
        """Read along while the context is open.

        Args:
            at_edge: Called when a line was typed: its end began another one on the terminal.
            is_ahead: Whether lines that were typed before wait elsewhere: then the ones that are
                typed now are left for later, as nothing may overtake them.
        """
        if is_ahead or not render.is_seen():
            yield
            return
        ended, end = os.pipe()
        thread = threading.Thread(
            target=self._read, args=(ended, at_edge), name="typing", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            os.write(end, b"x")
            thread.join()
            os.close(ended)
            os.close(end)

    def _read(self, ended: int, at_edge: Callable[[], None]) -> None:
        left = -GONE_S
        while True:
            ready, _, _ = select.select([sys.stdin, ended], [], [])
            if ended in ready:
                return
            line = render.answer()
            if line is None:
                self._lines.append(None)
                if time.monotonic() - left < GONE_S:
                    # Not a key that somebody pressed: nobody is there any more.
                    return
                left = time.monotonic()
                render.note("")
                render.note(LEAVING)
                at_edge()
                continue
            at_edge()
            # There is no editor here: an arrow key is nothing that anybody wants to say.
            line = _KEYS.sub("", line)
            text = line.strip()
            if not text.startswith(_COMMAND) or text in self._leave or not self._sent(text):
                self._lines.append(line)

    def _sent(self, text: str) -> bool:
        try:
            self._command(text)
        except IronClawError:
            # It is tried again with the next prompt, and says then what is wrong.
            return False
        return True
