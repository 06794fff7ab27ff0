"""What the ledger has for one box: what is new, what is with the box, what it has answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ironclaw.core.ids import MessageId, SessionId
    from ironclaw.domain.model import Message
    from ironclaw.domain.ports import Ledger
    from ironclaw_contract.records import Answer

REMEMBERED: Final = 1024
"""Answered messages: far more than come while the ledger is read once."""


def waiting_turns(messages: Iterable[Message]) -> frozenset[MessageId]:
    """Turns that stand still until people have answered them."""
    return frozenset(message.id for message in messages if message.waits)


def is_work(backlog: Sequence[Message]) -> bool:
    """Whether a box has anything to do: one whose turn waits for people has not."""
    return not waiting_turns(backlog) and any(message.engage for message in backlog)


class Inbox:
    """Messages of one session, as far as one life of its box is concerned.

    Args:
        ledger: Where they are durable.
        session: Whose they are.
    """

    def __init__(self, ledger: Ledger, session: SessionId) -> None:
        self._ledger = ledger
        self._session = session
        self._sent: dict[MessageId, Message] = {}
        self._answered: dict[MessageId, None] = {}
        """The last of this life: what is read of the ledger may be older than an answer."""
        self._joined: dict[MessageId, tuple[MessageId, ...]] = {}
        """By turn: what joined it."""
        self._begun: MessageId | None = None
        self._waits: frozenset[MessageId] = frozenset()
        """Turns that wait for people."""
        self._answers: list[Answer] = []
        self._told: set[tuple[str, str]] = set()
        """Questions whose answers are with the box."""
        self._last: Message | None = None
        self._fresh: list[Message] = []
        self._behind = False
        """The ledger has more than `_fresh`, or something that comes before it."""
        self.work = asyncio.Event()
        """Set while there may be something to take."""

    @property
    def is_owed(self) -> bool:
        """Whether messages that want an answer are with the box, and nobody has to answer first."""
        return not self._waits and any(message.engage for message in self._sent.values())

    @property
    def turn(self) -> MessageId | None:
        """The turn that the box works on: the one that it began, else the oldest that waits."""
        if self._begun is not None and self._begun in self._sent:
            return self._begun
        return next((message.id for message in self._sent.values() if message.engage), None)

    def begin(self, turn: MessageId) -> None:
        """The box works on this one: its records say so."""
        self._begun = turn

    def join(self, turn: MessageId, heard: Iterable[MessageId]) -> None:
        """These joined that turn, and are answered with it."""
        wanted = (self._sent.get(message) for message in heard)
        more = tuple(message.id for message in wanted if message is not None and message.engage)
        if more:
            self._joined[turn] = (*self.joined(turn), *more)

    def joined(self, turn: MessageId) -> tuple[MessageId, ...]:
        """What joined a turn, as far as it was with this box."""
        return self._joined.get(turn, ())

    @property
    def last(self) -> Message | None:
        """The message that the box answered last."""
        return self._last

    def sent(self, message: MessageId) -> Message | None:
        """The message of that id that is with the box, if it is."""
        return self._sent.get(message)

    def wake(self, message: Message | None) -> None:
        """There is something new: `message`, or whatever it is."""
        if message is None:
            self._behind = True
        elif message.engage:
            self._fresh.append(message)
        else:
            # Context starts nothing, but it comes before the next message that does.
            self._behind = True
            return
        self.work.set()

    async def take(self) -> list[Message]:
        """What is new and not with the box; the ledger is read only where that is needed."""
        if self._behind:
            return await self.backlog()
        messages = self._unsent(self._fresh)
        self._fresh.clear()
        self.work.clear()
        return messages

    async def backlog(self) -> list[Message]:
        """What the ledger has and the box has not."""
        # Forgotten before the read: what comes during it may not be in it.
        self._behind = False
        self._fresh.clear()
        self.work.clear()
        messages = await self._ledger.backlog(self._session)
        self._answers = await self._ledger.answers(self._session)
        self._waits = waiting_turns(messages)
        return self._unsent(messages)

    @property
    def answers(self) -> list[Answer]:
        """What people answered and the box has not, as of the last read of the ledger."""
        return [one for one in self._answers if (one.turn, one.call) not in self._told]

    def hold(self) -> None:
        """Some of what was taken goes later: it is read again then, and nothing is to be done now.

        Whoever held it back wakes this once it may go.
        """
        self._behind = True

    def mark(self, messages: list[Message], answers: Iterable[Answer] = ()) -> None:
        """These are with the box from now on."""
        self._sent.update((message.id, message) for message in messages)
        self._told.update((one.turn, one.call) for one in answers)

    def settle(self, answered: Iterable[MessageId]) -> Iterator[Message]:
        """These are answered; yields those that were with the box."""
        for name in answered:
            self._answered[name] = None
            self._joined.pop(name, None)
            self._waits -= {name}
            if (message := self._sent.pop(name, None)) is not None:
                self._last = message
                yield message
        while len(self._answered) > REMEMBERED:
            del self._answered[next(iter(self._answered))]

    def lose(self) -> None:
        """Nobody can say what is with the box."""
        self._sent.clear()
        self._told.clear()

    def _unsent(self, messages: list[Message]) -> list[Message]:
        return [
            message
            for message in messages
            if message.id not in self._sent and message.id not in self._answered
        ]
