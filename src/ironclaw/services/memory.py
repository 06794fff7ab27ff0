"""Agents' memories for people: look, edit, forget, purge what came from one session.

The core parses nothing of it: a confined process does, and what it hands back is shown as it is.
The acts are in the audit, never the content or the names of topics.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.memories import MemoryAct, MemoryAsk
from ironclaw.domain.wall import Durable
from ironclaw_contract.hashing import sha256
from ironclaw_contract.memory_dir import MAX_TOPIC_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.audit import By
    from ironclaw.domain.memories import MemoryAnswer, TopicView
    from ironclaw.domain.model import Agent
    from ironclaw.domain.wall import Isolator

WRITTEN: Final = "written"
FORGOTTEN: Final = "forgotten"
MAX_FOREIGN: Final = 4096
"""Sessions that the confined process is told of, at most; notes of older ones say it themselves."""


class Confined(Protocol):
    """Looks into a memory in a confined process."""

    async def memory(self, path: Path, *, uid: int, gid: int, ask: MemoryAsk) -> MemoryAnswer:
        """Do one thing. Raises HostError."""
        ...


class Record(Protocol):
    """Writes the audit."""

    def __call__(self, entry: AuditEntry, /, *, by: By) -> Awaitable[object]:
        """Add an entry, durable on return. Raises HostError."""
        ...


class Foreign(Protocol):
    """Knows what stays with sessions: `ironclaw.store.ledger.Ledger.tainted_sessions`."""

    def __call__(self, agent: AgentId, /, *, limit: int) -> Awaitable[Sequence[str]]:
        """Sessions of an agent with foreign content, the newest first. Raises HostError."""
        ...


class Topics(NamedTuple):
    """What a memory holds."""

    topics: tuple[TopicView, ...]
    is_whole: bool
    """False when there is more than is told."""


class Text(NamedTuple):
    """One topic."""

    data: bytes
    is_whole: bool
    """False when it is longer than a topic may be: this is its beginning."""
    notes: int = 0
    tainted: int = 0
    """Those of the notes that say so, or that are from sessions which the host knows to be."""

    @property
    def digest(self) -> str:
        """What `Memories.edit` takes as `was`."""
        return f"sha256:{sha256(self.data).hex()}"


class Purged(NamedTuple):
    """What a purge did."""

    notes: int
    is_whole: bool
    """False when something could not be looked through."""


class Memories:
    """The memories of all agents.

    Args:
        isolator: Knows where they are.
        airlocks: Looks into them.
        record: Writes the audit.
        agent: Finds an agent by id or name.
        foreign: Sessions of an agent that have foreign content in them, at most so many: what their
            notes say of themselves does not count.
    """

    def __init__(
        self,
        *,
        isolator: Isolator,
        airlocks: Confined,
        record: Record,
        agent: Callable[[str], Awaitable[Agent]],
        foreign: Foreign,
    ) -> None:
        self._foreign = foreign
        self._isolator = isolator
        self._airlocks = airlocks
        self._record = record
        self._agent = agent

    async def topics(self, agent: str) -> Topics:
        """The topics of an agent's memory. Raises UserError (`NOT_FOUND`), HostError."""
        found = await self._agent(agent)
        ask = MemoryAsk(MemoryAct.LIST, foreign=await self._known(found))
        answer = await self._ask(found, ask)
        return Topics(answer.topics, answer.is_whole)

    async def read(self, agent: str, topic: str) -> Text:
        """One topic. Raises UserError (`NOT_FOUND`, `INVALID`), HostError."""
        found = await self._agent(agent)
        ask = MemoryAsk(MemoryAct.READ, topic, foreign=await self._known(found))
        answer = await self._ask(found, ask)
        if answer.text is None:
            raise UserError(
                Code.NOT_FOUND,
                "There is no such topic.",
                hint="`ironclaw memory list AGENT` shows those there are.",
            )
        (view,) = answer.topics or (None,)
        if view is None:
            return Text(answer.text, answer.is_whole)
        return Text(answer.text, answer.is_whole, view.notes, view.tainted)

    async def edit(self, agent: str, topic: str, data: bytes | None, *, was: str = "") -> None:
        """Replace a topic, or forget it.

        Args:
            agent: Whose.
            topic: Its name; one that is not there is made.
            data: What it shall be; None to forget it.
            was: Digest of what is to be replaced; empty for whatever is there.

        Raises:
            UserError: `NOT_FOUND`; `INVALID`; `CONFLICT`: it is something else by now.
            HostError: It could not be done.
        """
        found = await self._agent(agent)
        if data is not None and len(data) > MAX_TOPIC_BYTES:
            raise UserError(
                Code.INVALID,
                f"A topic has at most {MAX_TOPIC_BYTES} bytes; this text has {len(data)}.",
                hint="Make several topics of it.",
            )
        reason = FORGOTTEN if data is None else WRITTEN
        entry = AuditEntry(event=AuditEvent.MEMORY_EDITED, agent=found.id, reason=reason)
        await self._record(entry, by=acting())
        act = MemoryAct.FORGET if data is None else MemoryAct.WRITE
        await self._ask(found, MemoryAsk(act, topic, data=data or b"", was=was))

    async def purge(self, agent: str, session: SessionId) -> Purged:
        """Take away every note that says it is from one session.

        The lines that say so are written by boxes: one that was taken over can leave notes under
        another session's name.

        Raises:
            UserError: `NOT_FOUND`: there is no such agent.
            HostError: It could not be done; some notes may be gone.
        """
        found = await self._agent(agent)
        answer = await self._ask(found, MemoryAsk(MemoryAct.PURGE, session=session))
        entry = AuditEntry(
            event=AuditEvent.MEMORY_PURGED, agent=found.id, session=session, count=answer.removed
        )
        await self._record(entry, by=acting())
        return Purged(answer.removed, answer.is_whole)

    async def _known(self, agent: Agent) -> tuple[str, ...]:
        return tuple(await self._foreign(agent.id, limit=MAX_FOREIGN))

    async def _ask(self, agent: Agent, ask: MemoryAsk) -> MemoryAnswer:
        path = await self._isolator.durable(Durable.MEMORY, agent.id, lane=agent.lane)
        owner = await asyncio.to_thread(path.lstat)
        answer = await self._airlocks.memory(path, uid=owner.st_uid, gid=owner.st_gid, ask=ask)
        if answer.is_changed:
            raise UserError(
                Code.CONFLICT,
                "The topic has changed since it was read.",
                hint="Read it again, and put your change into what is there now.",
            )
        if answer.refused:
            raise UserError(
                Code.INVALID,
                f"This cannot be done with the memory: {answer.refused}.",
                hint="`ironclaw memory list AGENT` shows the topics.",
            )
        return answer
