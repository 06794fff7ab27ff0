"""Applying what was approved: nothing else, and only while it is still what was seen. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, PolicyError, UserError
from ironclaw.core.ids import GrantId, PrincipalId
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.change import Grant, Status, hash_of, state_version
from ironclaw.domain.changes.base import Bearing, derived_id
from ironclaw.domain.deciding import approvals
from ironclaw.domain.gateway import Write, entry, row_of, tag_of
from ironclaw.domain.overtaking import overtaken
from ironclaw.domain.policy import Verdict, needed, verdict
from ironclaw.domain.revoking import is_free
from ironclaw.domain.rights import Right, rights

if TYPE_CHECKING:
    from ironclaw.domain.audit import By
    from ironclaw.domain.change import Change
    from ironclaw.domain.changes.base import Live, Spec
    from ironclaw.domain.gateway import Loaded
    from ironclaw.domain.rights import Actor


def applied(loaded: Loaded, *, by: By = CORE) -> Write:
    """Write what was approved, if it is still what it would do; else say why it failed.

    Never raises for what may have changed since the approval: that has to be kept. Nothing when it
    was applied before, so a repeat after a crash does no harm.

    Raises:
        UserError: `CONFLICT`: it is not approved.
    """
    row = row_of(loaded)
    change, spec, live = row.change, row.change.spec, loaded.live
    if row.status not in {Status.APPROVED, Status.APPLIED, Status.DONE}:
        raise UserError(
            Code.CONFLICT, f"It is {row.status.value}, not approved.", hint="Ask for it again."
        )
    # 1. There is something left to do; else it ends, and has failed at nothing.
    over = overtaken(loaded)
    if row.status is not Status.APPROVED or over.status is not None:
        return over
    # 2. Somebody, or a rule, approved these very bytes.
    before = spec.before(live)
    words = [one for one in row.decisions if one.approved and one.hash == row.hash]
    if row.hash != hash_of(change) or not words:
        return failed(loaded, code=Code.FORBIDDEN, problem="There is no approval of it as it is.")
    # 3. And saw the state that is; they still may, and are as many as the policy of now wants.
    seen = state_version(before)
    persons = approvals(loaded, seen)
    if all(one.state != seen for one in words):
        return failed(
            loaded,
            code=Code.CONFLICT,
            problem="What it changes has changed since it was approved. Ask for it again.",
        )
    if not _are_enough(persons, change, live):
        return failed(
            loaded,
            code=Code.CONFLICT,
            problem="Who may decide on it has changed since it was approved. Ask for it again.",
        )
    # 4. And it still may be.
    try:
        spec.check(live)
    except IronClawError as error:
        return failed(loaded, code=error.code, problem=error.message)
    inverse = spec.inverse(live, change.id)
    grant = _grant(change, live, inverse)
    entries: tuple[AuditEntry, ...] = (
        entry(AuditEvent.CHANGE_APPLIED, change, grant=None if grant is None else grant.id),
    )
    if grant is not None:
        entries += (entry(AuditEvent.GRANT_GIVEN, change, grant=grant.id),)
    return Write(
        status=Status.APPLIED,
        ops=spec.ops(live, change.id),
        before=before,
        grant=grant,
        inverse=inverse if grant is not None else None,
        audit=entries,
        by=by,
        event="applied",
    )


def done(loaded: Loaded) -> Write:
    """The running system is as it says; nothing when that was known."""
    row = row_of(loaded)
    if row.status is not Status.APPLIED:
        return Write()
    return Write(
        status=Status.DONE, audit=(entry(AuditEvent.CHANGE_DONE, row.change),), event="done"
    )


def failed(loaded: Loaded, *, code: Code, problem: str) -> Write:
    """It could not be applied, or the running system not be told of it; both can be tried again.

    What is applied stays so: it is durable, and in force as far as the system could be told.
    """
    row = row_of(loaded)
    if row.status not in {Status.APPROVED, Status.APPLIED}:
        return Write()
    return Write(
        status=Status.APPLIED if row.status is Status.APPLIED else Status.FAILED,
        code=code.value,
        problem=problem,
        audit=(entry(AuditEvent.CHANGE_FAILED, row.change, code=code.value),),
        event="failed",
    )


def retried(loaded: Loaded, *, actor: Actor, by: By = CORE) -> Write:
    """Try a failed change again: `applied` is next, or telling the running system.

    One that has nothing left to do by now ends instead.

    Raises:
        UserError: `CONFLICT`: it has not failed, or its time is over.
        PolicyError: `FORBIDDEN`.
    """
    row = row_of(loaded)
    held = rights(loaded.standings, row.change.spec.agent_id) & actor.limit
    if not held & {Right.OPERATE, Right.DECIDE}:
        raise PolicyError(
            Code.FORBIDDEN,
            "You may not try changes again here.",
            hint="Ask an operator, or somebody who decides on changes.",
        )
    if row.status is Status.APPLIED and row.code:
        return Write(status=Status.APPLIED, by=by)
    if row.status is not Status.FAILED:
        raise UserError(
            Code.CONFLICT,
            f"It is {row.status.value}: nothing of it has failed.",
            hint=f"`ironclaw change show {row.change.id}`",
        )
    if (over := overtaken(loaded)).status is not None:
        return over
    if loaded.live.house.now_ms >= row.change.expires_ms:
        raise UserError(
            Code.CONFLICT, "Its approval is too old to be used now.", hint="Ask for it again."
        )
    return Write(status=Status.APPROVED, by=by)


def _are_enough(persons: frozenset[PrincipalId], change: Change, live: Live) -> bool:
    spec = change.spec
    if PrincipalId("") in persons:
        said = verdict(live.policy, spec, live, lasts=change.grant_s is None)
        return said is Verdict.ALLOW
    return len(persons) >= needed(live.policy, spec).people


def _grant(change: Change, live: Live, inverse: Spec | None) -> Grant | None:
    """What it gives; None for what only takes away for good, or can never be taken back."""
    spec = change.spec
    ends = spec.may_end and change.grant_s is not None
    if inverse is None or (spec.bearing(live) is Bearing.NARROWS and not ends):
        return None
    now_ms = live.house.now_ms
    return Grant(
        id=GrantId(derived_id("grn", change.id)),
        change=change.id,
        topic=spec.topic,
        kind=tag_of(spec),
        agent=spec.agent_id,
        given_ms=now_ms,
        expires_ms=None if change.grant_s is None else now_ms + change.grant_s * 1000,
        revocable=is_free(inverse, live),
    )
