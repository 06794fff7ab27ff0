"""The conversation so far, put together for a fresh box from the host's own rows.

resume: summary -> the newest ended turns behind it that fit, read from behind -> the open turn

What it reads depends on what a box is told, never on how long the conversation is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import MessageId, SessionId
from ironclaw.domain.model import MessageStatus
from ironclaw.domain.ports import Resume
from ironclaw.store.message_rows import COLUMNS, whole_message
from ironclaw.store.summary_rows import summary_of
from ironclaw.store.taint_rows import taint_of_session
from ironclaw_contract.entries import Called, Entry, Returned, Said, Thought

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from ironclaw.store.content import Content

OPEN_TURN: Final = (
    "SELECT id, next_index, worked_ms FROM message"
    " WHERE session = ? AND open = 1 AND next_index > 0"
)
"""The turn that a session has begun and not ended."""
_ENTRY_BYTES: Final = 64
"""What an entry costs besides its text."""
_Entries = tuple[Entry, ...]
_SAID: Final = f"SELECT heard, {COLUMNS} FROM message WHERE turn = ? ORDER BY n"  # noqa: S608 - constants


def resume(
    db: apsw.Connection, content: Content, session: SessionId, *, limit_bytes: int
) -> Resume:
    """The summary, the newest ended turns behind it that fit, the open turn. Raises HostError.

    A failed turn keeps what people said and loses what the box made of it: a call without its
    return would make the conversation unusable for a model.
    """
    open_turn = db.execute(OPEN_TURN, (session,)).fetchone()
    summary = summary_of(db, content, session)
    ended = db.execute(
        "SELECT id, status FROM message WHERE session = ? AND n > ? AND turn = id AND open = 0"
        " ORDER BY n DESC",
        (session, summary.n),
    )
    turns: list[list[Entry]] = []
    room = limit_bytes - len(summary.text.encode())
    for turn, status in ended:
        entries = _ended(db, content, session, turn, status)
        room -= sum(_size(entry) for entry in entries)
        if room < 0:
            break
        turns.append(entries)
    else:
        turns.append(_rest_of_summed(db, content, session, summary.n))
    past = tuple(entry for entries in reversed(turns) for entry in entries)
    if open_turn is None:
        return Resume(past, None, (), 0, summary.text)
    turn, index, worked_ms = open_turn
    foreign = bool(taint_of_session(db, session))
    entries = _turn(db, content, session, turn, steps=True, foreign=foreign)
    return Resume(past, MessageId(turn), tuple(entries), index, summary.text, worked_ms)


def _rest_of_summed(
    db: apsw.Connection, content: Content, session: SessionId, n: int
) -> list[Entry]:
    """What of the turn of the last message that was summed up came behind that message's answer.

    A turn that messages joined is several pieces to a box, and a summary may end between them.
    """
    joined: dict[str, int] = dict(
        db.execute(
            "SELECT id, n FROM message WHERE turn = (SELECT turn FROM message WHERE n = ?)", (n,)
        )
    )
    if not any(number > n for number in joined.values()):
        return []
    ((turn, status),) = db.execute(
        "SELECT t.id, t.status FROM message m JOIN message t ON t.id = m.turn WHERE m.n = ?", (n,)
    )
    entries = _ended(db, content, session, turn, status)
    for place, entry in enumerate(entries):
        if isinstance(entry, Said) and joined.get(entry.message, 0) > n:
            return entries[place:]
    return []


def _ended(
    db: apsw.Connection, content: Content, session: SessionId, turn: str, status: str
) -> list[Entry]:
    """A turn that is over, without thoughts: no model is given them again."""
    entries = _turn(db, content, session, turn, steps=status == MessageStatus.ANSWERED)
    return [entry for entry in entries if not isinstance(entry, Thought)]


def _turn(
    db: apsw.Connection,
    content: Content,
    session: SessionId,
    turn: str,
    *,
    steps: bool,
    foreign: bool = False,
) -> list[Entry]:
    """A turn as its box had it: every message in its place.

    Whether it has foreign content before it matters of the one that goes on.
    """
    records = dict(
        db.execute("SELECT idx, sealed FROM step WHERE turn = ? ORDER BY idx", (turn,))
        if steps
        else ()
    )
    said = _said(db, content, turn, foreign=foreign)
    entries: list[Entry] = [*said.pop(None, ())]
    for index in sorted({*records, *(index for index in said if index is not None)}):
        step: Sequence[Entry] = ()
        if index in records:
            plain = content.unseal(session, f"step/{turn}/{index}", records[index])
            step = msgspec.msgpack.decode(plain, type=_Entries)
        # What people answered to a question stands behind it, whatever was said then.
        first = next(
            (place for place, entry in enumerate(step) if not isinstance(entry, Returned)),
            len(step),
        )
        entries += step[:first]
        entries += said.get(index, ())
        entries += step[first:]
    return entries


def _said(
    db: apsw.Connection, content: Content, turn: str, *, foreign: bool
) -> dict[int | None, list[Said]]:
    """What people said in a turn, by the record that it came before; None: what began it."""
    found: dict[int | None, list[Said]] = {}
    for heard, *row in db.execute(_SAID, (turn,)):
        said = whole_message(db, content, tuple(row))
        found.setdefault(heard, []).append(
            Said(
                message=said.id,
                sender=said.sender[:256],
                text=said.text,
                at_ms=said.at_ms,
                files=said.files,
                foreign=foreign,
            )
        )
    return found


def _size(entry: Entry) -> int:
    text = entry.arguments if isinstance(entry, Called) else entry.text
    return len(text.encode()) + _ENTRY_BYTES
