"""Rows of questions: asked by a turn, closed once, told to the box. Used inside transactions only.

ask -> open -> answered | expired | cancelled -> answers (to a box, until the turn is over)

Trust:
    What a box asks is shown to people as the agent's words. What people answered is never taken
    from a box: what it claims of an answer is compared with the row (`check_answers`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.ids import AgentId, ChatId, MessageId, QuestionId, SessionId, new_id
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.questions import (
    EXPIRED,
    NOT_ALLOWED,
    WORDS,
    Choice,
    Closed,
    Question,
    QuestionStatus,
    shown_options,
)
from ironclaw.store.audit_rows import append
from ironclaw.store.message_rows import add_delivery
from ironclaw_contract.entries import Returned
from ironclaw_contract.records import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from ironclaw.domain.audit import By
    from ironclaw.domain.model import Delivery
    from ironclaw.store.content import Content
    from ironclaw.store.message_rows import Target
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import Ask

_Choice = tuple[tuple[str, ...], bool]
"""Options, and whether words of one's own are an answer: what is sealed of a question."""
_Told = tuple[str, bool]
"""Text, and whether it is an error: what is sealed of an answer."""

_QUESTION: Final = (
    "SELECT q.id, q.sealed, a.id, a.name, q.session, q.turn, q.chat, q.thread, d.sealed, q.status,"
    " q.asked_ms, q.expires_ms, q.delivery FROM question q JOIN session s ON s.id = q.session"
    " JOIN agent a ON a.id = s.agent JOIN delivery d ON d.id = q.delivery"
)
_OPEN: Final = f"{_QUESTION} WHERE q.status = 'open'"


class Kept(NamedTuple):
    """A question of which only a few things matter: no content is unsealed for it."""

    id: QuestionId
    agent: AgentId
    session: SessionId
    turn: MessageId
    chat: ChatId


def ask(
    db: apsw.Connection,
    content: Content,
    question: Ask,
    *,
    key: str,
    target: Target,
    may_ask: bool,
    now_ms: int,
) -> Delivery | None:
    """Keep a question, and show it where its turn began; None when this agent may not ask.

    Args:
        db: In a transaction.
        content: Seals it with the session's key.
        question: Of the contract, and of this turn, which has none under that call yet.
        key: Of its delivery, unique within the session.
        target: The message that its turn began with.
        may_ask: Whether the agent has the tool now; else the question is closed at once.
        now_ms: Milliseconds since the epoch.
    """
    choice = Choice(QuestionId(new_id("qst")), shown_options(question.options), question.free_text)
    delivery: Delivery | None = None
    if may_ask:
        delivery = add_delivery(
            db,
            content,
            key=key,
            target=target,
            text=question.question,
            choice=choice,
            now_ms=now_ms,
        )
    kept: _Choice = (choice.options, choice.free_text)
    status = QuestionStatus.OPEN if may_ask else QuestionStatus.CANCELLED
    db.execute(
        "INSERT INTO question (id, session, turn, call, delivery, chat, thread, sealed, status,"
        " asked_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            choice.id, target.session, target.id, question.call,
            "" if delivery is None else delivery.id, target.chat, target.thread,
            content.seal(target.session, f"question/{choice.id}", msgspec.msgpack.encode(kept)),
            status.value, now_ms, now_ms + question.wait_s * 1000,
        ),
    )  # fmt: skip
    one = Kept(choice.id, _agent_of(db, target.session), target.session, target.id, target.chat)
    _audit(db, AuditEvent.QUESTION_ASKED, one, now_ms=now_ms)
    if not may_ask:
        _tell(db, content, one, NOT_ALLOWED, is_error=True)
        _audit(
            db, AuditEvent.QUESTION_CANCELLED, one, reason=Closed.NOT_ALLOWED.value, now_ms=now_ms
        )
    return delivery


def has_open(db: apsw.Connection, session: str, turn: str | None = None) -> bool:
    """Whether a session waits for people, or one of its turns."""
    row = db.execute(
        "SELECT 1 FROM question WHERE session = ?1 AND status = 'open' AND ifnull(turn = ?2, 1)"
        " LIMIT 1",
        (session, turn),
    ).fetchone()
    return row is not None


def open_turns(db: apsw.Connection, session: str) -> frozenset[str]:
    """The turns of a session that wait for people."""
    rows = db.execute("SELECT turn FROM question WHERE session = ? AND status = 'open'", (session,))
    return frozenset(turn for (turn,) in rows)


def is_asked(db: apsw.Connection, turn: str, call: str) -> bool:
    """Whether a turn has asked something with that call."""
    row = db.execute("SELECT 1 FROM question WHERE turn = ? AND call = ?", (turn, call)).fetchone()
    return row is not None


def check_answers(
    db: apsw.Connection, content: Content, turn: str, entries: Iterable[Entry]
) -> str:
    """Compare what a box says that people answered with what they did; the call that differs."""
    claimed = [entry for entry in entries if isinstance(entry, Returned)]
    if not claimed:
        return ""
    told = {answer.call: (answer.text, answer.is_error) for answer in _of(db, content, turn)}
    for entry in claimed:
        known = told.get(entry.call)
        if known != (entry.text, entry.is_error) and (
            known is not None or is_asked(db, turn, entry.call)
        ):
            return entry.call
    return ""


def answers(db: apsw.Connection, content: Content, session: SessionId) -> list[Answer]:
    """What came of the questions of the turns that are not over, in order."""
    turns = db.execute(
        "SELECT DISTINCT m.id FROM message m JOIN question q ON q.turn = m.id"
        " WHERE m.session = ? AND m.open = 1",
        (session,),
    )
    return [answer for (turn,) in list(turns) for answer in _of(db, content, turn)]


def _of(db: apsw.Connection, content: Content, turn: str) -> list[Answer]:
    found = []
    for id_, session, call, sealed in db.execute(
        "SELECT id, session, call, answer FROM question WHERE turn = ? AND status <> 'open'"
        " AND answer IS NOT NULL ORDER BY n",
        (turn,),
    ):
        plain = content.unseal(SessionId(session), f"answer/{id_}", sealed)
        text, is_error = msgspec.msgpack.decode(plain, type=_Told)
        found.append(Answer(turn=turn, call=call, text=text, is_error=is_error))
    return found


# --- reading --------------------------------------------------------------------------------------


def find(db: apsw.Connection, content: Content, question: str) -> Question | None:
    """One question; None also where its session is forgotten, and with it what was asked."""
    row = db.execute(
        f"{_QUESTION} WHERE q.id = ? AND s.state <> 'forgotten'", (question,)
    ).fetchone()
    return None if row is None else _as_question(content, row)


def open_questions(db: apsw.Connection, content: Content, *, limit: int) -> list[Question]:
    """The questions that wait for people, oldest first, at most `limit`."""
    # The sign lets SQLite read the few that are open, not all that there ever were, in order.
    rows = list(db.execute(f"{_OPEN} ORDER BY +q.n LIMIT ?", (limit,)))
    return [_as_question(content, row) for row in rows]


def open_here(
    db: apsw.Connection, content: Content, session: SessionId, chat: ChatId, thread: str | None
) -> list[Question]:
    """The questions of a session that wait in one thread of one chat, oldest first."""
    if not has_open(db, session):
        return []
    rows = list(
        db.execute(
            f"{_OPEN} AND q.session = ? AND q.chat = ? AND q.thread IS ? ORDER BY q.n",
            (session, chat, thread),
        )
    )
    return [_as_question(content, row) for row in rows]


def turn_answered_by(db: apsw.Connection, message: MessageId) -> MessageId | None:
    """The turn that a message answered a question of, if it did."""
    row = db.execute(
        "SELECT turn FROM question WHERE said = ? AND said <> ''", (message,)
    ).fetchone()
    return None if row is None else MessageId(row[0])


def asked_with(
    db: apsw.Connection, content: Content, session: SessionId, delivery: str
) -> Choice | None:
    """What people may answer to a delivery, where it asks them something. Raises HostError."""
    row = db.execute("SELECT id, sealed FROM question WHERE delivery = ?", (delivery,)).fetchone()
    return None if row is None else choice_of(content, session, *row)


def choice_of(content: Content, session: SessionId, id_: str, sealed: bytes) -> Choice:
    """What people may answer, from the columns `id` and `sealed`. Raises HostError."""
    plain = content.unseal(session, f"question/{id_}", sealed)
    options, free_text = msgspec.msgpack.decode(plain, type=_Choice)
    return Choice(QuestionId(id_), options, free_text)


def _as_question(
    content: Content,
    row: tuple[str, bytes, str, str, str, str, str, str | None, bytes, str, int, int, str],
) -> Question:
    (
        id_, sealed, agent, agent_name, session, turn, chat, thread, words, status, asked_ms,
        expires_ms, delivery,
    ) = row  # fmt: skip
    owner = SessionId(session)
    return Question(
        choice=choice_of(content, owner, id_, sealed),
        agent=AgentId(agent),
        agent_name=agent_name,
        session=owner,
        turn=MessageId(turn),
        chat=ChatId(chat),
        thread=thread,
        text=content.unseal(owner, f"delivery/{delivery}", words).decode(),
        status=QuestionStatus(status),
        asked_ms=asked_ms,
        expires_ms=expires_ms,
    )


# --- closing --------------------------------------------------------------------------------------


def answer(
    db: apsw.Connection,
    content: Content,
    question: Question,
    *,
    text: str,
    by: By,
    said: MessageId,
    now_ms: int,
) -> None:
    """Keep an answer to an open question: the first counts.

    Args:
        db: In a transaction, in which the question was seen to be open.
        content: Seals it.
        question: Which one.
        text: As the agent reads it.
        by: Who answered, for the audit.
        said: The message that it came as.
        now_ms: Milliseconds since the epoch.
    """
    one = _kept(question)
    db.execute(
        "UPDATE question SET status = 'answered', answered_by = ?, answered_ms = ?, said = ?"
        " WHERE id = ?",
        (by.actor, now_ms, said, question.id),
    )
    _tell(db, content, one, text, is_error=False)
    _audit(db, AuditEvent.QUESTION_ANSWERED, one, by=by, now_ms=now_ms)


def cancel(
    db: apsw.Connection,
    content: Content,
    questions: Sequence[Question],
    *,
    why: Closed,
    now_ms: int,
) -> None:
    """Close open questions that nobody has answered; their turns are told why."""
    for question in questions:
        one = _kept(question)
        db.execute("UPDATE question SET status = 'cancelled' WHERE id = ?", (question.id,))
        _tell(db, content, one, WORDS[why], is_error=True)
        _audit(db, AuditEvent.QUESTION_CANCELLED, one, reason=why.value, now_ms=now_ms)


def cancel_all(
    db: apsw.Connection, content: Content, session: SessionId, *, why: Closed, now_ms: int
) -> None:
    """Close every open question of a session."""
    rows = list(db.execute(f"{_OPEN} AND q.session = ? ORDER BY q.n", (session,)))
    cancel(db, content, [_as_question(content, row) for row in rows], why=why, now_ms=now_ms)


def expire(db: apsw.Connection, content: Content, *, now_ms: int) -> list[SessionId]:
    """Close what nobody answered in time; the sessions whose turns go on."""
    rows = list(
        db.execute(
            "SELECT q.id, s.agent, q.session, q.turn, q.chat FROM question q"
            " JOIN session s ON s.id = q.session WHERE q.status = 'open' AND q.expires_ms <= ?"
            " ORDER BY q.expires_ms, q.n",
            (now_ms,),
        )
    )
    gone: dict[SessionId, None] = {}
    for id_, agent, session, turn, chat in rows:
        one = Kept(
            QuestionId(id_), AgentId(agent), SessionId(session), MessageId(turn), ChatId(chat)
        )
        db.execute("UPDATE question SET status = 'expired' WHERE id = ?", (id_,))
        _tell(db, content, one, EXPIRED, is_error=True)
        _audit(db, AuditEvent.QUESTION_EXPIRED, one, now_ms=now_ms)
        gone[one.session] = None
    return list(gone)


def _tell(
    db: apsw.Connection, content: Content, question: Kept, text: str, *, is_error: bool
) -> None:
    told: _Told = (text, is_error)
    sealed = content.seal(question.session, f"answer/{question.id}", msgspec.msgpack.encode(told))
    db.execute("UPDATE question SET answer = ? WHERE id = ?", (sealed, question.id))


def _audit(
    db: apsw.Connection,
    event: AuditEvent,
    question: Kept,
    *,
    by: By = CORE,
    reason: str | None = None,
    now_ms: int,
) -> None:
    entry = AuditEntry(
        event=event,
        question=question.id,
        agent=question.agent,
        session=question.session,
        message=question.turn,
        chat=question.chat,
        reason=reason,
    )
    append(db, entry, at_ms=now_ms, by=by)


def _kept(question: Question) -> Kept:
    return Kept(question.id, question.agent, question.session, question.turn, question.chat)


def _agent_of(db: apsw.Connection, session: str) -> AgentId:
    ((agent,),) = list(db.execute("SELECT agent FROM session WHERE id = ?", (session,)))
    return AgentId(agent)
