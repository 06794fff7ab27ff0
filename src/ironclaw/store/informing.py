"""Something the host says into a conversation by itself: context of the agent's next turn.

Its people see it in the chat where the session was last spoken to. It starts no turn, so a word
about an approval never sets an agent to work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.ids import MessageId, SessionId, new_id
from ironclaw.domain.model import Message, MessageStatus, SessionState
from ironclaw.domain.routing import Accepted
from ironclaw.store.message_rows import (
    LAST_SAID,
    add_message,
    as_message,
    find_target,
    seal_words,
)
from ironclaw.store.waiting import make_room

if TYPE_CHECKING:
    import apsw

    from ironclaw.store.content import Content
    from ironclaw.store.message_rows import Target

SENDER: Final = "IronClaw"
MARK: Final = "\n"
"""Before the key, where a channel's own ids stand: the router refuses one that has it, so nobody
outside can say first what the host is about to say."""
_KNOWN: Final = (
    "SELECT id, session, chat, thread, sealed, at_ms, engage, status, event FROM message"
    # In whichever chat it was said. The last part is what its index goes by: that of `MARK`.
    " WHERE session = ? AND external_id = ? AND substr(external_id, 1, 1) = char(10)"
)
_LAST_SAID: Final = (
    "SELECT m.id FROM message m JOIN session s ON s.id = m.session"  # noqa: S608 - constants
    f" WHERE m.n = {LAST_SAID} AND s.state <> ?2"
)


def inform(
    db: apsw.Connection,
    content: Content,
    *,
    session: SessionId,
    text: str,
    key: str,
    now_ms: int,
    at: Target | None = None,
) -> Accepted | None:
    """Say it once; a repeat gives what was said the first time.

    Args:
        db: In a transaction.
        content: Seals the text.
        session: Whose agent shall know it.
        text: The host's own words, nothing foreign in them unescaped.
        key: What it is, unique within the session.
        now_ms: Milliseconds since the epoch.
        at: Says where, in place of where the session was last spoken to.

    Returns:
        The message with the number of its event. None when nobody has ever spoken to that session,
        or it is forgotten: then there is nobody to tell.

    Raises:
        HostError: `KEY_UNUSABLE`.
    """
    external_id = MARK + key
    known = db.execute(_KNOWN, (session, external_id)).fetchone()
    if known is not None:
        *columns, number = known
        return Accepted(as_message(content, tuple(columns)), number, new=False)
    spoken = at or _last_spoken(db, session)
    if spoken is None:
        return None
    message = Message(
        id=MessageId(new_id("msg")),
        session=session,
        chat=spoken.chat,
        thread=spoken.thread,
        sender=SENDER,
        text=text,
        at_ms=now_ms,
        engage=False,
        status=MessageStatus.CONTEXT,
    )
    sealed = seal_words(content, session, message.id, SENDER, text)
    make_room(db, session, engage=False, size=len(sealed))
    number = add_message(db, message, external_id=external_id, sealed=sealed)
    return Accepted(message, number, new=True)


def _last_spoken(db: apsw.Connection, session: SessionId) -> Target | None:
    last = db.execute(_LAST_SAID, (session, SessionState.FORGOTTEN)).fetchone()
    return None if last is None else find_target(db, last[0])
