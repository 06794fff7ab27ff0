"""What somebody types into a conversation while the agent is at work.

A command, such as `/stop`, goes out at once; any other line waits for the end of the turn, as the
next message. Only where a person is there who sees it: a pipe is read line by line.
"""

from __future__ import annotations

import os
import select
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from ironclaw.cli import render
from ironclaw.core.errors import IronClawError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

_COMMAND: Final = "/"
_END_S: Final = 5.0


class Typing:
    """Reads along while something is played; use it as a context.

    Args:
        command: Sends a command. What it raises puts the line off, as any other.
        leave: Words that end the conversation: for whoever asks for the next line.
    """

    def __init__(self, command: Callable[[str], object], *, leave: frozenset[str]) -> None:
        self._command = command
        self._leave = leave
        self._lines: deque[str | None] = deque()
        self._thread: threading.Thread | None = None
        self._ended, self._end = -1, -1

    def next(self, ask: Callable[[], str | None]) -> str | None:
        """The line that waits longest, else the next one that `ask` gives; None at the end."""
        return self._lines.popleft() if self._lines else ask()

    def __enter__(self) -> Self:
        if render.is_seen():
            self._ended, self._end = os.pipe()
            self._thread = threading.Thread(target=self._read, name="typing", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is None:
            return
        os.write(self._end, b"x")
        self._thread.join(_END_S)
        for descriptor in (self._ended, self._end):
            os.close(descriptor)
        self._thread = None

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([sys.stdin, self._ended], [], [])
            if self._ended in ready:
                return
            line = render.answer()
            text = "" if line is None else line.strip()
            if not text.startswith(_COMMAND) or text in self._leave or not self._sent(text):
                self._lines.append(line)
            if line is None:
                return

    def _sent(self, text: str) -> bool:
        try:
            self._command(text)
        except IronClawError:
            # It is tried again with the next prompt, and says then what is wrong.
            return False
        return True
