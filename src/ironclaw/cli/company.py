"""Keeps somebody company who waits for an agent: says that it is at work, and takes Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, Final

from ironclaw.cli import render
from ironclaw.core.errors import IronClawError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

    from ironclaw.cli.talk import Spoken

_SAID_AT_S: Final = (2.0, 10.0, 30.0)
_THEN_EVERY_S: Final = 60.0
"""When a silence is spoken of."""
_TELL_S: Final = 2.0
"""How long who leaves an agent waits for it to be told to stop."""


class Patience:
    """Speaks of silences.

    Args:
        tell: Says that for so many whole seconds nothing came; from a thread of its own, and never
            while something is shown that did come.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._changed = threading.Condition()
        self._since: float | None = None
        """The monotonic second in which a silence began; None while there is none."""
        self._is_over = False

    def over(self, spoken: Iterable[Spoken]) -> Iterator[Spoken]:
        """The same, while somebody is told of its silences."""
        worker = threading.Thread(target=self._watch, name="patience", daemon=True)
        worker.start()
        try:
            self._mark(time.monotonic())
            for one in spoken:
                self._mark(None)
                yield one
                self._mark(time.monotonic())
        finally:
            with self._changed:
                self._is_over, self._since = True, None
                self._changed.notify_all()
            worker.join()

    def aside(self, show: Callable[[], None]) -> bool:
        """Show something else, from another thread, between what came; False when all has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._since is not None)
            if not self._is_over:
                show()
            return not self._is_over

    def _mark(self, since: float | None) -> None:
        with self._changed:
            self._since = since
            self._changed.notify_all()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_over:
                began = self._since
                if began is None:
                    self._changed.wait()
                    continue
                for after in _moments():
                    until = began + after
                    while self._since == began and (rest := until - time.monotonic()) > 0:
                        self._changed.wait(rest)
                    if self._since != began:
                        break
                    self._tell(int(after))


def _moments() -> Iterator[float]:
    yield from _SAID_AT_S
    after = 0.0
    while True:
        after += _THEN_EVERY_S
        yield after


@contextlib.contextmanager
def stopping(
    stop: Callable[[], object], *, at_edge: Callable[[], None]
) -> Iterator[Callable[[], bool]]:
    """While it is open, a person's Ctrl-C stops the agent; the next one raises KeyboardInterrupt.

    Args:
        stop: Has it stopped; what it raises is shown.
        at_edge: Called when a line on the terminal was ended here, or by whatever ran while we
            were suspended.

    Yields:
        Whether the agent was told; waits a moment for it.
    """
    if not render.is_seen():
        # Nobody could press it twice: who runs a script wants it ended.
        yield lambda: False
        return
    pressed: list[threading.Thread] = []
    told = threading.Event()

    def is_told() -> bool:
        return bool(pressed) and told.wait(_TELL_S)

    def press(number: int, frame: FrameType | None) -> None:
        del number, frame
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Not here: we may be in the middle of a write to the terminal.
        pressed.append(threading.Thread(target=tell, name="stopping", daemon=True))
        pressed[0].start()

    def tell() -> None:
        # Before and behind: words may come in between. The terminal is behind a `^C`.
        at_edge()
        render.note("")
        render.note("stopping the agent; Ctrl-C again leaves", tone="warn")
        at_edge()
        try:
            stop()
        except IronClawError as error:
            render.note(error.message, tone="bad")
            at_edge()
        else:
            told.set()

    def resume(number: int, frame: FrameType | None) -> None:
        del number, frame
        at_edge()

    before = [signal.signal(signal.SIGINT, press), signal.signal(signal.SIGCONT, resume)]
    try:
        yield is_told
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGCONT, before[1])
