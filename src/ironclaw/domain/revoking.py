"""Taking back what a change gave: on somebody's word, or when its time is over. Pure.

Only what it gave is taken; a way back that would give something has to be asked for as a change, or
one person's word could do what the change itself needed others for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.audit import CORE, AuditEvent
from ironclaw.domain.changes.base import Bearing
from ironclaw.domain.deciding import check_words, lacks
from ironclaw.domain.gateway import GrantEnd, Write, entry, row_of
from ironclaw.domain.model import Role
from ironclaw.domain.policy import needed

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId
    from ironclaw.domain.audit import By
    from ironclaw.domain.change import Grant
    from ironclaw.domain.changes.base import Live, Spec
    from ironclaw.domain.gateway import Loaded
    from ironclaw.domain.rights import Actor


def revoked(loaded: Loaded, *, actor: Actor, words: str = "", by: By = CORE) -> Write:
    """Take back what a change gave, on one word of somebody who could have decided on it.

    A way to another agent may be taken back by who decides for that one as well, and nothing else.

    Whoever does must be one who decides on the way back as well: ending an agent is no less than
    that because a grant ends with it.

    Raises:
        UserError: `CONFLICT`: it has ended, the way back has to be asked for, or all is otherwise.
            `INVALID`: too many words.
        PolicyError: `FORBIDDEN`.
    """
    row = row_of(loaded)
    spec, grant = row.change.spec, row.grant
    far = reached(loaded)
    is_far = far is not None and not lacks(loaded, spec, actor, gives=False, over=far)
    if not is_far and (missing := lacks(loaded, spec, actor, gives=False)):
        raise PolicyError(
            Code.FORBIDDEN, missing, hint=f"`ironclaw change show {row.change.id}` says who can."
        )
    if grant is None or grant.ended_ms is not None:
        raise UserError(
            Code.CONFLICT, "That grant has ended already.", hint="`ironclaw grant list`"
        )
    check_words(words)
    way = way_back(loaded)
    if way is None or loaded.inverse_live is None:
        later = "" if loaded.later is None else f" by {loaded.later.change.id}"
        raise UserError(
            Code.CONFLICT,
            f"What it gave has been changed since{later}.",
            hint="Ask for what shall be now, as a change.",
        )
    # Beside what the way back is about: whom the grant reached has no say in its end.
    back = loaded._replace(live=loaded.inverse_live)
    if missing := lacks(back, way, actor, over=far if is_far else None):
        raise PolicyError(
            Code.FORBIDDEN, missing, hint="Ask for what shall be instead, as a change."
        )
    if not is_free(way, loaded.inverse_live):
        raise UserError(
            Code.CONFLICT,
            "The way back gives something too: it needs a decision of its own.",
            hint="Ask for it as a change.",
        )
    return Write(
        ops=way.ops(loaded.inverse_live, row.change.id),
        end=GrantEnd(grant.id, "revoked", actor.principal, words),
        audit=(entry(AuditEvent.GRANT_REVOKED, row.change, grant=grant.id, reason="revoked"),),
        by=by,
        event="revoked",
    )


def ended(loaded: Loaded) -> Write:
    """End a grant whose time is over; nothing when it is not due.

    What of it was changed since stays as that made it; when all was, the grant was replaced.
    """
    row = row_of(loaded)
    grant = row.grant
    if (
        grant is None
        or grant.ended_ms is not None
        or grant.expires_ms is None
        or loaded.live.house.now_ms < grant.expires_ms
    ):
        return Write()
    way = way_back(loaded)
    if way is None or loaded.inverse_live is None:
        return _replaced(loaded, grant)
    return Write(
        ops=way.ops(loaded.inverse_live, row.change.id),
        end=GrantEnd(grant.id, "expired", PrincipalId("")),
        audit=(entry(AuditEvent.GRANT_EXPIRED, row.change, grant=grant.id),),
        event="grant_expired",
    )


def replaced(loaded: Loaded) -> Write:
    """End a grant of which nothing is left: something else took, or replaced, all that it gave.

    Nothing when there is something left.
    """
    row = row_of(loaded)
    grant = row.grant
    return Write() if grant is None or is_left(loaded) else _replaced(loaded, grant)


def _replaced(loaded: Loaded, grant: Grant) -> Write:
    change = row_of(loaded).change
    record = entry(AuditEvent.GRANT_REVOKED, change, grant=grant.id, reason="replaced")
    return Write(
        end=GrantEnd(grant.id, "replaced", PrincipalId("")), audit=(record,), event="replaced"
    )


def reached(loaded: Loaded) -> AgentId | None:
    """The other agent to which a grant that is active is a way; None when it is none."""
    row = row_of(loaded)
    if row.grant is None or row.grant.ended_ms is not None:
        return None
    return row.change.spec.reaches(loaded.live)


def is_left(loaded: Loaded) -> bool:
    """Whether anything of what a grant gave is there still, as it was given."""
    spec = row_of(loaded).change.spec
    if loaded.inverse is None or (spec.is_whole and loaded.later is not None):
        return False
    return spec.is_left(loaded.live, loaded.inverse)


def way_back(loaded: Loaded) -> Spec | None:
    """What takes back what is left of a grant now; None when nothing is, or nothing may be."""
    spec = row_of(loaded).change.spec
    if loaded.inverse is None or (spec.is_whole and loaded.later is not None):
        # What is there now is another change's word, though it may say the same.
        return None
    return spec.way_back(loaded.live, loaded.inverse)


def is_free(way: Spec, live: Live) -> bool:
    """Whether one word is enough for a way back: it gives nothing that would need more."""
    match way.bearing(live):
        case Bearing.NARROWS:
            return True
        case Bearing.ALTERS:
            return way.deciders_for() != {Role.OWNER} and needed(live.policy, way).people == 1
        case Bearing.WIDENS:
            return False
