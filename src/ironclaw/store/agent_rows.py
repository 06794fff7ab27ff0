"""Agents: durable, each with a lane that is never given to another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, new_id
from ironclaw.domain.acting import acting
from ironclaw.domain.changes.base import NewAgent
from ironclaw.domain.model import Agent, BoxLimits
from ironclaw.store.change_ops import Cause, execute
from ironclaw.store.rows import Memory, Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store

AGENT: Final = "SELECT lane, archived, body FROM agent"
_NAME: Final = re.compile(r"\A[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_TOOL: Final = re.compile(r"\A[a-z][a-z0-9_]{0,127}\Z")
_MAX_TOOLS: Final = 128
_MAX_POOL: Final = 64
_MAX_STEPS: Final = 1000
_MAX_PERSONA: Final = 64 * 1024


class AgentRows(Rows):
    """The table of agents."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._agents = self._memory(Memory[str, Agent]())

    async def create_agent(
        self,
        *,
        name: str,
        persona: str = "",
        model: str = "scripted",
        tools: Sequence[str] = (),
        pool_size: int = 1,
        max_steps: int = 16,
        limits: BoxLimits | None = None,
    ) -> Agent:
        """Make an agent with a lane of its own.

        Raises:
            UserError: `INVALID` or `CONFLICT`.
            HostError: From the store.
        """
        _check(name, persona, tools, pool_size, max_steps)
        agent = Agent(
            id=AgentId(new_id("agt")),
            name=name,
            persona=persona,
            model=model,
            tools=tuple(tools),
            max_steps=max_steps,
            limits=limits or BoxLimits(),
            pool_size=pool_size,
            created_ms=self._clock.now_ms(),
        )
        cause = Cause(agent.created_ms, acting())

        def work(db: apsw.Connection) -> Agent:
            execute(db, NewAgent(agent), cause)
            (row,) = list(db.execute(f"{AGENT} WHERE id = ?", (agent.id,)))
            return as_agent(*row)

        return await self._change(work)

    async def agents(self, *, archived: bool = False) -> list[Agent]:
        """Agents by name; those that are archived too when asked for. Raises HostError."""

        def work(db: apsw.Connection) -> list[Agent]:
            rows = db.execute(f"{AGENT} ORDER BY name, lane")
            return [as_agent(*row) for row in rows]

        found = await self._store.read(work)
        return [agent for agent in found if archived or not agent.archived]

    async def agent(self, ref: str) -> Agent:
        """One agent by id, or one that is not archived by name.

        Raises:
            UserError: `NOT_FOUND`.
            HostError: From the store.
        """
        if (known := self._agents.get(ref)) is not None:
            return known
        generation = self._agents.generation

        def work(db: apsw.Connection) -> Agent | None:
            row = db.execute(
                f"{AGENT} WHERE id = ?1 OR (name = ?1 AND archived = 0) ORDER BY archived LIMIT 1",
                (ref,),
            ).fetchone()
            return None if row is None else as_agent(*row)

        agent = await self._store.read(work)
        if agent is None:
            raise UserError(
                Code.NOT_FOUND,
                f"There is no agent {ref[:80]!r}.",
                hint="`ironclaw agent list` shows those there are.",
            )
        self._agents.put(ref, agent, generation=generation)
        return agent


def as_agent(lane: int, archived: int, body: bytes) -> Agent:
    """A row as a value; lane and archived are the columns' own."""
    agent = msgspec.msgpack.decode(body, type=Agent)
    return msgspec.structs.replace(agent, lane=lane, archived=bool(archived))


def _check(name: str, persona: str, tools: Sequence[str], pool_size: int, max_steps: int) -> None:
    if not _NAME.match(name):
        raise UserError(
            Code.INVALID,
            f"{name[:80]!r} cannot be an agent's name.",
            hint="Use 1 to 63 characters of a-z, 0-9 and `-`, with no `-` at either end.",
        )
    if len(persona.encode(errors="replace")) > _MAX_PERSONA:
        raise UserError(
            Code.TOO_LARGE,
            f"A persona has at most {_MAX_PERSONA} bytes.",
            hint="Put long material into the agent's shared directory.",
        )
    if "\0" in persona or not _encodes(persona):
        raise UserError(
            Code.INVALID, "The persona is not clean text.", hint="Remove NUL and broken characters."
        )
    if len(tools) > _MAX_TOOLS or not all(_TOOL.match(tool) for tool in tools):
        raise UserError(
            Code.INVALID,
            "A tool's name has only a-z, 0-9 and `_`, and starts with a letter.",
            hint=f"Name at most {_MAX_TOOLS} tools.",
        )
    if not 0 <= pool_size <= _MAX_POOL or not 1 <= max_steps <= _MAX_STEPS:
        raise UserError(
            Code.INVALID,
            f"A pool has 0 to {_MAX_POOL} slots and a turn 1 to {_MAX_STEPS} steps.",
            hint="A pool of 1 is right for most agents.",
        )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
