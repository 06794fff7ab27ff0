"""Which principals are one person. Used inside transactions only.

A group of principals has one of them stand for the person; the table has the others. Joining merges
whole groups, so that nobody counts twice who counted once before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.ids import PrincipalId

if TYPE_CHECKING:
    import apsw


def person_of(db: apsw.Connection, principal: PrincipalId) -> PrincipalId:
    """Who a principal is; itself unless it was linked."""
    row = db.execute("SELECT person FROM person WHERE principal = ?", (principal,)).fetchone()
    return principal if row is None else PrincipalId(row[0])


def joined_to(db: apsw.Connection, principal: PrincipalId) -> tuple[PrincipalId, ...]:
    """Those for whose person it stands, without itself."""
    rows = db.execute("SELECT principal FROM person WHERE person = ?", (principal,))
    return tuple(sorted(PrincipalId(one) for (one,) in rows))


def join(db: apsw.Connection, principal: PrincipalId, other: PrincipalId) -> bool:
    """Make everybody who is one with `principal` one with `other`; whether that was news."""
    mine, person = person_of(db, principal), person_of(db, other)
    if mine == person:
        return False
    db.execute("UPDATE person SET person = ? WHERE person = ?", (person, mine))
    db.execute("INSERT INTO person (principal, person) VALUES (?, ?)", (mine, person))
    return True


def part(db: apsw.Connection, principal: PrincipalId) -> bool:
    """Make a principal a person of its own; whether that was news. Those left stay one."""
    db.execute("DELETE FROM person WHERE principal = ?", (principal,))
    if db.changes():
        return True
    row = db.execute("SELECT min(principal) FROM person WHERE person = ?", (principal,)).fetchone()
    if row is None or row[0] is None:
        return False
    db.execute("DELETE FROM person WHERE principal = ?", (row[0],))
    db.execute("UPDATE person SET person = ? WHERE person = ?", (row[0], principal))
    return True
