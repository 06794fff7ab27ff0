"""What only the gateway does, as a test's arrangement: its operations, with nobody asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.domain.acting import acting
from ironclaw.domain.changes.base import DropWiring, PutChat, SetArchived
from ironclaw.store.change_ops import Cause, execute

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from ironclaw.core.ids import ChatId, WiringId
    from ironclaw.domain.model import Agent, UnknownSender
    from ironclaw.store.registry import Registry


async def archive_agent(registry: Registry, ref: str) -> Agent:
    """End an agent, as it is afterwards."""
    agent = await registry.agent(ref)
    await _done(
        registry, lambda db, cause: execute(db, SetArchived(agent.id, archived=True), cause)
    )
    (found,) = [one for one in await registry.agents(archived=True) if one.id == agent.id]
    return found


async def delete_wiring(registry: Registry, wiring: WiringId) -> bool:
    """Remove a wiring; whether it was there."""
    return await _done(registry, lambda db, cause: execute(db, DropWiring(wiring), cause))


async def set_unknown_sender(registry: Registry, chat: ChatId, policy: UnknownSender) -> None:
    """Change what happens to unknown senders of a chat."""
    found = await registry.chat(chat)
    op = PutChat(chat, found.channel, found.platform_id, policy)
    await _done(registry, lambda db, cause: execute(db, op, cause))


async def _done(registry: Registry, work: Callable[[apsw.Connection, Cause], bool]) -> bool:
    cause = Cause(registry._clock.now_ms(), acting())  # here: the writer's thread acts for nobody
    return await registry._change(lambda db: work(db, cause))
