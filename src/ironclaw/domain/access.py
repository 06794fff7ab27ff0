"""Who may speak to an agent: a pure decision over standings. Deny wins.

Precedence: owner > global admin > admin of the agent > operator or member (global or of the agent).
Who may only look or decide has no say here. A sender without any standing that lets it talk is
unknown; the chat says what happens to it, and the wiring may be stricter.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.domain.model import Role, SenderScope, UnknownSender

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.model import Standing


class Rank(enum.IntEnum):
    """What a principal is to one agent; higher may do more."""

    UNKNOWN = 0
    MEMBER = 1
    SCOPED_ADMIN = 2
    GLOBAL_ADMIN = 3
    OWNER = 4


class Decision(enum.StrEnum):
    """The outcome of an access question."""

    ALLOW = "allow"
    DENY = "deny"
    ASK = "ask"


class AccessReason(enum.StrEnum):
    """Why, in a closed set of words."""

    OWNER = "owner"
    GLOBAL_ADMIN = "global_admin"
    SCOPED_ADMIN = "scoped_admin"
    MEMBER = "member"
    PUBLIC = "public"
    UNKNOWN_SENDER = "unknown_sender"
    PAIRING_NEEDED = "pairing_needed"
    NOT_A_MEMBER = "not_a_member"


class Access(NamedTuple):
    """A decision with its reason."""

    decision: Decision
    reason: AccessReason


_KNOWN = {
    Rank.OWNER: AccessReason.OWNER,
    Rank.GLOBAL_ADMIN: AccessReason.GLOBAL_ADMIN,
    Rank.SCOPED_ADMIN: AccessReason.SCOPED_ADMIN,
    Rank.MEMBER: AccessReason.MEMBER,
}


def rank(standings: Iterable[Standing], agent: AgentId) -> Rank:
    """The highest rank that one principal's standings give it over `agent`."""
    return max((_rank(standing, agent) for standing in standings), default=Rank.UNKNOWN)


def decide_access(
    standings: Iterable[Standing],
    agent: AgentId,
    *,
    unknown_sender: UnknownSender,
    sender_scope: SenderScope,
) -> Access:
    """Decide whether a sender's words may reach an agent.

    Args:
        standings: All that the sender holds, and nothing of anybody else.
        agent: Whom the wiring leads to.
        unknown_sender: The chat's rule for senders without a standing.
        sender_scope: The wiring's own rule; `known` keeps strangers out of a public chat too.
    """
    held = rank(standings, agent)
    if held is not Rank.UNKNOWN:
        return Access(Decision.ALLOW, _KNOWN[held])
    if unknown_sender is UnknownSender.DROP:
        return Access(Decision.DENY, AccessReason.UNKNOWN_SENDER)
    if unknown_sender is UnknownSender.ASK:
        return Access(Decision.ASK, AccessReason.PAIRING_NEEDED)
    if sender_scope is SenderScope.KNOWN:
        return Access(Decision.DENY, AccessReason.NOT_A_MEMBER)
    return Access(Decision.ALLOW, AccessReason.PUBLIC)


def _rank(standing: Standing, agent: AgentId) -> Rank:
    if standing.agent is not None and standing.agent != agent:
        return Rank.UNKNOWN
    match standing.role:
        case Role.OWNER:
            # An owner is always global; a scoped row is not an owner of anything.
            return Rank.OWNER if standing.agent is None else Rank.UNKNOWN
        case Role.ADMIN:
            return Rank.GLOBAL_ADMIN if standing.agent is None else Rank.SCOPED_ADMIN
        case Role.MEMBER | Role.OPERATOR:
            return Rank.MEMBER
        case Role.APPROVER | Role.VIEWER:
            return Rank.UNKNOWN
