"""Rows of changes and of decisions, as values and back. Used inside transactions only.

What was asked for is kept in its canonical form and read back strictly; a row whose form, hash or
columns do not belong together was changed by somebody else, and is never believed.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.ids import AgentId, ChangeId, PrincipalId
from ironclaw.domain.change import Change, Decision, Row, Status, canonical, hash_of_bytes
from ironclaw.domain.gateway import tag_of
from ironclaw.domain.policy import Proof
from ironclaw.store.faults import edited
from ironclaw.store.gateway_migration import OPEN_STATUSES
from ironclaw.store.grant_rows import grant_of
from ironclaw.store.op_codec import pack_ops

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from ironclaw.domain.change import Grant
    from ironclaw.domain.changes.base import Live, Op, Spec, State
    from ironclaw.domain.gateway import Write

_ROW: Final = (
    "SELECT id, kind, topic, agent, asker, body, hash, status, updated_ms, escalated, before,"
    " code, problem FROM change"
)
_DECISIONS: Final = (
    "SELECT principal, person, approved, hash, state, card, proof, at_ms, is_own, words"
    " FROM change_decision WHERE change = ? ORDER BY at_ms, person"
)
_TWIN: Final = (
    "SELECT n FROM change WHERE fingerprint = ? AND asker = ?"  # noqa: S608 - constants only
    f" AND status IN {OPEN_STATUSES} ORDER BY n DESC LIMIT 1"
)
_DENIAL: Final = (
    "SELECT at_ms, change FROM denied_atom WHERE atom = ? AND at_ms > ? ORDER BY at_ms DESC LIMIT 1"
)
_WAITING_LIKE: Final = (
    "SELECT n FROM change WHERE agent IS ? AND status = ? AND topic = ? AND n <> ? ORDER BY n"
    " LIMIT ?"
)
_LENT: Final = (
    "SELECT grant_.expires_ms, change.id, change.atoms"
    " FROM grant_ JOIN change ON change.id = grant_.change WHERE grant_.agent IS ?"
    " AND grant_.topic = ? AND grant_.ended_ms IS NULL AND grant_.expires_ms IS NOT NULL"
)
_LATER: Final = (
    "SELECT n, altered FROM change WHERE topic = ? AND agent IS ? AND applied > ?"
    " AND NOT EXISTS (SELECT 1 FROM grant_ WHERE grant_.change = change.id"
    " AND ended_why IN ('revoked', 'expired')) ORDER BY applied DESC"
)
_State = dict[str, str | int | list[str] | None]


def number_of(db: apsw.Connection, change: ChangeId) -> int | None:
    """The number of a change; None when it is not there."""
    row = db.execute("SELECT n FROM change WHERE id = ?", (change,)).fetchone()
    return None if row is None else int(row[0])


def id_of(db: apsw.Connection, number: int) -> ChangeId:
    """The id of a change that is there."""
    ((change,),) = list(db.execute("SELECT id FROM change WHERE n = ?", (number,)))
    return ChangeId(change)


def load_row(db: apsw.Connection, number: int) -> Row:
    """One change with where it is. Raises HostError (`STORE_CORRUPT`)."""
    ((
        id_, kind, topic, agent, asker, body, digest, status, updated_ms, escalated, before, code,
        problem,
    ),) = list(db.execute(f"{_ROW} WHERE n = ?", (number,)))  # fmt: skip
    try:
        change = msgspec.json.decode(body, type=Change)
        state = None if before is None else msgspec.json.decode(before, type=_State)
        decisions = tuple(_decision(*row) for row in db.execute(_DECISIONS, (id_,)))
    except (ValueError, RecursionError) as error:
        raise edited(f"change {id_}: {error}") from error
    columns = (id_, kind, topic, agent, asker, digest)
    if columns != (*_columns(change), hash_of_bytes(body.encode())):
        raise edited(f"change {id_}: its parts do not belong together")
    return Row(
        change=change,
        hash=digest,
        status=Status(status),
        updated_ms=updated_ms,
        code=code,
        problem=problem,
        escalated=bool(escalated),
        decisions=decisions,
        grant=grant_of(db, change.id),
        before=state,
    )


def add_change(db: apsw.Connection, write: Write, *, now_ms: int) -> int:
    """Keep a new change, pending; its number."""
    change = write.change
    if change is None:
        raise ValueError("there is no change to keep")
    body = canonical(change)
    if write.hash != hash_of_bytes(body):
        raise ValueError("the hash is not the change's own")
    db.execute(
        "INSERT INTO change (id, kind, topic, agent, asker, session, body, hash, fingerprint,"
        " atoms, created_ms, expires_ms, updated_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *_columns(change), change.asker.session, body.decode(), write.hash,
            fingerprint_of(change.spec, change.grant_s),
            msgspec.json.encode(sorted(write.atoms)).decode(),
            change.created_ms, change.expires_ms, now_ms,
        ),
    )  # fmt: skip
    return db.last_insert_rowid()


def add_decision(db: apsw.Connection, change: ChangeId, one: Decision) -> None:
    """Keep what somebody said to a change that is pending; a person says one thing."""
    db.execute(
        "INSERT INTO change_decision (change, principal, person, approved, hash, state, card,"
        " proof, at_ms, is_own, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            change, one.principal, one.person, int(one.approved), one.hash, one.state, one.card,
            None if one.proof is None else one.proof.value, one.at_ms, int(one.is_own), one.words,
        ),
    )  # fmt: skip


def set_status(db: apsw.Connection, number: int, write: Write, *, now_ms: int) -> None:
    """Move a change on, if the step says so; triggers keep it on its course."""
    if write.status is not None:
        db.execute(
            "UPDATE change SET status = ?, code = ?, problem = ? WHERE n = ?",
            (write.status.value, write.code, write.problem, number),
        )
    db.execute(
        "UPDATE change SET escalated = max(escalated, ?), updated_ms = ? WHERE n = ?",
        (int(write.escalated), now_ms, number),
    )


def set_applied(
    db: apsw.Connection, number: int, *, spec: Spec, live: Live, before: State | None
) -> None:
    """Keep what a change has changed: the state before, and which names of it."""
    was = before or {}
    altered = [name for name, value in spec.after(live).items() if was.get(name) != value]
    db.execute(
        "UPDATE change SET applied = 1 + ifnull((SELECT max(applied) FROM change), 0), before = ?,"
        " altered = ? WHERE n = ? AND applied IS NULL",
        (
            None if before is None else msgspec.json.encode(before, order="sorted").decode(),
            msgspec.json.encode(sorted(altered)).decode(),
            number,
        ),
    )


def set_unreached(db: apsw.Connection, number: int, ops: Sequence[Op]) -> None:
    """Keep what the running system has to be told of."""
    db.execute("UPDATE change SET unreached = ? WHERE n = ?", (pack_ops(ops), number))


def add_event(db: apsw.Connection, change: ChangeId, kind: str, now_ms: int) -> int:
    """Keep that something has happened to a change; the event's id."""
    db.execute(
        "INSERT INTO change_event (change, kind, at_ms) VALUES (?, ?, ?)", (change, kind, now_ms)
    )
    return db.last_insert_rowid()


# --- looking around -------------------------------------------------------------------------------


def count_pending(db: apsw.Connection, asker: PrincipalId) -> int:
    """How many changes of an asker wait."""
    ((count,),) = list(
        db.execute("SELECT count(*) FROM change WHERE asker = ? AND status = 'pending'", (asker,))
    )
    return int(count)


def find_twin(
    db: apsw.Connection, spec: Spec, asker: PrincipalId, *, grant_s: int | None
) -> Row | None:
    """An open change of the same asker with the same spec, for as long."""
    row = db.execute(_TWIN, (fingerprint_of(spec, grant_s), asker)).fetchone()
    return None if row is None else load_row(db, row[0])


def find_denial(db: apsw.Connection, spec: Spec, *, since_ms: int) -> Row | None:
    """The newest denial that is remembered of any of a spec's atoms."""
    found = [
        row
        for atom in spec.atoms()
        if (row := db.execute(_DENIAL, (atom, since_ms)).fetchone()) is not None
    ]
    if not found:
        return None
    number = number_of(db, ChangeId(max(found)[1]))
    return None if number is None else load_row(db, number)


def find_later(db: apsw.Connection, number: int) -> Row | None:
    """The newest change applied after this one that altered any of the same, and still does."""
    ((topic, agent, applied, altered),) = list(
        db.execute("SELECT topic, agent, applied, altered FROM change WHERE n = ?", (number,))
    )
    mine = set(_names(altered))
    for later, names in db.execute(_LATER, (topic, agent, applied)):
        if not mine.isdisjoint(_names(names)):
            return load_row(db, later)
    return None


def waiting_like(
    db: apsw.Connection, spec: Spec, number: int, statuses: Sequence[Status], *, limit: int
) -> list[int]:
    """Numbers of other changes with that topic and agent that are there, oldest first."""
    about = (spec.topic.value, number, limit)
    found = [
        n
        for status in statuses
        for (n,) in db.execute(_WAITING_LIKE, (spec.agent_id, status.value, *about))
    ]
    return sorted(found)[:limit]


def find_lent(db: apsw.Connection, spec: Spec) -> Grant | None:
    """The active grant that ends last by itself, of those that gave any of a spec's atoms."""
    wanted = spec.atoms()
    found = [
        (expires_ms, change)
        for expires_ms, change, atoms in db.execute(_LENT, (spec.agent_id, spec.topic.value))
        if not wanted.isdisjoint(_names(atoms))
    ]
    return grant_of(db, ChangeId(max(found)[1])) if found else None


def remember_denial(db: apsw.Connection, number: int, *, now_ms: int) -> None:
    """Let what a change would have given count as denied from now on."""
    id_, atoms = _atoms(db, number)
    for atom in atoms:
        db.execute(
            "INSERT INTO denied_atom (atom, at_ms, change) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (atom, now_ms, id_),
        )


def set_denials_aside(db: apsw.Connection, number: int) -> None:
    """Forget denials of what somebody has approved since."""
    for atom in _atoms(db, number)[1]:
        db.execute("DELETE FROM denied_atom WHERE atom = ?", (atom,))


def fingerprint_of(spec: Spec, grant_s: int | None) -> str:
    """What two changes have in common that ask for the same.

    For how long is a part of it: a yes to eight hours is none to what has no end.
    """
    lasting = b"" if grant_s is None else b"\n%d" % grant_s
    return hashlib.sha256(msgspec.json.encode(spec, order="sorted") + lasting).hexdigest()


def _atoms(db: apsw.Connection, number: int) -> tuple[str, list[str]]:
    ((id_, atoms),) = list(db.execute("SELECT id, atoms FROM change WHERE n = ?", (number,)))
    return id_, _names(atoms)


def _names(raw: str) -> list[str]:
    try:
        return msgspec.json.decode(raw, type=list[str])
    except (ValueError, RecursionError) as error:
        raise edited(f"names: {error}") from error


def _columns(change: Change) -> tuple[ChangeId, str, str, AgentId | None, PrincipalId]:
    spec = change.spec
    return change.id, tag_of(spec), spec.topic.value, spec.agent_id, change.asker.principal


def _decision(  # noqa: PLR0917 - the columns, in their order
    principal: str,
    person: str,
    approved: int,
    digest: str,
    state: str,
    card: int,
    proof: str | None,
    at_ms: int,
    is_own: int,
    words: str,
) -> Decision:
    return Decision(
        principal=PrincipalId(principal),
        person=PrincipalId(person),
        approved=bool(approved),
        hash=digest,
        state=state,
        card=card,
        proof=None if proof is None else Proof(proof),
        at_ms=at_ms,
        is_own=bool(is_own),
        words=words,
    )
