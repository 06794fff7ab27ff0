"""Where what a turn works on comes from: its chat, agents that it came through, foreign content.

A part of the ledger. Asked before something is done on an agent's own word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.store.message_rows import (
    find_target,
    hops_of,
    is_under_way,
    no_turn,
    turn_under_way,
)
from ironclaw.store.taint_rows import taint_of, tainted_sessions

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.taint import Taints
    from ironclaw.store.engine import Store


class Provenance:
    """What the ledger knows of the origin of turns."""

    _store: Store

    async def hops(self, session: SessionId, turn: str) -> int:
        """Agents that what a turn works on has come through, at most.

        What waits counts too: it may have joined the turn a moment ago.

        Raises:
            UserError: `NOT_FOUND`: there is no such turn under way.
            HostError: From the store.
        """

        def work(db: apsw.Connection) -> int:
            target = find_target(db, turn)
            if target is None or target.session != session or not is_under_way(target):
                raise no_turn()
            return hops_of(db, session, turn)

        return await self._store.read(work)

    async def chat_of(self, session: SessionId, turn: str) -> tuple[str, str]:
        """Channel and place of the chat in which a turn is.

        Raises:
            UserError: `NOT_FOUND`: there is no such turn under way.
            HostError: From the store.
        """

        def work(db: apsw.Connection) -> tuple[str, str]:
            target = find_target(db, turn)
            if target is None or target.session != session or not is_under_way(target):
                raise no_turn()
            rows = db.execute("SELECT channel, platform_id FROM chat WHERE id = ?", (target.chat,))
            ((channel, platform_id),) = rows
            return channel, platform_id

        return await self._store.read(work)

    async def taint_of(self, session: SessionId, turn: str = "") -> Taints:
        """What a turn of a session has before it that is foreign; also what waits there.

        Args:
            session: Whose.
            turn: As a box says; the one that is under way counts whatever it says.

        Raises:
            HostError: From the store.
        """
        return await self._store.read(lambda db: taint_of(db, session, turn))

    async def under_way(self, session: SessionId) -> str:
        """The turn that a session works on, or will next; empty: none. Raises HostError."""
        return await self._store.read(lambda db: turn_under_way(db, session))

    async def tainted_sessions(self, agent: AgentId, *, limit: int) -> list[str]:
        """Sessions of an agent with taint that stays, the newest first. Raises HostError."""
        return await self._store.read(lambda db: tainted_sessions(db, agent, limit=limit))
