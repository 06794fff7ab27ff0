"""Lists of changes, each read from the end of an index. Used inside transactions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from ironclaw.core.ids import ChangeId, GrantId
from ironclaw.services.gateway.rows import Due, Waiting
from ironclaw.store.live import policy_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import apsw

    from ironclaw.domain.change import Status

_NEWEST: Final = " ORDER BY n DESC LIMIT ?"
# Left to itself, SQLite takes the index on the status and sorts all that waits.
_EXPIRES: Final = (
    "SELECT expires_ms, 'expire', id, NULL FROM change INDEXED BY change_expires"
    " WHERE status = 'pending' ORDER BY expires_ms LIMIT 1"
)
_ESCALATES: Final = (
    "SELECT created_ms + ?, 'escalate', id, NULL FROM change INDEXED BY change_escalates"
    " WHERE status = 'pending' AND escalated = 0 ORDER BY created_ms LIMIT 1"
)
_ENDS: Final = (
    "SELECT expires_ms, 'end', change, id FROM grant_ WHERE ended_ms IS NULL"
    " AND expires_ms IS NOT NULL ORDER BY expires_ms LIMIT 1"
)
_UNFINISHED: Final = (
    "SELECT n, id FROM change WHERE status = 'approved'",
    "SELECT n, id FROM change WHERE status = 'applied'",
    "SELECT n, id FROM change WHERE unreached IS NOT NULL",
)


def next_due(db: apsw.Connection) -> Due | None:
    """What comes first of all that happens by itself."""
    # By the policy of now: what waits already is told of sooner, or later, when that changes.
    escalate_ms = policy_of(db).escalate_s * 1000
    rows = [
        *db.execute(_EXPIRES),
        *db.execute(_ESCALATES, (escalate_ms,)),
        *db.execute(_ENDS),
    ]
    if not rows:
        return None
    at_ms, what, change, grant = min(rows, key=lambda row: int(row[0]))
    return Due(at_ms, what, ChangeId(change), None if grant is None else GrantId(grant))


def waiting(db: apsw.Connection) -> Waiting:
    """How many changes wait for a decision, and for too long."""
    ((pending, overdue),) = list(
        db.execute(
            "SELECT count(*), ifnull(sum(escalated), 0) FROM change WHERE status = 'pending'"
        )
    )
    return Waiting(int(pending), int(overdue))


def unfinished(db: apsw.Connection) -> list[ChangeId]:
    """Changes of which the running system may have to be told, oldest first."""
    found = {row for query in _UNFINISHED for row in db.execute(query)}
    return [ChangeId(id_) for _, id_ in sorted(found)]


def newest(
    db: apsw.Connection,
    column: Literal["agent", "asker"],
    values: Iterable[str] | None,
    statuses: Iterable[Status],
    limit: int,
) -> Iterator[int]:
    """Numbers of changes with one of those values and statuses, from each index its newest.

    One query for each pair: asked for together, SQLite would have to sort them all.
    """
    for status in statuses:
        if values is None:
            query = f"SELECT n FROM change WHERE status = ?{_NEWEST}"  # noqa: S608 - a constant
            yield from (n for (n,) in db.execute(query, (status.value, limit)))
            continue
        query = f"SELECT n FROM change WHERE {column} = ? AND status = ?{_NEWEST}"  # noqa: S608 - two names
        for value in values:
            yield from (n for (n,) in db.execute(query, (value, status.value, limit)))
