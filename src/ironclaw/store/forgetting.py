"""Forgetting a session: nothing of it is worked on any more, and nothing can be read again.

The key goes in this transaction; what it sealed and something else may still point at stays, as
noise. The custodian drops the key from its memory afterwards, and from the write-ahead log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.store.file_rows import remove_files

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import SessionId


def forget(db: apsw.Connection, session: SessionId) -> bool:
    """Forget a session, in a transaction; whether it was not forgotten before.

    Its seat is free for a new one, what waits for an answer fails without a word, and what was due
    is not delivered.
    """
    db.execute(
        "UPDATE session SET state = 'forgotten', reason = '', place = NULL"
        " WHERE id = ? AND state <> 'forgotten'",
        (session,),
    )
    if not db.changes():
        return False
    db.execute(
        "DELETE FROM step WHERE turn IN (SELECT turn FROM message"
        " WHERE session = ? AND turn IS NOT NULL)",
        (session,),
    )
    db.execute(
        "UPDATE message SET open = 0,"
        " status = CASE status WHEN 'pending' THEN 'failed' ELSE status END"
        " WHERE session = ? AND open = 1",
        (session,),
    )
    db.execute(
        "UPDATE delivery SET status = 'dead', error = 'its conversation was forgotten'"
        " WHERE session = ? AND status = 'due'",
        (session,),
    )
    # What was sealed of a question is noise from now on, and nobody is asked it any more.
    db.execute(
        "UPDATE question SET status = 'cancelled' WHERE session = ? AND status = 'open'", (session,)
    )
    db.execute("DELETE FROM summary WHERE session = ?", (session,))
    remove_files(db, "session = ?", session)
    db.execute("DELETE FROM session_key WHERE session = ?", (session,))
    return True
