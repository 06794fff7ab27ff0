"""Questions that agents ask people: who may answer, answering, and what nobody answers in time.

answer -> the ledger keeps it, once -> shown in the chat -> its session is woken
run: sleeps until the first open question expires; the ledger rings when there is a new one

What was answered is durable before anybody is told. A core that ends in between finds the turn
among those that have something to do, and its next box is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.alarm import Alarm
from ironclaw.core.errors import HostError
from ironclaw.core.ids import new_id
from ironclaw.core.log import get_logger
from ironclaw.domain.acting import said_by
from ironclaw.domain.model import Event
from ironclaw.domain.taint import NONE
from ironclaw.services.hub import message_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import ChatId, PrincipalId, QuestionId, SessionId
    from ironclaw.domain.audit import By
    from ironclaw.domain.model import Message
    from ironclaw.domain.questions import Question
    from ironclaw.domain.routing import Accepted
    from ironclaw.domain.taint import Taints
    from ironclaw.services.house import ChatEvent

LONGEST_MS: Final = 300_000
"""Longest sleep: clocks get set, and machines are suspended."""
RETRY_S: Final = 60.0
"""After the store failed."""

_log = get_logger("questions")


class Book(Protocol):
    """Where questions are kept: `ironclaw.store.ledger.Ledger`. All methods raise HostError."""

    async def questions(self) -> Sequence[Question]:
        """Those that wait for people, oldest first."""
        ...

    async def question(self, question: QuestionId) -> Question:
        """One, open or not. Raises UserError (`NOT_FOUND`)."""
        ...

    async def answer(
        self, question: QuestionId, event: Event, *, by: By, taint: Taints = NONE
    ) -> Accepted:
        """Answer an open one. Raises UserError."""
        ...

    async def hear_answer(
        self, event: Event, *, session: SessionId, chat: ChatId, by: By, taint: Taints = NONE
    ) -> Accepted | None:
        """Take words that name an option as an answer."""
        ...

    async def expire(self) -> Sequence[SessionId]:
        """Close what nobody answered in time."""
        ...

    async def next_expiry_ms(self) -> int | None:
        """When the first open one expires."""
        ...


class Shows(Protocol):
    """Who shows what happens in chats: `services.hub.Hub`."""

    def publish(self, event: ChatEvent) -> None:
        """Show an event to those who watch its chat now."""
        ...


class Questions:
    """What people may do with questions. `run` is its one task.

    Args:
        book: Where they are kept.
        hub: Who is shown what was answered.
        wake: Called for a session whose turn can go on.
        clock: What time it is.
    """

    def __init__(
        self,
        *,
        book: Book,
        hub: Shows,
        wake: Callable[[SessionId, Message | None], None],
        clock: Clock,
    ) -> None:
        self._book = book
        self._hub = hub
        self._wake = wake
        self._clock = clock
        self._alarm = Alarm()

    async def open(self) -> Sequence[Question]:
        """Those that wait for people, oldest first. Raises HostError."""
        return await self._book.questions()

    async def find(self, question: QuestionId) -> Question:
        """One, open or not. Raises UserError (`NOT_FOUND`), HostError."""
        return await self._book.question(question)

    async def answer(self, question: QuestionId, text: str, *, principal: PrincipalId) -> Accepted:
        """Answer one by its id, where it was asked; durable on return. The first answer counts.

        Whether they may is the caller's to check.

        Raises:
            UserError: `NOT_FOUND`; `CONFLICT`: it was answered, or is over; `INVALID`: it cannot be
                answered so.
            HostError: It was not kept.

        Trust:
            `text` is foreign, and bounded by what an answer may be.
        """
        channel, _, handle = principal.partition(":")
        event = Event(
            channel=channel,
            platform_id="",
            handle=handle,
            sender=handle[:256],
            text=text,
            # No channel and no client can send this id. Another one each time: a second answer is
            # refused, also when it says the same.
            external_id=f"\n{new_id('ext')}",
        )
        return await self.press(question, event)

    async def press(self, question: QuestionId, event: Event, *, taint: Taints = NONE) -> Accepted:
        """The same, of an event that a channel heard: its text is the answer. Raises as `answer`.

        Args:
            question: Asked in the chat that the event is from.
            event: Checked and clean.
            taint: What of it is foreign to the agent's people.
        """
        answered = await self._book.answer(question, event, by=said_by(event), taint=taint)
        self._go_on(answered)
        return answered

    async def aside(
        self, event: Event, *, session: SessionId, chat: ChatId, taint: Taints = NONE
    ) -> Accepted | None:
        """Take words that name an option as an answer, though they were not said to the agent.

        Args:
            event: Checked and clean, of somebody who may talk to the agent there.
            session: Whose agent may have asked.
            chat: Where it was said.
            taint: What of it is foreign to the agent's people.

        Returns:
            None when they are no answer.

        Raises:
            HostError: It was not kept.
        """
        by = said_by(event)
        answered = await self._book.hear_answer(
            event, session=session, chat=chat, by=by, taint=taint
        )
        if answered is not None:
            self._go_on(answered)
        return answered

    def _go_on(self, answered: Accepted) -> None:
        """Show an answer to those who watch its chat, and let the turn go on.

        A repeat wakes too: the first time may have been cut off before the wake.
        """
        if answered.new:
            self._hub.publish(message_shown(answered.message, answered.event))
        self._wake(answered.message.session, None)

    def look_again(self, _rows: int = 0) -> None:
        """There are new questions."""
        self._alarm.ring()

    async def run(self) -> None:
        """Close what nobody answers in time, until cancelled. A failing store is waited for."""
        await self._alarm.keep(self._try_to_look)

    async def _try_to_look(self) -> float | None:
        try:
            return await self._look()
        except HostError as error:
            _log.error("questions_unreadable", code=error.code, detail=error.detail)
            return RETRY_S

    async def _look(self) -> float | None:
        """Close what is due; return how long there is nothing to do, None: until somebody rings."""
        next_ms = await self._book.next_expiry_ms()
        if next_ms is not None and next_ms <= self._clock.now_ms():
            for session in await self._book.expire():
                _log.info("question_expired", session=session)
                self._wake(session, None)
            next_ms = await self._book.next_expiry_ms()
        if next_ms is None:
            return None
        return min(max(0, next_ms - self._clock.now_ms()), LONGEST_MS) / 1000
