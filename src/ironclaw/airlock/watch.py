"""Notices an airlock that does not react any more, while the core waits for something of it.

Nothing runs at rest. Whatever the core says arms one timer; when it is due the airlock is asked to
answer, and one that has not said a byte by the deadline hangs. As long as the core is owed an
answer to a message the timer is armed again, so a stop in the middle of a turn is found as well.

    said -> (quiet_s) -> ask -> heard in answer_s? -> rest, or once more while owed -> else hung
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Patience(NamedTuple):
    """How long the core waits for an airlock. `quiet_s` + `answer_s` bound how long one hangs."""

    quiet_s: float = 5.0
    """From what the core says to the question whether the airlock is there; and between two such
    questions while an answer is owed."""
    answer_s: float = 10.0
    """For any byte in answer. A fork that waits for the processor of a full machine needs time."""


class Watched(Protocol):
    """What the watch asks of its link."""

    def ask(self) -> None:
        """Tell the airlock to answer at once, without waiting for it to read."""
        ...

    def is_reading(self) -> bool:
        """Whether bytes of the airlock would be noticed: the core takes what it says."""
        ...

    def hung(self) -> None:
        """End it: it was asked and did not answer."""
        ...


class Watch:
    """One airlock's watch.

    Args:
        link: Whose.
        patience: How long it may be silent.
    """

    def __init__(self, link: Watched, patience: Patience) -> None:
        self._link = link
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None
        self._is_asked = False
        self._heard = False
        self._is_more_said = False
        """Since it was asked: its answer says nothing of that."""
        self._owed: set[str] = set()

    def said(self, *, owed: Iterable[str] = ()) -> None:
        """The core said something.

        Args:
            owed: Ids of messages that want an answer.
        """
        self._owed.update(owed)
        if self._timer is None:
            self._arm(self._patience.quiet_s)
        elif self._is_asked:
            self._is_more_said = True

    def heard(self) -> None:
        """Bytes came. Called for each read: it must cost nothing."""
        self._heard = True

    def settled(self, message: str) -> None:
        """A message was answered."""
        self._owed.discard(message)

    def stop(self) -> None:
        """Watch no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._link = _NOBODY

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        if not self._is_asked:
            self._is_asked, self._heard, self._is_more_said = True, False, False
            self._link.ask()
            self._arm(self._patience.answer_s)
        elif self._heard or not self._link.is_reading():
            self._is_asked = False
            if self._owed or self._is_more_said:
                self._arm(self._patience.quiet_s)
        else:
            self._link.hung()


class _Nobody:
    """Takes the place of a link that has ended."""

    def ask(self) -> None:
        pass

    def is_reading(self) -> bool:
        return False

    def hung(self) -> None:
        pass


_NOBODY: Final = _Nobody()
