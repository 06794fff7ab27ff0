"""Commands of people: kept with what they do and with their answer, in one transaction, once.

    find -> (the host acts: what it does may be repeated) -> handle: row, effect, answer

A command that was cut off before its transaction has left nothing, so it may be given again; one
that is kept does nothing the second time. The agent never sees it: it waits for nobody, and it is
of no turn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.ids import MessageId, new_id
from ironclaw.domain.commands import STOPPED, Effect, Handled, Outcome
from ironclaw.domain.model import Message, MessageStatus
from ironclaw.domain.questions import Closed
from ironclaw.store.hearing import heard_by, with_answers
from ironclaw.store.message_rows import (
    WAITING,
    add_delivery,
    add_message,
    as_message,
    begin_turn,
    close_message,
    delivery_id,
    find_target,
    seal_words,
    touch,
)
from ironclaw.store.question_rows import cancel_all

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.commands import Heard, Words
    from ironclaw.domain.model import Delivery
    from ironclaw.store.content import Content

# By chat and agent, not by session: `/new` leaves the session that it was said in.
_KNOWN: Final = (
    "SELECT m.id, m.session, m.chat, m.thread, m.sealed, m.at_ms, m.engage, m.status, m.event"
    " FROM message m JOIN session s ON s.id = m.session WHERE m.status = 'handled' AND m.chat = ?"
    " AND m.external_id = ? AND s.agent = ? AND s.state <> 'forgotten'"
)


def find(db: apsw.Connection, content: Content, heard: Heard) -> Handled | None:
    """What became of a command that was given before. Raises HostError (`KEY_UNUSABLE`)."""
    row = db.execute(_KNOWN, (heard.chat, heard.event.external_id, heard.agent)).fetchone()
    if row is None:
        return None
    *columns, number = row
    message = as_message(content, tuple(columns))
    answer = delivery_id(message.session, _key(message))
    ((sealed,),) = list(db.execute("SELECT sealed FROM delivery WHERE id = ?", (answer,)))
    text = content.unseal(message.session, f"delivery/{answer}", sealed).decode()
    return Handled(message, number, text, Outcome(), (), new=False)


def handle(
    db: apsw.Connection,
    content: Content,
    heard: Heard,
    *,
    session: SessionId,
    effect: Effect,
    words: Words,
    now_ms: int,
) -> Handled:
    """Keep it, what it does and what is answered; a repeat gives what was answered first.

    Raises:
        UserError: `CONFLICT`: its conversation was forgotten meanwhile.
        HostError: `KEY_UNUSABLE`.
    """
    if (known := find(db, content, heard)) is not None:
        return known
    event = heard.event
    message = Message(
        id=MessageId(new_id("msg")),
        session=session,
        chat=heard.chat,
        thread=event.thread,
        sender=event.sender,
        text=event.text,
        at_ms=now_ms,
        engage=False,
        status=MessageStatus.HANDLED,
    )
    sealed = seal_words(content, session, message.id, event.sender, event.text)
    number = add_message(db, message, external_id=event.external_id, sealed=sealed, is_open=False)
    touch(db, session, now_ms=now_ms)
    deliveries: tuple[Delivery, ...] = ()
    outcome = Outcome()
    match effect:
        case Effect.STOP:
            deliveries, outcome = _stop(db, content, session, now_ms=now_ms)
        case Effect.BEGIN:
            outcome = _leave(db, session)
            # Its turn comes to an end in the old conversation: nobody answers there any more.
            cancel_all(db, content, session, why=Closed.NEW_CONVERSATION, now_ms=now_ms)
        case Effect.NOTHING:
            pass
    answer = words(outcome)
    target = find_target(db, message.id)
    if target is None:
        raise AssertionError("it was kept a moment ago")
    said = add_delivery(
        db, content, key=_key(message), target=target, text=answer, by_host=True, now_ms=now_ms
    )
    return Handled(message, number, answer, outcome, (*deliveries, said), new=True)


def _stop(
    db: apsw.Connection, content: Content, session: SessionId, *, now_ms: int
) -> tuple[tuple[Delivery, ...], Outcome]:
    """End the turn under way: the oldest message that waits. Those behind it wait on."""
    waiting = [id_ for (id_,) in db.execute(WAITING, (session,))]
    target = find_target(db, waiting[0]) if waiting else None
    if target is None:
        return (), Outcome()
    if target.next_index == 0:
        begin_turn(db, target)
    close_message(db, target, MessageStatus.FAILED)
    told = add_delivery(
        db,
        content,
        key=f"host/{target.id}",
        target=target,
        text=STOPPED,
        by_host=True,
        now_ms=now_ms,
    )
    told = with_answers(db, told, heard_by(db, target.id))
    return (told,), Outcome(stopped=True, waiting=len(waiting) - 1)


def _leave(db: apsw.Connection, session: SessionId) -> Outcome:
    """Let the next message begin a new session, unless nothing was said in this one."""
    waiting = len(list(db.execute(WAITING, (session,))))
    db.execute(
        "UPDATE session SET place = NULL WHERE id = ?1 AND EXISTS"
        " (SELECT 1 FROM message WHERE session = ?1 AND status <> 'handled')",
        (session,),
    )
    return Outcome(waiting=waiting, begun=bool(db.changes()))


def _key(message: Message) -> str:
    return f"command/{message.id}"
