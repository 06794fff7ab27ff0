"""Who may do what: rights of roles, and the limits that a token puts on them. Pure.

    may = rights(standings, agent) & the token's own limit

A role is held for all agents (None) or for one. A token never adds a right, it only takes some.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.domain.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.core.ids import AgentId, PrincipalId
    from ironclaw.domain.model import Standing
    from ironclaw.domain.policy import Proof


class Right(enum.StrEnum):
    """One thing that somebody may do, with one agent or with all."""

    TALK = "talk"
    """Send messages, follow one's own chats."""
    READ = "read"
    """Look at everything, change nothing."""
    OPERATE = "operate"
    """Stop sessions, try failed changes again."""
    REQUEST = "request"
    """Ask for changes."""
    DECIDE = "decide"
    """Approve and deny changes, revoke grants."""
    ADMINISTER = "administer"
    """Mint and revoke tokens of others, sign and rotate the audit."""
    OWN = "own"
    """Decide on the policy, on owners and on global administrators."""


RIGHTS: Final[dict[Role, frozenset[Right]]] = {
    Role.OWNER: frozenset(Right),
    Role.ADMIN: frozenset(Right) - {Right.OWN},
    Role.APPROVER: frozenset({Right.READ, Right.DECIDE}),
    Role.OPERATOR: frozenset({Right.TALK, Right.READ, Right.OPERATE, Right.REQUEST}),
    Role.VIEWER: frozenset({Right.READ}),
    Role.MEMBER: frozenset({Right.TALK}),
}
"""What each role brings."""

NOBODY: Final[frozenset[Right]] = frozenset()


class Actor(NamedTuple):
    """A person who acts, as the edge has made sure of: never a name that a client sent."""

    principal: PrincipalId
    limit: frozenset[Right] = frozenset(Right)
    """What the token lets through of the principal's rights."""
    proof: Proof | None = None
    """How they have shown who they are; None: in no way that may decide."""


def rights(standings: Iterable[Standing], agent: AgentId | None) -> frozenset[Right]:
    """What one principal's standings let it do.

    Args:
        standings: All that the principal holds, and nothing of anybody else.
        agent: With that agent; None asks for rights over the whole house.
    """
    held = NOBODY
    for one in standings:
        if one.agent is not None and (one.agent != agent or one.role is Role.OWNER):
            # An owner is always global; a scoped row is not an owner of anything.
            continue
        held |= RIGHTS[one.role]
    return held
