"""The `agent` channel: what agents say to each other, and what they answer.

It leads nowhere outside. A delivery in a chat of two agents becomes a message of the other one, or
of the conversation that it was asked from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.domain.relaying import AGENT_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.domain.model import Delivery


class AgentChannel:
    """Implements `domain.channels.Channel`.

    Args:
        carry: Brings a delivery to the agent that it is for; the same one again changes nothing.
    """

    name = AGENT_CHANNEL

    def __init__(self, carry: Callable[[Delivery], Awaitable[None]]) -> None:
        self._carry = carry

    async def deliver(self, delivery: Delivery) -> str:
        """Bring it to the other agent. Raises UserError, PolicyError, HostError."""
        await self._carry(delivery)
        return delivery.id
