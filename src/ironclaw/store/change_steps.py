"""One step of the gateway in its transaction: what it is told, and what it has written.

load -> step -> write: change, decision -> audit -> ops -> status, grant, denials, event
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.core.log import get_logger
from ironclaw.domain import overtaking, revoking
from ironclaw.domain.audit import CORE, By
from ironclaw.domain.change import Status
from ironclaw.domain.gateway import MAX_DECIDERS, Loaded, Voice, Write, tag_of
from ironclaw.domain.model import Role
from ironclaw.domain.rights import RIGHTS, Right
from ironclaw.services.gateway.rows import Written
from ironclaw.store import change_record as record
from ironclaw.store import grant_rows, live
from ironclaw.store.audit_rows import append
from ironclaw.store.change_ops import Cause, execute
from ironclaw.store.person_links import person_of
from ironclaw.store.standing_rows import standings_of

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import ChangeId, GrantId
    from ironclaw.domain.change import Row
    from ironclaw.domain.changes.base import HostDir, House, Spec

_DECIDING: Final = tuple(role.value for role in Role if Right.DECIDE in RIGHTS[role])
_AGENT: Final = "agent:"
"""What the principal of an agent begins with."""
_WAIT: Final = (Status.PENDING, Status.FAILED)
"""Where a change waits for somebody; one that is approved is about to be looked at anyway."""
_MOST_LIKE: Final = 256
"""Of those about the same agent: what is left over is looked at when it is listed."""

_log = get_logger("gateway")


def find(db: apsw.Connection, change: ChangeId) -> tuple[Row, int]:
    """A change and its number. Raises UserError (`NOT_FOUND`), HostError (`STORE_CORRUPT`)."""
    number = record.number_of(db, change)
    if number is None:
        raise _no_change(change)
    return record.load_row(db, number), number


def load_kept(
    db: apsw.Connection,
    row: Row,
    *,
    actor: PrincipalId | None,
    house: House,
    directory: HostDir | None,
) -> Loaded:
    """What a step for a change that is there is told."""
    change = row.change
    loaded = load(
        db,
        change.spec,
        asker=change.asker.principal,
        actor=actor,
        house=house,
        directory=directory,
    )
    said = {one.principal for one in row.decisions if one.principal}
    voices = {one: _voice(db, one) for one in said}
    deciders: dict[PrincipalId, Voice] = {}
    if row.status is Status.PENDING:
        deciders = {one: _voice(db, one) for one in _deciders(db, change.spec)}
    return loaded._replace(row=row, voices=voices, deciders=deciders)


def load_given(
    db: apsw.Connection,
    change: ChangeId,
    grant: GrantId,
    *,
    actor: PrincipalId | None,
    house: House,
    directory: HostDir | None,
) -> Loaded:
    """What a step for a grant is told; `change` gave it."""
    row, number = find(db, change)
    loaded = load_kept(db, row, actor=actor, house=house, directory=directory)
    inverse = grant_rows.inverse_of(db, grant)
    if inverse is not None:
        now = live.load(db, inverse.needs(), house=house, directory=directory)
        loaded = loaded._replace(inverse=inverse, inverse_live=now)
    return loaded._replace(later=record.find_later(db, number))


def _voice(db: apsw.Connection, principal: PrincipalId) -> Voice:
    return Voice(person_of(db, principal), standings_of(db, principal))


def _deciders(db: apsw.Connection, spec: Spec) -> list[PrincipalId]:
    """Who holds a role that decides, over the house or over the agent of a spec."""
    rows = db.execute(
        "SELECT DISTINCT principal FROM standing WHERE role IN (?, ?, ?) AND agent IN ('', ?)"
        " LIMIT ?",
        (*_DECIDING, spec.agent_id or "", MAX_DECIDERS),
    )
    return [PrincipalId(principal) for (principal,) in rows]


def load(
    db: apsw.Connection,
    spec: Spec,
    *,
    asker: PrincipalId | None,
    actor: PrincipalId | None,
    house: House,
    directory: HostDir | None,
    grant_s: int | None = None,
) -> Loaded:
    """What a step for a spec is told.

    Args:
        db: In a transaction.
        spec: What it is about.
        asker: Whose request it is.
        actor: Who acts; None when nobody does, or an agent.
        house: What does not change, and the time.
        directory: What is at the path that the spec needs.
        grant_s: For how long it is asked for, where that counts: for its twin.
    """
    now = live.load(db, spec.needs(), house=house, directory=directory)
    person = None if asker is None or asker.startswith(_AGENT) else asker
    since_ms = house.now_ms - now.policy.remember_s * 1000
    return Loaded(
        live=now,
        standings=() if actor is None else standings_of(db, actor),
        person=None if actor is None else person_of(db, actor),
        asker_person=None if person is None else person_of(db, person),
        asker_standings=() if person is None else standings_of(db, person),
        pending=0 if asker is None else record.count_pending(db, asker),
        twin=None if asker is None else record.find_twin(db, spec, asker, grant_s=grant_s),
        denial=record.find_denial(db, spec, since_ms=since_ms),
        lent=record.find_lent(db, spec),
    )


def write_all(
    db: apsw.Connection, number: int | None, spec: Spec, loaded: Loaded, write: Write
) -> Written:
    """Write everything that a step says; for a new change `number` is None.

    Raises:
        UserError: What an op is about has changed.
        ValueError: The step contradicts itself: our mistake.
    """
    now_ms = loaded.live.house.now_ms
    if number is None:
        number = record.add_change(db, write, now_ms=now_ms)
    elif write._replace(by=CORE) == Write():
        return Written(record.load_row(db, number), (), None)
    change = record.id_of(db, number)
    if write.decision is not None:
        record.add_decision(db, change, write.decision)
    _tell(db, write, now_ms=now_ms)
    if write.ops:
        cause = Cause(now_ms, _on_whose_word(loaded, write), change, tag_of(spec))
        for op in write.ops:
            execute(db, op, cause)
        record.set_unreached(db, number, write.ops)
    if write.status is Status.APPLIED:
        record.set_applied(db, number, spec=spec, live=loaded.live, before=write.before)
        record.set_denials_aside(db, number)
    record.set_status(db, number, write, now_ms=now_ms)
    _write_grant(db, write, now_ms=now_ms)
    if write.is_denied:
        record.remember_denial(db, number, now_ms=now_ms)
    event = None if write.event is None else record.add_event(db, change, write.event, now_ms)
    replaced, newest = _end_replaced(db, spec, loaded) if write.ops else ((), None)
    over, last = _end_overtaken(db, number, spec, loaded) if write.ops else ((), None)
    return Written(record.load_row(db, number), write.ops, last or newest or event, replaced, over)


def _tell(db: apsw.Connection, write: Write, *, now_ms: int) -> None:
    for entry in write.audit:
        append(db, entry, at_ms=now_ms, by=write.by)
    for entry in write.ruled:
        append(db, entry, at_ms=now_ms, by=CORE)


def _on_whose_word(loaded: Loaded, write: Write) -> By:
    """Who has what is written on their word: of a change that is applied, whoever approved last."""
    if write.status is not Status.APPLIED or loaded.row is None:
        return write.by
    said = [one for one in loaded.row.decisions if one.approved and one.principal]
    return By(said[-1].principal, write.by.via) if said else write.by


def _end_replaced(
    db: apsw.Connection, spec: Spec, loaded: Loaded
) -> tuple[tuple[ChangeId, ...], int | None]:
    """End grants of which what was just written has left nothing.

    Returns:
        The changes that gave them, and the newest event of it.
    """
    house = loaded.live.house
    changes: list[ChangeId] = []
    event = None
    for grant, change in grant_rows.active_like(db, spec):
        given = load_given(db, change, grant, actor=None, house=house, directory=None)
        write = revoking.replaced(given)
        if write.end is None:
            continue
        changes.append(change)
        _tell(db, write, now_ms=house.now_ms)
        _write_grant(db, write, now_ms=house.now_ms)
        if write.event is not None:
            event = record.add_event(db, change, write.event, house.now_ms)
    return tuple(changes), event


def _end_overtaken(
    db: apsw.Connection, number: int, spec: Spec, loaded: Loaded
) -> tuple[tuple[ChangeId, ...], int | None]:
    """End requests that what was just written has left nothing to do.

    Returns:
        Them, and the newest event of it.
    """
    house = loaded.live.house
    changes: list[ChangeId] = []
    event = None
    for other in record.waiting_like(db, spec, number, _WAIT, limit=_MOST_LIKE):
        try:
            row = record.load_row(db, other)
        except HostError as error:
            # Somebody edited it: that is found when it is looked at, and holds up no other.
            _log.error("request_unreadable", code=error.code, detail=error.detail)
            continue
        kept = load_kept(db, row, actor=None, house=house, directory=None)
        write = overtaking.overtaken(kept)
        if write.status is None or write.event is None:
            continue
        changes.append(row.change.id)
        _tell(db, write, now_ms=house.now_ms)
        record.set_status(db, other, write, now_ms=house.now_ms)
        event = record.add_event(db, row.change.id, write.event, house.now_ms)
    return tuple(changes), event


def _write_grant(db: apsw.Connection, write: Write, *, now_ms: int) -> None:
    if write.grant is not None:
        grant_rows.add_grant(db, write.grant, write.inverse)
    if write.end is not None:
        grant_rows.end_grant(db, write.end, now_ms=now_ms)


def _no_change(change: ChangeId) -> UserError:
    return UserError(
        Code.NOT_FOUND,
        f"There is no change {change[:80]!r}.",
        hint="`ironclaw change list` shows those there are.",
    )
