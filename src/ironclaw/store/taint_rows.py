"""Where taint is kept: with the message that brought it, its turn and its session.

Used inside transactions only. Words are only ever added. A new conversation (`/new`) is another
session, and begins with none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.domain.taint import NONE, STAYS, Taints, kept, of_entries, read
from ironclaw_contract.entries import Returned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import apsw

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.store.message_rows import Target
    from ironclaw_contract.entries import Entry

# As with hops: what waits counts too, for it may have joined the turn a moment ago.
_OF_TURN: Final = (
    "SELECT taint FROM session WHERE id = ?1"
    " UNION SELECT taint FROM message WHERE turn = ?2 AND session = ?1"
    " UNION SELECT taint FROM message WHERE id = ?2 AND session = ?1"
    " UNION SELECT taint FROM message WHERE session = ?1 AND open = 1"
    " UNION SELECT h.taint FROM message t JOIN message h ON h.turn = t.id"
    " WHERE t.session = ?1 AND t.open = 1"
    # A box that names a turn which is over has the newest of those before it as well.
    " UNION SELECT taint FROM (SELECT taint FROM message"
    " WHERE session = ?1 AND turn = id AND open = 0 ORDER BY n DESC LIMIT 1)"
    " WHERE ?2 <> '' AND NOT EXISTS"
    " (SELECT 1 FROM message WHERE id = ?2 AND session = ?1 AND open = 1)"
)


def taint_of(db: apsw.Connection, session: SessionId, turn: str = "") -> Taints:
    """What a turn of a session has before it.

    Args:
        db: In a transaction.
        session: Whose.
        turn: As a box says; the one that is under way counts whatever it says.
    """
    return _joined(db.execute(_OF_TURN, (session, turn)))


def taint_of_session(db: apsw.Connection, session: SessionId) -> Taints:
    """What stays with a session."""
    return _joined(db.execute("SELECT taint FROM session WHERE id = ?", (session,)))


def tainted_sessions(db: apsw.Connection, agent: AgentId, *, limit: int) -> list[str]:
    """Sessions of an agent with taint that stays, the newest first."""
    rows = db.execute(
        "SELECT id FROM session WHERE agent = ? AND taint <> '' ORDER BY created_ms DESC LIMIT ?",
        (agent, limit),
    )
    return [session for (session,) in rows]


def taint_session(db: apsw.Connection, session: SessionId, taint: Taints) -> None:
    """Add to a session what of it stays."""
    had = taint_of_session(db, session)
    if not (taint & STAYS) <= had:
        words = kept(had | (taint & STAYS))
        db.execute("UPDATE session SET taint = ? WHERE id = ?", (words, session))


def taint_turn(
    db: apsw.Connection,
    turn: Target,
    entries: Sequence[Entry],
    *,
    has_shared: Callable[[], bool],
) -> None:
    """Add to a turn what a record of it says that it has read.

    Args:
        db: In a transaction.
        turn: The message that began it.
        entries: Of the record.
        has_shared: Whether its agent has shared directories or skills.
    """
    if not any(isinstance(entry, Returned) for entry in entries):
        return
    rows = db.execute("SELECT call FROM question WHERE turn = ?", (turn.id,))
    asked = {call for (call,) in rows}
    found = of_entries(entries, has_shared=False, asked=asked)
    if found and has_shared():
        found = of_entries(entries, has_shared=True, asked=asked)
    had = _joined(db.execute("SELECT taint FROM message WHERE n = ?", (turn.n,)))
    if not found <= had:
        db.execute("UPDATE message SET taint = ? WHERE n = ?", (kept(had | found), turn.n))


def _joined(rows: apsw.Cursor) -> Taints:
    return NONE.union(*(read(words) for (words,) in rows))
