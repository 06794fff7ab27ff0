"""Asking for a change: what may be asked, by whom, and what a rule says at once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.audit import BY_POLICY, CORE, AuditEntry, AuditEvent
from ironclaw.domain.change import (
    CARD_VERSION,
    MAX_CHANGE_BYTES,
    Decision,
    Status,
    canonical,
    hash_of,
    state_version,
)
from ironclaw.domain.changes.base import Bearing
from ironclaw.domain.changes.checking import NOTHING_TO_DO
from ironclaw.domain.gateway import Write, entry, tag_of
from ironclaw.domain.overtaking import is_lent, so_for_a_time
from ironclaw.domain.policy import Verdict, verdict
from ironclaw.domain.rights import Right, rights

if TYPE_CHECKING:
    from ironclaw.core.errors import IronClawError
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.audit import By
    from ironclaw.domain.change import Asker, Change
    from ironclaw.domain.changes.base import Live, Spec
    from ironclaw.domain.gateway import Loaded
    from ironclaw.domain.rights import Actor


def check_request(loaded: Loaded, change: Change, actor: Actor | None) -> None:
    """Refuse what cannot be asked for; a preview asks this too.

    Args:
        loaded: With `asker_standings`.
        change: As it would be kept.
        actor: The person who asks; None when an agent does, or somebody who is not let in.

    Raises:
        UserError: `INVALID`, `NOT_FOUND`, `CONFLICT`, `TOO_LARGE`: see `Spec.check`.
        PolicyError: `FORBIDDEN`: not theirs to ask; `DENIED`: by a rule, or denied before;
            `RATE_LIMITED`: too many of the same asker wait.

    Trust:
        Spec, reason and `despite` are foreign; asker and actor are what the edge made sure of.
    """
    # 1. May they ask for this at all? Whoever may not learns nothing of the state.
    _check_asker(loaded, change, actor)
    # 2. Can people read it?
    if len(canonical(change)) > MAX_CHANGE_BYTES:
        raise UserError(
            Code.TOO_LARGE,
            f"A change has at most {MAX_CHANGE_BYTES} bytes.",
            hint="Ask for less at once.",
        )
    # 3. Does it make sense, now?
    spec, live = change.spec, loaded.live
    try:
        spec.check(live)
    except UserError as error:
        lent = loaded.lent
        if error.hint == NOTHING_TO_DO and lent is not None and is_lent(loaded, change):
            raise so_for_a_time(error.message, lent) from error
        raise
    if change.grant_s is not None:
        _check_end(spec, live)
    # 4. Has somebody said no to it already?
    _check_denial(loaded, change)
    ruled = _ruled(change, live)
    if ruled is Verdict.DENY:
        raise PolicyError(
            Code.DENIED,
            f"The policy denies changes of the kind {spec.topic.value} here.",
            hint="An owner can change that: `ironclaw policy show`.",
        )
    # 5. Is there room for one more that waits?
    if ruled is not Verdict.ALLOW and loaded.pending >= live.policy.max_pending:
        raise PolicyError(
            Code.RATE_LIMITED,
            f"{loaded.pending} requests of the same asker wait already.",
            hint="Wait until somebody has decided, or withdraw some.",
        )


def asked(loaded: Loaded, change: Change, *, actor: Actor | None, by: By = CORE) -> Write:
    """Keep a request; the policy may approve it at once. Nothing when its twin waits already.

    Raises:
        UserError: As `check_request`.
        PolicyError: The same.
    """
    _check_asker(loaded, change, actor)
    if loaded.twin is not None:
        if change.despite is not None:
            _check_denial(loaded, change)
        return Write()
    check_request(loaded, change, actor)
    spec, live = change.spec, loaded.live
    digest = hash_of(change)
    request = Write(
        change=change,
        hash=digest,
        atoms=spec.atoms(),
        status=Status.PENDING,
        audit=(
            entry(
                AuditEvent.CHANGE_REQUESTED,
                change,
                session=change.asker.session,
                digest=digest,
                words=change.asker.tainted,
            ),
        ),
        by=by,
        event="requested",
    )
    if _ruled(change, live) is Verdict.ALLOW:
        by_rule = Decision(
            principal=PrincipalId(""),
            person=PrincipalId(""),
            approved=True,
            hash=digest,
            state=state_version(spec.before(live)),
            card=CARD_VERSION,
            proof=None,
            at_ms=live.house.now_ms,
        )
        record = entry(
            AuditEvent.CHANGE_DECIDED,
            change,
            digest=digest,
            reason="approved",
            words=(BY_POLICY,),
        )
        return request._replace(status=Status.APPROVED, decision=by_rule, ruled=(record,))
    return request


def refusal(
    spec: Spec, error: IronClawError, change: ChangeId | None = None, asker: Asker | None = None
) -> AuditEntry:
    """What the audit is told of a request, or a decision, that was refused.

    Args:
        spec: What it was about.
        error: Why.
        change: The one decided on, or the denial that answers the request.
        asker: Who asked, for a request.
    """
    return AuditEntry(
        event=AuditEvent.CHANGE_REFUSED,
        change=change,
        kind=tag_of(spec),
        agent=spec.agent_id,
        session=None if asker is None else asker.session,
        code=error.code.value,
    )


def _ruled(change: Change, live: Live) -> Verdict:
    """What the policy says to a request by itself."""
    return verdict(
        live.policy,
        change.spec,
        live,
        lasts=change.grant_s is None,
        is_tainted=bool(change.asker.tainted),
    )


def _check_asker(loaded: Loaded, change: Change, actor: Actor | None) -> None:
    spec, asker = change.spec, change.asker
    if asker.is_agent:
        # An agent asks for itself alone; another one (agent.create) is about no agent yet.
        is_allowed = actor is None and spec.by_agents and spec.agent_id in {None, asker.agent}
        hint = "An agent may ask for changes of itself, of the kinds that its tool lists."
    elif actor is None:
        is_allowed = asker.is_at_the_door(spec) or asker.is_house(spec)
        hint = "Who is not let in can ask for that alone."
    else:
        held = rights(loaded.asker_standings, spec.agent_id)
        is_allowed = actor.principal == asker.principal and Right.REQUEST in held & actor.limit
        hint = "Ask somebody who is an operator, an admin or an owner."
    if not is_allowed:
        raise PolicyError(Code.FORBIDDEN, "You may not ask for that change.", hint=hint)


def _check_end(spec: Spec, live: Live) -> None:
    if not spec.has_way_back:
        raise UserError(
            Code.INVALID,
            "That cannot be for a time: nothing takes it back.",
            hint="Ask for it without an end.",
        )
    if spec.bearing(live) is Bearing.NARROWS and not spec.may_end:
        raise UserError(
            Code.INVALID,
            "What only takes away is not for a time: it would give again by itself.",
            hint="Ask for it without an end, and for the way back when it is due.",
        )


def _check_denial(loaded: Loaded, change: Change) -> None:
    denial = loaded.denial
    if denial is not None and denial.change.id == change.despite and not change.asker.is_agent:
        return
    if denial is not None:
        raise PolicyError(
            Code.DENIED,
            f"This, or a part of it, was denied before: {denial.change.id}.",
            hint="A person can ask all the same: `ironclaw change submit JSON --despite "
            f"{denial.change.id}`.",
        )
    if change.despite is not None:
        raise UserError(
            Code.INVALID,
            "No denial that is remembered stands against it.",
            hint="Ask without `despite`.",
        )
