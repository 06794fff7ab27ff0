"""What one box has been told of its agent, and the socket of host tools that it was offered.

An agent changes while its boxes run. Each change is one more `Setup` record; tools that work
through the host also need `tools.sock`, which is there only while the agent holds one of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ironclaw.services.briefing import first_records, publish, setup_record
from ironclaw.services.tool_calls import holds_host_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.domain.model import Agent
    from ironclaw.domain.ports import Resume
    from ironclaw.services.parts import Rooms, SessionLimits
    from ironclaw.services.slots import Slot
    from ironclaw_contract.records import InboundBody


class Setups:
    """Tells a box who its agent is.

    Args:
        slot: Whose box; its link may be replaced.
        agent: The agent as it is now.
        limits: For the setup.
        rooms: Knows how much of a conversation the agent's models read.
    """

    def __init__(
        self, slot: Slot, agent: Agent, limits: SessionLimits, rooms: Rooms | None = None
    ) -> None:
        self._slot = slot
        self._limits = limits
        self._rooms = rooms
        self._told_limits: SessionLimits | None = None
        # One at a time: the last record that the box reads is the newest.
        self._telling = asyncio.Lock()
        self._is_offered = False
        self.agent = agent
        """As it is now, whatever the box knows yet."""
        self.told: Agent | None = None
        """As the box knows it; None when nobody can say what it was told."""

    @property
    def limits(self) -> SessionLimits:
        """What holds of the box now: no more of a conversation than the agent's models read."""
        if self._rooms is None:
            return self._limits
        return self._limits._replace(context_bytes=self._rooms.context_bytes(self.agent))

    @property
    def is_stale(self) -> bool:
        """Whether the box was told of a room that is another one now."""
        return self._told_limits is not None and self._told_limits != self.limits

    async def brief(self, past: Resume, messages: Sequence[InboundBody]) -> None:
        """Publish all that a fresh box is told, in the order in which it must read it."""
        async with self._telling:
            agent, link, limits = self.agent, self._slot.link, self.limits
            await self._offer(agent)
            await publish(link, [*first_records(agent, past, limits), *messages])
            self._note(agent, link, limits)

    async def tell(self) -> None:
        """Tell a box that was briefed who the agent is now, unless it knows."""
        async with self._telling:
            agent, link, limits = self.agent, self._slot.link, self.limits
            if self.told != agent or self._told_limits != limits:
                await self._offer(agent)
                await link.publish([setup_record(agent, limits)])
                self._note(agent, link, limits)

    def lose(self) -> None:
        """The airlock was replaced: it offers nothing, and what the former one did is unknown."""
        self.told, self._is_offered = None, False

    def _note(self, agent: Agent, link: object, limits: SessionLimits) -> None:
        if link is self._slot.link:
            self.told, self._told_limits = agent, limits

    async def _offer(self, agent: Agent) -> None:
        link, offered = self._slot.link, holds_host_tool(agent)
        if offered != self._is_offered:
            await link.offer_tools(offered)
            if link is self._slot.link:
                self._is_offered = offered
