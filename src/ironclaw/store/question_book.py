"""Questions to people, as services see them. A part of the ledger: each write is one transaction.

answer (by id: a button, the API) ─┐
hear_answer (a message's words)  ──┴-> the first counts, kept with the message that it came as
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import MessageId, new_id
from ironclaw.domain.model import Message, MessageStatus
from ironclaw.domain.questions import (
    MAX_ANSWER_CHARS,
    Closed,
    Question,
    QuestionStatus,
    answer_of,
    no_question,
    option_of,
    told,
)
from ironclaw.domain.routing import Accepted
from ironclaw.domain.taint import NONE
from ironclaw.store import question_rows as rows
from ironclaw.store.message_rows import add_message, as_message, seal_words, touch

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import ChatId, QuestionId, SessionId
    from ironclaw.domain.audit import By
    from ironclaw.domain.model import Event
    from ironclaw.domain.taint import Taints
    from ironclaw.store.content import Content
    from ironclaw.store.engine import Store
    from ironclaw_contract.records import Answer

MOST: Final = 1000
"""Open questions that are listed at once."""
_OVER: Final = {
    QuestionStatus.ANSWERED: "This question was answered before: the first answer counts.",
    QuestionStatus.EXPIRED: "Nobody answered this question in time: its agent went on without.",
    QuestionStatus.CANCELLED: "This question is not asked any more.",
}
_KNOWN: Final = (
    "SELECT id, session, chat, thread, sealed, at_ms, engage, status, event FROM message"
    " WHERE session = ? AND chat = ? AND external_id = ?"
)


class QuestionBook:
    """The questions of the ledger. Methods raise HostError."""

    _store: Store
    _content: Content
    _clock: Clock

    async def answers(self, session: SessionId) -> list[Answer]:
        """What came of the questions of the turn that is under way, in order."""
        return await self._store.read(lambda db: rows.answers(db, self._content, session))

    async def asks(self, session: SessionId) -> int:
        """How many questions a session waits for people to answer."""
        return await self._store.read(
            lambda db: len(
                list(
                    db.execute(
                        "SELECT 1 FROM question WHERE session = ? AND status = 'open'", (session,)
                    )
                )
            )
        )

    async def questions(self) -> list[Question]:
        """The questions that wait for people, oldest first; at most `MOST`."""
        return await self._store.read(lambda db: rows.open_questions(db, self._content, limit=MOST))

    async def question(self, question: QuestionId) -> Question:
        """One question, open or not. Raises UserError (`NOT_FOUND`)."""
        found = await self._store.read(lambda db: rows.find(db, self._content, question))
        if found is None:
            raise no_question()
        return found

    async def answer(
        self, question: QuestionId, event: Event, *, by: By, taint: Taints = NONE
    ) -> Accepted:
        """Answer an open question: the first answer counts.

        Args:
            question: Which one.
            event: What was said, where, by whom; checked and clean. Where is the question's chat.
            by: Who answers, for the audit.
            taint: What of the answer is foreign to the agent's people.

        Returns:
            The message that the answer is kept as. The same event, given again, gives it again.

        Raises:
            UserError: `NOT_FOUND`; `CONFLICT`: it was answered, or is over; `INVALID`: it cannot be
                answered so.
        """
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> Accepted:
            found = rows.find(db, self._content, question)
            if found is None:
                raise no_question()
            known = _known(db, self._content, found, event)
            if known is not None:
                return known
            if found.status is not QuestionStatus.OPEN:
                raise UserError(Code.CONFLICT, _OVER[found.status], hint="Write to the agent.")
            answer = answer_of(event.text, found.choice)
            if answer is None:
                raise _no_answer(found)
            return keep_answer(
                db, self._content, found, event, answer=answer, by=by, taint=taint, now_ms=now
            )

        return await self._store.write(work)

    async def hear_answer(
        self, event: Event, *, session: SessionId, chat: ChatId, by: By, taint: Taints = NONE
    ) -> Accepted | None:
        """Take words that were not meant for the agent as an answer, where they name an option.

        People press no button where there is none, and mention nobody to say "2".

        Returns:
            As `answer`; None when it is none.
        """
        if not await self._store.read(lambda db: rows.has_open(db, session)):
            return None
        now = self._clock.now_ms()
        return await self._store.write(
            lambda db: hear_answer(
                db,
                self._content,
                event,
                session=session,
                chat=chat,
                is_meant=False,
                by=by,
                taint=taint,
                now_ms=now,
            )
        )

    async def expire(self) -> list[SessionId]:
        """Close what nobody answered in time; returns the sessions whose turns go on."""
        now = self._clock.now_ms()
        return await self._store.write(lambda db: rows.expire(db, self._content, now_ms=now))

    async def next_expiry_ms(self) -> int | None:
        """When the first open question expires; None: none is open."""
        row = await self._store.read(
            lambda db: db.execute(
                "SELECT min(expires_ms) FROM question WHERE status = 'open'"
            ).fetchone()
        )
        return None if row is None or row[0] is None else int(row[0])


def hear_answer(
    db: apsw.Connection,
    content: Content,
    event: Event,
    *,
    session: SessionId,
    chat: ChatId,
    is_meant: bool,
    by: By,
    now_ms: int,
    taint: Taints = NONE,
) -> Accepted | None:
    """Take words as the answer to a question that waits where they were said.

    An option that they name comes first, of whichever question; then words of one's own, for the
    oldest question that takes such.

    Args:
        db: In a transaction.
        content: Seals what is kept.
        event: What was said, checked and clean.
        session: Whose agent hears it.
        chat: Where it was said.
        is_meant: Whether it was said to the agent; else only an option is an answer.
        by: Who said it.
        now_ms: Milliseconds since the epoch.
        taint: What of it is foreign to the agent's people.

    Returns:
        The message that the answer is kept as; None when it is no answer.
    """
    if event.files:
        return None
    waiting = rows.open_here(db, content, session, chat, event.thread)
    named = ((one, option_of(event.text, one.choice.options)) for one in waiting)
    own = ((one, answer_of(event.text, one.choice)) for one in (waiting if is_meant else ()))
    for question, answer in (*named, *own):
        if answer is not None:
            return keep_answer(
                db, content, question, event, answer=answer, by=by, taint=taint, now_ms=now_ms
            )
    return None


def close_instead(
    db: apsw.Connection,
    content: Content,
    event: Event,
    *,
    session: SessionId,
    chat: ChatId,
    now_ms: int,
) -> bool:
    """Close the questions that wait where something else was said; whether there were any."""
    waiting = rows.open_here(db, content, session, chat, event.thread)
    rows.cancel(db, content, waiting, why=Closed.SOMETHING_ELSE, now_ms=now_ms)
    return bool(waiting)


def keep_answer(
    db: apsw.Connection,
    content: Content,
    question: Question,
    event: Event,
    *,
    answer: str,
    by: By,
    now_ms: int,
    taint: Taints = NONE,
) -> Accepted:
    """Keep an answer, and the message that it came as, which no turn begins with."""
    message = Message(
        id=MessageId(new_id("msg")),
        session=question.session,
        chat=question.chat,
        thread=question.thread,
        sender=event.sender,
        text=event.text,
        at_ms=now_ms,
        engage=False,
        status=MessageStatus.HANDLED,
    )
    sealed = seal_words(content, question.session, message.id, event.sender, event.text)
    number = add_message(
        db, message, external_id=event.external_id, sealed=sealed, is_open=False, taint=taint
    )
    touch(db, question.session, now_ms=now_ms)
    rows.answer(
        db,
        content,
        question,
        text=told(answer, event.sender),
        by=by,
        said=message.id,
        now_ms=now_ms,
    )
    return Accepted(message, number, new=True, turn=question.turn, has_closed=True)


def _known(
    db: apsw.Connection, content: Content, question: Question, event: Event
) -> Accepted | None:
    place = (question.session, question.chat, event.external_id)
    row = db.execute(_KNOWN, place).fetchone()
    if row is None:
        return None
    *columns, number = row
    message = as_message(content, tuple(columns))
    turn = rows.turn_answered_by(db, message.id)
    return Accepted(message, number, new=False, turn=turn)


def _no_answer(question: Question) -> UserError:
    choice = question.choice
    if choice.free_text:
        return UserError(
            Code.INVALID,
            f"An answer has 1 to {MAX_ANSWER_CHARS} characters, and no NUL.",
            hint="Write a longer one to the agent, as a message.",
        )
    options = "; ".join(f"{n}. {option}" for n, option in enumerate(choice.options, start=1))
    return UserError(
        Code.INVALID, "That is none of the options.", hint=f"Give its number or words: {options}"
    )
