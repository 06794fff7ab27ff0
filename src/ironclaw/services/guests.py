"""Guests: senders whom nobody let in, in chats where people are asked about them.

A message of such a sender reaches no agent. It becomes a change that waits: make them a member of
that agent. Whoever decides sees who it is and nothing of what they wrote; a no is remembered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.change import Asker
from ironclaw.domain.changes.access import GiveRole
from ironclaw.domain.model import Role

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, PrincipalId
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.rights import Actor
    from ironclaw.services.router import Guests

AGAIN_S: Final = 3600.0
"""Before the same sender is asked about again: a flood of messages is one request."""
MOST: Final = 20
"""New senders that people are asked about within that time, in the whole house."""

_log = get_logger("guests")


class Asks(Protocol):
    """Who takes requests: `services.gateway.service.GatewayService`."""

    async def submit(self, spec: Spec, *, asker: Asker, actor: Actor | None, reason: str) -> object:
        """Ask for a change. Raises IronClawError."""
        ...


class GuestBook:
    """Implements `services.router.Guests`."""

    def __init__(self, gateway: Asks, clock: Clock) -> None:
        self._gateway = gateway
        self._clock = clock
        self._knocked: dict[tuple[PrincipalId, AgentId], float] = {}

    async def knock(self, principal: PrincipalId, agent: AgentId) -> None:
        """Ask people about a sender, unless that was done a while ago or too many came lately.

        Trust:
            The channel vouches for the handle; strangers can bring as many as they have accounts.
        """
        now = self._clock.monotonic_s()
        self._knocked = {guest: at for guest, at in self._knocked.items() if now - at < AGAIN_S}
        guest = (principal, agent)
        if guest in self._knocked:
            return
        if len(self._knocked) >= MOST:
            _log.warning("too_many_guests", agent=agent)
            return
        self._knocked[guest] = now
        spec = GiveRole(principal=principal, role=Role.MEMBER, agent=agent)
        try:
            await self._gateway.submit(
                spec, asker=Asker(principal=principal), actor=None, reason=""
            )
        except IronClawError as error:
            # Denied before, or too many wait: the refusal of the message is recorded all the same.
            _log.info("guest_not_asked_about", agent=agent, code=error.code)


class LateGuests:
    """The guest book for a router that is there before the gateway is."""

    def __init__(self) -> None:
        self.real: Guests | None = None

    async def knock(self, principal: PrincipalId, agent: AgentId) -> None:
        """As `GuestBook.knock`; nobody is asked until somebody is there."""
        if self.real is not None:
            await self.real.knock(principal, agent)
