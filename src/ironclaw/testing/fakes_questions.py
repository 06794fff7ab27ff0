"""Questions in memory, for tests of edges: asked by whoever makes them, answered by the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import MessageId, QuestionId, new_id
from ironclaw.domain.model import Message, MessageStatus
from ironclaw.domain.questions import (
    Choice,
    Question,
    QuestionStatus,
    answer_of,
    no_question,
)
from ironclaw.domain.routing import Accepted
from ironclaw.domain.taint import NONE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import ChatId, SessionId
    from ironclaw.domain.audit import By
    from ironclaw.domain.model import Agent, Event
    from ironclaw.domain.taint import Taints

DAY_MS = 86_400_000


class MemoryQuestions:
    """Implements `services.questions.Book`.

    Args:
        clock: What time it is.
        number: Gives the next event number of a chat.
    """

    def __init__(self, clock: Clock, number: Callable[[ChatId], int]) -> None:
        self._clock = clock
        self._number = number
        self._kept: dict[QuestionId, Question] = {}
        self.answered: list[tuple[Question, str]] = []
        """What was answered, in order."""

    def ask(
        self,
        agent: Agent,
        *,
        session: SessionId,
        chat: ChatId,
        turn: MessageId,
        text: str,
        options: tuple[str, ...],
    ) -> Question:
        """Ask something."""
        now = self._clock.now_ms()
        question = Question(
            choice=Choice(QuestionId(new_id("qst")), options, free_text=not options),
            agent=agent.id,
            agent_name=agent.name,
            session=session,
            turn=turn,
            chat=chat,
            thread=None,
            text=text,
            status=QuestionStatus.OPEN,
            asked_ms=now,
            expires_ms=now + DAY_MS,
        )
        self._kept[question.id] = question
        return question

    async def questions(self) -> Sequence[Question]:
        """Those that are open."""
        return [one for one in self._kept.values() if one.status is QuestionStatus.OPEN]

    async def question(self, question: QuestionId) -> Question:
        """One of them."""
        if question not in self._kept:
            raise no_question()
        return self._kept[question]

    async def answer(
        self, question: QuestionId, event: Event, *, by: By, taint: Taints = NONE
    ) -> Accepted:
        """Answer one, once."""
        del by, taint
        found = await self.question(question)
        answer = answer_of(event.text, found.choice)
        if found.status is not QuestionStatus.OPEN:
            raise UserError(Code.CONFLICT, "It was answered before.", hint="Write to the agent.")
        if answer is None:
            raise UserError(Code.INVALID, "That is none of the options.", hint="Give a number.")
        return self._keep(found, event, answer)

    async def hear_answer(
        self, event: Event, *, session: SessionId, chat: ChatId, by: By, taint: Taints = NONE
    ) -> Accepted | None:
        """Take words as an answer where one is waited for."""
        del by, taint
        for found in await self.questions():
            answer = answer_of(event.text, found.choice)
            if (found.session, found.chat) == (session, chat) and answer is not None:
                return self._keep(found, event, answer)
        return None

    async def expire(self) -> Sequence[SessionId]:
        """Nothing expires here."""
        return ()

    async def next_expiry_ms(self) -> int | None:
        """Never."""
        return None

    def _keep(self, found: Question, event: Event, answer: str) -> Accepted:
        self._kept[found.id] = found._replace(status=QuestionStatus.ANSWERED)
        self.answered.append((found, answer))
        message = Message(
            id=MessageId(new_id("msg")),
            session=found.session,
            chat=found.chat,
            thread=None,
            sender=event.sender,
            text=event.text,
            at_ms=self._clock.now_ms(),
            engage=False,
            status=MessageStatus.HANDLED,
        )
        return Accepted(message, self._number(found.chat), new=True, turn=found.turn)
