"""How much may wait for an agent: of one session, so many messages and so many bytes.

All that waits is held in memory and told to a fresh box at once, so it has an end. Whoever wants an
answer is told that there are too many; context is only ever background, and the newest is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import SessionId

MAX_WAITING: Final = 1000
MAX_WAITING_BYTES: Final = 8 * 1024 * 1024


def make_room(db: apsw.Connection, session: SessionId, *, engage: bool, size: int) -> None:
    """Have a place for one message more: of context, the oldest is given up.

    Args:
        db: In a transaction.
        session: Whose message it is.
        engage: Whether it waits for an answer; else it is context.
        size: Its bytes, sealed.

    Raises:
        PolicyError: `RATE_LIMITED`, when as many wait for an answer as may.
    """
    waiting = list(
        db.execute(
            "SELECT n, length(sealed) FROM message WHERE session = ? AND open = 1 AND engage = ?"
            " ORDER BY n",
            (session, int(engage)),
        )
    )
    count, total = len(waiting) + 1, size + sum(length for _, length in waiting)
    if count <= MAX_WAITING and total <= MAX_WAITING_BYTES:
        return
    if engage:
        raise PolicyError(
            Code.RATE_LIMITED,
            "Too many messages wait for this agent already.",
            hint="Wait until it has answered some of them, then send this one again.",
        )
    gone = []
    for number, length in waiting:
        if count <= MAX_WAITING and total <= MAX_WAITING_BYTES:
            break
        count, total = count - 1, total - length
        gone.append((number,))
    db.executemany("UPDATE message SET open = 0 WHERE n = ?", gone)
