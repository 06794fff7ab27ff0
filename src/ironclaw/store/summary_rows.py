"""The summary of a session: what a fresh box is told instead of the turns that it tells of.

There is one of each session, the newest. The ledger keeps every turn whatever a summary says: it
only decides where the conversation begins that a box is told.

Trust:
    A summary is the word of a box. It is kept sealed, shown to nobody but boxes of its session, and
    it may only move on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import SessionId
    from ironclaw.store.content import Content
    from ironclaw_contract.records import Summary

MAX_SUMMARY_BYTES: Final = 64 * 1024


class Kept(NamedTuple):
    """A session's summary."""

    n: int
    """Number of the newest message that it tells of; 0 for none."""
    text: str


def summary_of(db: apsw.Connection, content: Content, session: SessionId) -> Kept:
    """The newest summary; an empty one when there is none. Raises HostError."""
    row = db.execute("SELECT n, sealed FROM summary WHERE session = ?", (session,)).fetchone()
    if row is None:
        return Kept(0, "")
    n, sealed = row
    return Kept(n, content.unseal(session, _place(session, n), sealed).decode())


def keep_summary(
    db: apsw.Connection, content: Content, session: SessionId, summary: Summary, *, now_ms: int
) -> str:
    """Keep what a box sums up in place of the last one; why not, if that cannot be true.

    `summary.turn` is the last message that it tells of. It is one of the session's own that began
    a turn or joined one, that turn has ended, and it is newer than the last summary's.
    """
    text = summary.text.replace("\0", "")
    if not text.strip() or len(text.encode()) > MAX_SUMMARY_BYTES:
        return f"it has {len(text)} characters"
    row = db.execute(
        "SELECT m.n FROM message m JOIN message t ON t.id = m.turn WHERE m.id = ?1"
        " AND m.session = ?2 AND m.engage = 1 AND m.open = 0 AND t.session = ?2 AND t.open = 0",
        (summary.turn, session),
    ).fetchone()
    if row is None:
        return f"{summary.turn} is of no turn that has ended"
    (n,) = row
    last = db.execute("SELECT n FROM summary WHERE session = ?", (session,)).fetchone()
    if last is not None and n <= last[0]:
        return f"{summary.turn} is summed up already"
    db.execute(
        "INSERT INTO summary VALUES (?, ?, ?, ?) ON CONFLICT (session) DO UPDATE"
        " SET n = excluded.n, sealed = excluded.sealed, at_ms = excluded.at_ms",
        (session, n, content.seal(session, _place(session, n), text.encode()), now_ms),
    )
    return ""


def _place(session: SessionId, n: int) -> str:
    return f"summary/{session}/{n}"
