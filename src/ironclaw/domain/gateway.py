"""What a step of the gateway is told, and what it wants written. Pure.

Each step is a function `(Loaded) -> Write`, run by the store inside one transaction, so that what
it looked at is what it changes. A step that raises leaves nothing behind; an empty `Write` writes
nothing. They are in the order of a change's life:

    asking.asked -> deciding.decided -> applying.applied, done -> revoking.revoked, ended
                    deciding.withdrawn, expired, escalated    applying.failed, retried
                    overtaking.overtaken
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ironclaw.domain.audit import CORE, AuditEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ironclaw.core.ids import GrantId, PrincipalId, SessionId
    from ironclaw.domain.audit import AuditEvent, By
    from ironclaw.domain.change import Change, Decision, Grant, Row, Status
    from ironclaw.domain.changes.base import Live, Op, Spec, State
    from ironclaw.domain.model import Standing


MAX_DECIDERS: Final = 64
"""More than any policy asks for: who else there is makes no difference."""


class Voice(NamedTuple):
    """Somebody who has decided, or could, as they are now."""

    person: PrincipalId
    standings: tuple[Standing, ...]


class Loaded(NamedTuple):
    """What a step is told, all of one moment."""

    live: Live
    """What the spec asked for."""
    row: Row | None = None
    """The change; None while it is being asked for."""
    standings: tuple[Standing, ...] = ()
    """Of whoever acts."""
    person: PrincipalId | None = None
    """Who that is; None when no principal acts."""
    asker_person: PrincipalId | None = None
    """Who asked for the change; None for an agent."""
    asker_standings: tuple[Standing, ...] = ()
    voices: Mapping[PrincipalId, Voice] = MappingProxyType({})
    """Everybody who has decided on the change so far; the policy is nobody."""
    deciders: Mapping[PrincipalId, Voice] = MappingProxyType({})
    """Those whose roles let them decide on something about its agent, `MAX_DECIDERS` at most."""
    pending: int = 0
    """Changes of the same asker that wait."""
    twin: Row | None = None
    """An open change of the same asker with the same spec."""
    denial: Row | None = None
    """The newest remembered denial that has an atom in common with the spec."""
    lent: Grant | None = None
    """The active grant that ends by itself last, of those that gave any of what the spec asks."""
    inverse: Spec | None = None
    """For a grant that is to end: what takes it back."""
    inverse_live: Live | None = None
    """And the live state that the inverse asked for."""
    later: Row | None = None
    """For a grant that is to end: a later change that altered the same state, and was not taken
    back since."""


class GrantEnd(NamedTuple):
    """A grant that ends."""

    grant: GrantId
    why: Literal["revoked", "expired", "replaced"]
    by: PrincipalId
    words: str = ""
    """Why, as somebody said it; foreign."""


class Write(NamedTuple):
    """What a step wants written, in the transaction that it looked in. All or nothing."""

    change: Change | None = None
    """A new change."""
    hash: str = ""
    """Of that."""
    atoms: frozenset[str] = frozenset()
    """Of that: what a denial of it will be remembered by."""
    status: Status | None = None
    decision: Decision | None = None
    ops: tuple[Op, ...] = ()
    before: State | None = None
    """The state that the ops change."""
    grant: Grant | None = None
    """A new grant."""
    inverse: Spec | None = None
    """What takes that grant back."""
    end: GrantEnd | None = None
    code: str = ""
    problem: str = ""
    """Kept with the status: why it failed, or by what it was overtaken."""
    escalated: bool = False
    is_denied: bool = False
    """Whether the atoms of the change are remembered as denied from now on."""
    audit: tuple[AuditEntry, ...] = ()
    by: By = CORE
    ruled: tuple[AuditEntry, ...] = ()
    """What a rule of the policy did: recorded after `audit`, as nobody's word."""
    event: str | None = None
    """Kind of the `ChangeEvent` that this is."""


def row_of(loaded: Loaded) -> Row:
    """The change of a step that is about a kept one; without it the caller is wrong."""
    if loaded.row is None:
        raise ValueError("a step for a kept change was run without one")
    return loaded.row


def tag_of(spec: Spec) -> str:
    """The name of a spec's kind."""
    return str(spec.__struct_config__.tag)


def entry(
    event: AuditEvent,
    change: Change,
    *,
    session: SessionId | None = None,
    digest: str | None = None,
    reason: str | None = None,
    grant: GrantId | None = None,
    code: str = "",
    words: tuple[str, ...] = (),
) -> AuditEntry:
    """What the audit is told of a change: ids and words of closed sets, nothing of its texts."""
    return AuditEntry(
        event=event,
        change=change.id,
        kind=tag_of(change.spec),
        agent=change.spec.agent_id,
        session=session,
        digest=digest,
        reason=reason,
        grant=grant,
        code=code,
        words=words,
    )
