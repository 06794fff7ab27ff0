"""Memories without a file system, for tests of edges: all agents have the same one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ironclaw.airlock.memory import digest_of
from ironclaw.domain.memories import MemoryAct, MemoryAnswer, TopicView
from ironclaw.services.memory import Memories
from ironclaw_contract.memory_dir import is_topic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.ids import AgentId
    from ironclaw.domain.memories import MemoryAsk
    from ironclaw.domain.model import Agent
    from ironclaw.domain.wall import Durable
    from ironclaw.services.memory import Record

CHANGED_MS = 1_800_000_000_000


class Shelf:
    """Implements `services.memory.Confined`, and of the isolator what memories need."""

    def __init__(self) -> None:
        self.topics: dict[str, bytes] = {"birds": b"Ada is a heron."}
        self.is_whole = True
        self.tainted = 0
        """Tainted notes of each topic."""

    async def durable(self, kind: Durable, name: str, *, lane: int) -> Path:
        """A directory that is there."""
        del kind, name, lane
        return Path("/")

    async def memory(self, path: Path, *, uid: int, gid: int, ask: MemoryAsk) -> MemoryAnswer:
        """Do one thing. A note is of a session when it has its id in it."""
        del path, uid, gid
        if ask.topic and not is_topic(ask.topic):
            return MemoryAnswer(refused="a topic is named with a-z, 0-9 and '-'")
        before = self.topics.get(ask.topic)
        if ask.was and (before is None or digest_of(before) != ask.was):
            return MemoryAnswer(is_changed=True)
        match ask.act:
            case MemoryAct.READ:
                view = () if before is None else (self._view(ask.topic, before),)
                return MemoryAnswer(view, self.is_whole, before)
            case MemoryAct.WRITE:
                self.topics[ask.topic] = ask.data
            case MemoryAct.FORGET:
                self.topics.pop(ask.topic, None)
            case MemoryAct.PURGE:
                gone = [name for name, data in self.topics.items() if ask.session.encode() in data]
                for name in gone:
                    del self.topics[name]
                return MemoryAnswer(removed=len(gone), is_whole=self.is_whole)
            case MemoryAct.LIST:
                pass
        return MemoryAnswer(
            topics=tuple(self._view(name, data) for name, data in sorted(self.topics.items())),
            is_whole=self.is_whole,
        )

    def _view(self, name: str, data: bytes) -> TopicView:
        return TopicView(
            topic=name, bytes=len(data), notes=1, tainted=self.tainted, changed_ms=CHANGED_MS
        )


def memories(shelf: Shelf, *, record: Record, agent: Callable[[str], Awaitable[Agent]]) -> Memories:
    """The memories of agents, all of them on one shelf."""
    return Memories(
        isolator=cast("Any", shelf),
        airlocks=shelf,
        record=record,
        agent=agent,
        foreign=_none_tainted,
    )


async def _none_tainted(_agent: AgentId, /, *, limit: int) -> tuple[str, ...]:
    del limit
    return ()
