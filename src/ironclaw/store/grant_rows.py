"""Rows of grants, as values and back. Used inside transactions only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import ChangeId, GrantId
from ironclaw.domain.change import Grant
from ironclaw.domain.changes.table import AnySpec
from ironclaw.store.faults import edited

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.gateway import GrantEnd

_GRANT: Final = (
    "SELECT id, change, topic, kind, agent, given_ms, expires_ms, ended_ms, ended_why, ended_by,"
    " ended_words, revocable FROM grant_"
)
_FIELDS: Final = (
    "id", "change", "topic", "kind", "agent", "given_ms", "expires_ms", "ended_ms", "ended_why",
    "ended_by", "ended_words", "revocable",
)  # fmt: skip


def add_grant(db: apsw.Connection, grant: Grant, inverse: Spec | None) -> None:
    """Keep what a change gave, and what takes it back. A repeat changes nothing."""
    db.execute(
        "INSERT INTO grant_ (id, change, kind, topic, agent, inverse, revocable, given_ms,"
        " expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            grant.id, grant.change, grant.kind, grant.topic.value, grant.agent,
            None if inverse is None else msgspec.json.encode(inverse, order="sorted").decode(),
            int(grant.revocable), grant.given_ms, grant.expires_ms,
        ),
    )  # fmt: skip


def end_grant(db: apsw.Connection, end: GrantEnd, *, now_ms: int) -> None:
    """End one that is active."""
    db.execute(
        "UPDATE grant_ SET ended_ms = ?, ended_why = ?, ended_by = ?, ended_words = ?"
        " WHERE id = ? AND ended_ms IS NULL",
        (now_ms, end.why, end.by, end.words, end.grant),
    )


def grant_of(db: apsw.Connection, change: ChangeId) -> Grant | None:
    """What a change gave. Raises HostError (`STORE_CORRUPT`)."""
    row = db.execute(f"{_GRANT} WHERE change = ?", (change,)).fetchone()
    return None if row is None else _grant(row)


def change_of(db: apsw.Connection, grant: GrantId) -> ChangeId | None:
    """The change that gave a grant; None when there is no such grant."""
    row: tuple[ChangeId] | None = db.execute(
        "SELECT change FROM grant_ WHERE id = ?", (grant,)
    ).fetchone()
    return None if row is None else row[0]


def inverse_of(db: apsw.Connection, grant: GrantId) -> Spec | None:
    """What takes a grant back. Raises HostError (`STORE_CORRUPT`)."""
    row = db.execute("SELECT inverse FROM grant_ WHERE id = ?", (grant,)).fetchone()
    if row is None or row[0] is None:
        return None
    try:
        spec: Spec = msgspec.json.decode(row[0], type=AnySpec)
    except (ValueError, RecursionError) as error:
        raise edited(f"grant {grant}: {error}") from error
    return spec


def active_like(db: apsw.Connection, spec: Spec) -> list[tuple[GrantId, ChangeId]]:
    """Grants that may have nothing left once such a change is applied, oldest first."""
    topic, agent = spec.topic.value, spec.agent_id
    if agent is None:
        found = db.execute(f"{_ACTIVE} AND topic = ? ORDER BY n", (topic,))
    else:
        # What was given over the house may be about this agent too: that it was made.
        found = db.execute(
            f"{_ACTIVE} AND topic = ? AND (agent = ? OR agent IS NULL) ORDER BY n", (topic, agent)
        )
    return [(GrantId(id_), ChangeId(change)) for id_, change in found]


_ACTIVE: Final = "SELECT id, change FROM grant_ WHERE ended_ms IS NULL"


def newest_grants(
    db: apsw.Connection,
    *,
    agents: Iterable[AgentId] | None,
    ended: bool,
    limit: int,
    kind: str | None = None,
) -> list[Grant]:
    """Grants, newest first; those that have ended too when asked for, and of one kind alone."""
    active = "" if ended else " AND ended_ms IS NULL"
    only, kinds = ("", ()) if kind is None else (" AND kind = ?", (kind,))
    if agents is None:
        query = f"{_NUMBERS} WHERE 1{active}{only}{_NEWEST}"
        found = list(db.execute(query, (*kinds, limit)))
    else:
        query = f"{_NUMBERS} WHERE agent = ?{active}{only}{_NEWEST}"
        found = [row for agent in agents for row in db.execute(query, (agent, *kinds, limit))]
    numbers = sorted((number for (number,) in found), reverse=True)[:limit]
    return [
        _grant(row) for number in numbers for row in db.execute(f"{_GRANT} WHERE n = ?", (number,))
    ]


_NUMBERS: Final = "SELECT n FROM grant_"
_NEWEST: Final = " ORDER BY n DESC LIMIT ?"


def _grant(row: tuple[object, ...]) -> Grant:
    fields = dict(zip(_FIELDS, row, strict=True))
    fields["revocable"] = bool(fields["revocable"])
    try:
        return msgspec.convert(fields, Grant)
    except ValueError as error:
        raise edited(f"grant {fields['id']}: {error}") from error
