"""Rows of messages, deliveries and events, as values and back. Used inside transactions only."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId, DeliveryId, MessageId, SessionId
from ironclaw.domain.model import Delivery, DeliveryStatus, Message, MessageStatus
from ironclaw.domain.taint import NONE, kept
from ironclaw.store.file_rows import came_with, files_of, join
from ironclaw.store.taint_rows import taint_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from ironclaw.domain.attachments import Kept
    from ironclaw.domain.questions import Choice
    from ironclaw.domain.taint import Taints
    from ironclaw.store.content import Content

COLUMNS: Final = (
    "id, session, chat, thread, sealed, at_ms, engage, status,"
    # Most came with none, and a look for them costs more than the message.
    " EXISTS (SELECT 1 FROM file f WHERE f.message = message.id AND f.is_out = 0)"
)
"""Of `message`, for `whole_message`."""
MESSAGE: Final = f"SELECT {COLUMNS} FROM message"  # noqa: S608 - constants
HOST: Final = "ironclaw"
"""Sender of the host's own words."""
WAITING: Final = "SELECT id FROM message WHERE session = ? AND open = 1 AND engage = 1 ORDER BY n"
"""Messages of a session that wait for an answer, the one that is worked on first."""
_UNDER_WAY: Final = (
    "SELECT id FROM message WHERE session = ? AND open = 1 AND engage = 1"
    " ORDER BY next_index > 0 DESC, n LIMIT 1"
)
LAST_SAID: Final = (
    # Each half by its own index: one over all messages would be taken for those that wait as well.
    "(SELECT max(n) FROM"
    " (SELECT max(n) AS n FROM message WHERE session = ?1 AND open = 1 AND engage = 1"
    " UNION ALL SELECT max(n) FROM message WHERE session = ?1 AND open = 0 AND engage = 1))"
)
"""Number of the newest message of the session `?1` that was said to its agent."""
_Words = tuple[str, str]
"""Sender and text: what is sealed of a message."""


class Target(NamedTuple):
    """The message that something answers."""

    id: MessageId
    n: int
    session: SessionId
    chat: ChatId
    thread: str | None
    status: str
    next_index: int
    engage: bool
    agent: str = ""
    """The agent's name; not looked up for a message that is only being accepted."""


def seal_words(
    content: Content, session: SessionId, message: MessageId, sender: str, text: str
) -> bytes:
    """Seal who said what."""
    plain = msgspec.msgpack.encode((sender, text))
    return content.seal(session, f"message/{message}", plain)


def unseal_words(content: Content, session: SessionId, message: MessageId, sealed: bytes) -> _Words:
    """Undo `seal_words`. Raises HostError."""
    plain = content.unseal(session, f"message/{message}", sealed)
    words: _Words = msgspec.msgpack.decode(plain, type=_Words)
    return words


def as_message(
    content: Content,
    row: tuple[str, str, str, str | None, bytes, int, int, str],
) -> Message:
    """The columns of a message as a value, without its files. Raises HostError."""
    id_, session, chat, thread, sealed, at_ms, engage, status = row
    sender, text = unseal_words(content, SessionId(session), MessageId(id_), sealed)
    return Message(
        id=MessageId(id_),
        session=SessionId(session),
        chat=ChatId(chat),
        thread=thread,
        sender=sender,
        text=text,
        at_ms=at_ms,
        engage=bool(engage),
        status=MessageStatus(status),
    )


def whole_message(
    db: apsw.Connection,
    content: Content,
    row: tuple[str, str, str, str | None, bytes, int, int, str, int],
) -> Message:
    """A row of `MESSAGE` as a value, with its files. Raises HostError."""
    message, has_files = as_message(content, row[:8]), row[8]
    return with_files(db, content, message) if has_files else message


def with_files(db: apsw.Connection, content: Content, message: Message) -> Message:
    """The message with what came with it. Raises HostError."""
    files = files_of(came_with(db, content, message.id))
    return msgspec.structs.replace(message, files=files) if files else message


def find_target(db: apsw.Connection, message: str) -> Target | None:
    """The message of that id, whosever it is."""
    row = db.execute(
        "SELECT m.id, m.n, m.session, m.chat, m.thread, m.status, m.next_index, m.engage, a.name"
        " FROM message m JOIN session s ON s.id = m.session JOIN agent a ON a.id = s.agent"
        " WHERE m.id = ?",
        (message,),
    ).fetchone()
    if row is None:
        return None
    id_, n, session, chat, thread, status, next_index, engage, agent = row
    return Target(
        MessageId(id_), n, SessionId(session), ChatId(chat), thread, status, next_index,
        bool(engage), agent,
    )  # fmt: skip


def add_message(
    db: apsw.Connection,
    message: Message,
    *,
    external_id: str,
    sealed: bytes,
    is_open: bool = True,
    taint: Taints = NONE,
) -> int:
    """Keep a message and show it in its chat; returns the number of its event.

    Args:
        db: In a transaction.
        message: Who said what to whom.
        external_id: The platform's id of it.
        sealed: Its words, by `seal_words`.
        is_open: Whether it waits for the agent.
        taint: What of it is foreign to the agent's people; some of that stays with the session.
    """
    number, _, _ = next_event(db, message.chat)
    db.execute(
        "INSERT INTO message (event, id, session, chat, thread, external_id, sealed,"
        " at_ms, engage, status, open, hops, taint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            number, message.id, message.session, message.chat, message.thread, external_id, sealed,
            message.at_ms, int(message.engage), message.status.value, int(is_open), message.hops,
            kept(taint),
        ),
    )  # fmt: skip
    target = Target(
        message.id, db.last_insert_rowid(), message.session, message.chat, message.thread,
        message.status.value, 0, message.engage, agent="",  # a person speaks
    )  # fmt: skip
    add_event(db, number=number, kind="message", target=target, delivery=None, now_ms=message.at_ms)
    taint_session(db, message.session, taint)
    return number


def hops_of(db: apsw.Connection, session: SessionId, turn: str) -> int:
    """Agents that what a turn of a session works on, or what waits there, has come through.

    Trust:
        Which turn it is is a box's word: all that it may have before it now counts too.
    """
    ((hops,),) = list(
        db.execute(
            "SELECT ifnull(max(hops), 0) FROM ("
            "SELECT hops FROM message WHERE turn = ?2 AND session = ?1"
            " UNION ALL SELECT hops FROM message WHERE id = ?2 AND session = ?1"
            " UNION ALL SELECT hops FROM message WHERE session = ?1 AND open = 1"
            # What joined the turn that is under way does not wait any more.
            " UNION ALL SELECT h.hops FROM message t JOIN message h ON h.turn = t.id"
            " WHERE t.session = ?1 AND t.open = 1)",
            (session, turn),
        )
    )
    return int(hops)


def come_so_far(db: apsw.Connection, turn: Target) -> int:
    """Note of a turn that something leaves it which has come as far as anything there; how far.

    Later, when it is carried, nobody can tell any more what its turn had before it.
    """
    hops = hops_of(db, turn.session, turn.id)
    db.execute("UPDATE message SET hops = max(hops, ?) WHERE n = ?", (hops, turn.n))
    return hops


def no_turn() -> UserError:
    """What is done for a turn that is over, or that is another session's: nothing."""
    return UserError(Code.NOT_FOUND, "There is no such turn.", hint="Do it in a turn.")


def is_under_way(target: Target) -> bool:
    """Whether a message still wants an answer: only then is anything done for its turn."""
    return target.engage and target.status == MessageStatus.PENDING


def turn_under_way(db: apsw.Connection, session: SessionId) -> str:
    """The turn that a session has begun and not ended, else the next one; empty: none."""
    row = db.execute(_UNDER_WAY, (session,)).fetchone()
    return "" if row is None else str(row[0])


def touch(db: apsw.Connection, session: SessionId, *, now_ms: int) -> None:
    """Something was said in a session just now. Raises UserError (`CONFLICT`)."""
    db.execute(
        "UPDATE session SET active_ms = ? WHERE id = ? AND state <> 'forgotten'", (now_ms, session)
    )
    if not db.changes():
        raise UserError(
            Code.CONFLICT,
            "This conversation was forgotten a moment ago.",
            hint="Say it again: that begins a new one.",
        )


def next_event(db: apsw.Connection, chat: ChatId) -> tuple[int, str, str]:
    """Take the chat's next event id; with its channel and platform id."""
    ((number, channel, platform_id),) = list(
        db.execute(
            "UPDATE chat SET last_event = last_event + 1 WHERE id = ?"
            " RETURNING last_event, channel, platform_id",
            (chat,),
        )
    )
    return number, channel, platform_id


def add_event(
    db: apsw.Connection,
    *,
    number: int,
    kind: str,
    target: Target,
    delivery: DeliveryId | None,
    now_ms: int,
) -> None:
    """Show something in the target's chat."""
    db.execute(
        "INSERT INTO event (chat, id, kind, message, delivery, session, at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (target.chat, number, kind, target.id, delivery, target.session, now_ms),
    )


def delivery_id(session: SessionId, key: str) -> DeliveryId:
    """The id of what a session says under that key."""
    digest = hashlib.sha256(f"ironclaw delivery\0{session}\0{key}".encode()).digest()
    return DeliveryId(f"dlv_{base64.b32encode(digest[:10]).decode().lower()}")


def add_delivery(
    db: apsw.Connection,
    content: Content,
    *,
    key: str,
    target: Target,
    text: str,
    code: Code | None = None,
    by_host: bool = False,
    choice: Choice | None = None,
    files: Sequence[Kept] = (),
    goes_on: bool = False,
    now_ms: int,
) -> Delivery:
    """Say something in the target's own chat and thread.

    Args:
        db: In a transaction.
        content: Seals the text.
        key: What it is, unique within the session: the id is derived from it.
        target: What it answers.
        text: Words for people.
        code: Which failure the host tells of; None when it tells of none.
        by_host: Whether the host says it in place of the agent; of a failure it always does.
        choice: What people may answer, where it asks them something.
        files: What goes with it.
        goes_on: Whether the turn goes on behind it, so that it is not the answer.
        now_ms: Milliseconds since the epoch.
    """
    id_ = delivery_id(target.session, key)
    number, channel, platform_id = next_event(db, target.chat)
    is_error = code is not None
    by_host = by_host or is_error
    db.execute(
        "INSERT INTO delivery (id, session, message, chat, thread, sealed, at_ms, is_error,"
        " next_ms, event, code, by_host) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            id_, target.session, target.id, target.chat, target.thread,
            content.seal(target.session, f"delivery/{id_}", text.encode()),
            now_ms, int(is_error), now_ms, number, code or "", int(by_host),
        ),
    )  # fmt: skip
    join(db, id_, files)
    kind = "error" if is_error else "reply" if choice is None else "question"
    if goes_on:
        kind = "said"
    add_event(db, number=number, kind=kind, target=target, delivery=id_, now_ms=now_ms)
    return Delivery(
        id=id_,
        session=target.session,
        message=target.id,
        chat=target.chat,
        channel=channel,
        platform_id=platform_id,
        thread=target.thread,
        text=text,
        at_ms=now_ms,
        is_error=is_error,
        status=DeliveryStatus.DUE,
        next_ms=now_ms,
        event=number,
        said_by=HOST if by_host else target.agent,
        code=code or "",
        question=None if choice is None else choice.id,
        options=() if choice is None else choice.options,
        free_text=choice is None or choice.free_text,
        files=files_of(files),
        goes_on=goes_on,
    )


def begin_turn(db: apsw.Connection, target: Target) -> None:
    """Give the turn its message and the context that was heard before it."""
    db.execute(
        "UPDATE message SET turn = ?1, open = 0 WHERE session = ?2 AND open = 1 AND engage = 0"
        " AND n < ?3",
        (target.id, target.session, target.n),
    )
    db.execute("UPDATE message SET turn = id WHERE n = ?", (target.n,))


def close_message(db: apsw.Connection, target: Target, status: MessageStatus) -> None:
    """The message waits no longer, and nobody is asked anything for it any more."""
    db.execute(
        "UPDATE question SET status = 'cancelled' WHERE turn = ? AND status = 'open'", (target.id,)
    )
    # Those that joined its turn wait no longer either.
    db.execute(
        "UPDATE message SET status = ?1, open = 0 WHERE n = ?2"
        " OR (turn = ?3 AND heard IS NOT NULL AND engage = 1)",
        (status.value, target.n, target.id),
    )
