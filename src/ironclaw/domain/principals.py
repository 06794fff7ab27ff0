"""Principals: `<channel>:<handle>`, one account of somebody on one channel. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId

MAX_PRINCIPAL: Final = 256
"""Characters of one."""
API_CHANNEL: Final = "api"
"""Of those who come with a token."""
AGENT_CHANNEL: Final = "agent"
"""What stands before the colon where an agent asks: no person has such a principal."""
HOUSE_CHANNEL: Final = "house"
"""The same where the house itself asks, for one of its agents."""
_FIRST_PRINTABLE: Final = " "


def check_principal(principal: PrincipalId) -> None:
    """Refuse what cannot be a person's principal.

    Raises:
        UserError: `INVALID`.

    Trust:
        Whatever a client sent.
    """
    channel, colon, handle = principal.partition(":")
    is_clean = all(one >= _FIRST_PRINTABLE and one != "\x7f" for one in principal)
    if not (channel and colon and handle) or len(principal) > MAX_PRINCIPAL or not is_clean:
        raise UserError(
            Code.INVALID,
            f"A principal is `<channel>:<handle>`, at most {MAX_PRINCIPAL} characters.",
            hint="For example `api:desk`.",
        )
    if channel in {AGENT_CHANNEL, HOUSE_CHANNEL}:
        raise UserError(
            Code.INVALID,
            f"The {channel} is nobody: it holds no role.",
            hint="Name a person's principal, for example `api:desk`.",
        )


def channel_of(principal: PrincipalId) -> str:
    """The channel that vouches for it."""
    return principal.partition(":")[0]


def house_principal(agent: AgentId) -> PrincipalId:
    """As whom the house asks for something in place of an agent."""
    return PrincipalId(f"{HOUSE_CHANNEL}:{agent}")
