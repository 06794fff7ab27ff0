"""The running system, told of what changes have written: boxes, blank slots, tasks, keys, notes.

The store says what shall be; this brings what runs to it, and never the other way round. It reads
what is true now instead of what a change wrote, so an old change that is finished late sets nothing
back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ironclaw.core.log import get_logger
from ironclaw.domain.changes.base import (
    DropTask,
    ForgetNotes,
    ForgetSession,
    NewAgent,
    PutAgent,
    PutTask,
    SetArchived,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.changes.base import Op
    from ironclaw.domain.model import Agent
    from ironclaw.services.memory import Purged


_log = get_logger("reaching")


class Boxes(Protocol):
    """What runs: `services.sessions.Sessions`."""

    async def refresh(self, agent: Agent) -> None:
        """Bring an agent's boxes to what it is. Raises IronClawError."""
        ...

    def is_at(self, agent: Agent) -> bool:
        """Whether `refresh` would change nothing."""
        ...

    async def forget(self, session: SessionId) -> None:
        """End a session's box, destroy its keys and its workspace. Raises IronClawError."""
        ...

    def is_forgotten(self, session: SessionId) -> bool:
        """Whether the session has no box and no key."""
        ...


class Agents(Protocol):
    """What the store says: `store.registry.Registry`."""

    async def agent(self, ref: str) -> Agent:
        """One agent by id. Raises UserError (`NOT_FOUND`), HostError."""
        ...


class Schedules(Protocol):
    """When tasks are due: `services.schedules`."""

    async def rearm(self) -> None:
        """Tasks have changed: look again. On return, none that is gone is being told any more."""
        ...


class Notes(Protocol):
    """What agents have noted: `services.memory.Memories`."""

    async def purge(self, agent: str, session: SessionId) -> Purged:
        """Take away every note that is from one session. Raises IronClawError."""
        ...


class Reaching:
    """Implements `services.gateway.rows.Reach`.

    Args:
        boxes: What runs.
        agents: What the store says.
        schedules: Who waits for tasks.
        notes: What agents have noted.
    """

    def __init__(self, *, boxes: Boxes, agents: Agents, schedules: Schedules, notes: Notes) -> None:
        self._notes = notes
        self._boxes = boxes
        self._agents = agents
        self._schedules = schedules
        # Read and told in one go: what was read first could be told last otherwise.
        self._telling = asyncio.Lock()

    async def reach(self, ops: Sequence[Op]) -> None:
        """Bring what runs to what the store says; in force on return. Idempotent.

        Raises:
            IronClawError: Something that runs could not be brought there; it may be called again.
        """
        if any(isinstance(op, PutTask | DropTask) for op in ops):
            await self._schedules.rearm()
        for agent in _agents_of(ops):
            async with self._telling:
                await self._boxes.refresh(await self._agents.agent(agent))
        for session in _forgotten_of(ops):
            await self._boxes.forget(session)
        for op in ops:
            if isinstance(op, ForgetNotes):
                # Its box is gone: it notes nothing more.
                purged = await self._notes.purge(op.agent, op.session)
                if not purged.is_whole:
                    _log.warning("notes_not_looked_through", agent=op.agent, session=op.session)

    async def holds(self, ops: Sequence[Op]) -> bool:
        """Whether what runs is as the store says; looks, changes nothing.

        At notes it does not look: boxes of the agent's other sessions write there all the time.
        """
        agents = [await self._agents.agent(agent) for agent in _agents_of(ops)]
        return all(map(self._boxes.is_at, agents)) and all(
            map(self._boxes.is_forgotten, _forgotten_of(ops))
        )


def _agents_of(ops: Sequence[Op]) -> list[AgentId]:
    """Whose boxes are touched, each once."""
    found: dict[AgentId, None] = {}
    for op in ops:
        match op:
            case NewAgent(agent) | PutAgent(agent):
                found[agent.id] = None
            case SetArchived(agent=agent_id):
                found[agent_id] = None
            case _:
                pass
    return list(found)


def _forgotten_of(ops: Sequence[Op]) -> list[SessionId]:
    return [op.session for op in ops if isinstance(op, ForgetSession)]
