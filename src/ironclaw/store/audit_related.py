"""The story of an id: which records of the audit tell of it. For `ironclaw why`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError
from ironclaw.domain.audit import AuditEvent, AuditRecord, Story, mentions
from ironclaw.domain.audit_chain import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    import apsw

_OF_AGENT: Final = {
    AuditEvent.AGENT_CREATED,
    AuditEvent.AGENT_CHANGED,
    AuditEvent.AGENT_ARCHIVED,
    AuditEvent.AGENT_RESTORED,
}
_OF_CHAT: Final = {AuditEvent.WIRING_MADE, AuditEvent.WIRING_REMOVED, AuditEvent.CHAT_POLICY}


class _Named(NamedTuple):
    """An id as the store knows it."""

    kind: str
    ids: frozenset[str]
    """The id itself, and those under which the same story is told."""
    agent: str | None = None
    """Whose making and end belong to the story."""
    chat: str | None = None
    """Whose wirings belong to the story."""


def story(db: apsw.Connection, ref: str, *, limit: int) -> Story:
    """The newest records that tell of an id, oldest first.

    A message brings its session and its deliveries; a session or a message brings the wirings of
    its chat and the making of its agent: without them nobody can say why it was answered. A change
    and its grant bring each other.

    Args:
        db: In one snapshot.
        ref: Id of a message, session, delivery, agent, change, grant, slot, chat, wiring, token,
            task, principal, or of a receipt (`sha256:…` of its file); or an agent's name.
        limit: Records, at most.
    """
    named = _look_up(db, ref)
    wanted = set(named.ids) | {one for one in (named.agent, named.chat) if one}
    found: list[AuditRecord] = []
    for record in _candidates(db, frozenset(wanted)):
        if _tells(record, named):
            found.append(record)
        if len(found) == limit:
            break
    return Story(kind=named.kind, records=found[::-1])


def _tells(record: AuditRecord, named: _Named) -> bool:
    return (
        mentions(record, named.ids)
        or (record.event in _OF_AGENT and record.agent == named.agent)
        or (record.event in _OF_CHAT and record.chat == named.chat)
    )


def _look_up(db: apsw.Connection, ref: str) -> _Named:
    # By their prefix: an offline look at a store of before the gateway must not miss a table.
    if ref.startswith(("chg_", "grn_")):
        rows = db.execute("SELECT id, change FROM grant_ WHERE change = ?1 OR id = ?1", (ref,))
        kind = "change" if ref.startswith("chg_") else "grant"
        return _Named(kind, frozenset([ref]).union(*rows))
    row = db.execute(
        "SELECT m.session, m.chat, s.agent FROM message m JOIN session s ON s.id = m.session"
        " WHERE m.id = ?",
        (ref,),
    ).fetchone()
    if row is not None:
        out = [one for (one,) in db.execute("SELECT id FROM delivery WHERE message = ?", (ref,))]
        return _Named("message", frozenset([ref, row[0], *out]), agent=row[2], chat=row[1])
    row = db.execute("SELECT message, session FROM delivery WHERE id = ?", (ref,)).fetchone()
    if row is not None:
        return _Named("delivery", frozenset([ref, *row]))
    row = db.execute("SELECT agent, chat FROM session WHERE id = ?", (ref,)).fetchone()
    if row is not None:
        return _Named("session", frozenset([ref]), agent=row[0], chat=row[1])
    row = db.execute(
        "SELECT id FROM agent WHERE id = ?1 OR (name = ?1 AND archived = 0) LIMIT 1", (ref,)
    ).fetchone()
    if row is not None:
        return _Named("agent", frozenset([row[0]]))
    return _Named("receipt" if ref.startswith("sha256:") else "other", frozenset([ref]))


def _candidates(db: apsw.Connection, wanted: frozenset[str]) -> Iterator[AuditRecord]:
    """Records, newest first, whose line has any of these ids somewhere."""
    if not wanted:
        return
    where = " OR ".join(["instr(line, ?)"] * len(wanted))
    quoted = [msgspec.json.encode(one).decode() for one in sorted(wanted)]
    for (line,) in db.execute(
        f"SELECT line FROM audit WHERE {where} ORDER BY n DESC",  # noqa: S608 - marks only
        quoted,
    ):
        yield as_record(line)


def as_record(line: str) -> AuditRecord:
    """The record of a row. Raises PolicyError (`AUDIT_INVALID`)."""
    found = parse(line.encode())
    if not isinstance(found, AuditRecord):
        raise PolicyError(
            Code.AUDIT_INVALID,
            "A record of the audit cannot be read: somebody changed the store.",
            hint="`ironclaw audit verify` says which one.",
        )
    return found
