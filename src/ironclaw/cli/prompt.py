"""Where somebody types the lines of a conversation.

A person at a terminal gets an editor of one's line: arrow keys, a history that ends with the
conversation, and a paste of several lines as one message. What is no terminal, or a dumb one, is
read line by line.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from typing import TYPE_CHECKING, Protocol

from ironclaw.cli import render

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent


class Prompt(Protocol):
    """Asks for lines: `begin`, `ask`, `end`; between the first and the last others may write."""

    def begin(self) -> None:
        """Somebody will be asked."""
        ...

    def ask(self) -> str | None:
        """The next line; None at the end of input. Raises KeyboardInterrupt."""
        ...

    def end(self) -> None:
        """Somebody was asked. Nobody is writing aside."""
        ...

    @property
    def is_ahead(self) -> bool:
        """Whether what follows the last line was typed with it: it is for the next `ask`."""
        ...

    def aside(self) -> AbstractContextManager[None]:
        """While it is open, another thread may write whole lines, though the prompt stands."""
        ...


def prompt(invitation: str) -> Prompt:
    """The best one for where we run; the invitation stands before the line."""
    if render.is_seen() and os.environ.get("TERM", "dumb") != "dumb":
        return Editor(invitation)
    return Plain(invitation)


class Plain:
    """Line by line, as the terminal or the pipe has them."""

    is_ahead = False
    """A terminal keeps it, line by line, and so does a pipe."""

    def __init__(self, invitation: str) -> None:
        self._invitation = invitation

    def begin(self) -> None:
        """As `Prompt`."""
        render.invite(self._invitation)

    def ask(self) -> str | None:
        """As `Prompt`."""
        return render.answer()

    def end(self) -> None:
        """As `Prompt`."""

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What is being typed stays where it is, and counts."""
        render.line()
        yield
        render.invite(self._invitation)


class Editor:
    """A line that can be edited; what others write meanwhile stands above it.

    Ctrl-C clears the line, and raises KeyboardInterrupt from `ask` on an empty one.
    """

    def __init__(self, invitation: str) -> None:
        # Not before there is a person at a terminal: it takes a tenth of a second.
        from prompt_toolkit import PromptSession  # noqa: PLC0415
        from prompt_toolkit.history import InMemoryHistory  # noqa: PLC0415
        from prompt_toolkit.output.defaults import create_output  # noqa: PLC0415
        from prompt_toolkit.output.vt100 import Vt100_Output  # noqa: PLC0415

        self.is_ahead = False
        self._invitation = invitation
        self._writing = contextlib.ExitStack()
        output = create_output()
        if isinstance(output, Vt100_Output):
            # Where the cursor is need not be asked for: no menu has to find room below it.
            output.enable_cpr = False
        self._session: PromptSession[str] = PromptSession(
            history=InMemoryHistory(),
            key_bindings=_keys(),
            enable_suspend=True,
            reserve_space_for_menu=0,
            output=output,
        )

    def begin(self) -> None:
        """As `Prompt`."""
        from prompt_toolkit.patch_stdout import patch_stdout  # noqa: PLC0415

        render.fresh_line()
        self._writing.enter_context(patch_stdout(raw=True))

    def ask(self) -> str | None:
        """As `Prompt`."""
        with _ending():
            try:
                line = self._session.prompt([("bold", self._invitation)])
            except EOFError:
                return None
        self.is_ahead = self._has_more()
        return render.typed(line)

    def end(self) -> None:
        """As `Prompt`."""
        self._writing.close()

    def _has_more(self) -> bool:
        """Whether more was read than the line, or waits that was no line when it came."""
        from prompt_toolkit.input import typeahead  # noqa: PLC0415

        keys = typeahead.get_typeahead(self._session.input)
        typeahead.store_typeahead(self._session.input, keys)
        return bool(keys) or bool(select.select([sys.stdin], [], [], 0)[0])

    def aside(self) -> AbstractContextManager[None]:
        """The editor makes room."""
        return contextlib.nullcontext()


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Whoever is told to end while somebody types puts the terminal back first."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings  # noqa: PLC0415

    keys = KeyBindings()

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    def _(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")

    @keys.add("c-@")
    def _(event: KeyPressEvent) -> None:
        """Nothing: a selection would swallow what is typed next."""

    return keys
