"""Chats and wirings: where messages come from and to which agents they lead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChatId, WiringId, new_id
from ironclaw.domain.acting import acting
from ironclaw.domain.model import (
    Agent,
    Chat,
    Engage,
    Ignored,
    Partition,
    SenderScope,
    UnknownSender,
    Wiring,
)
from ironclaw.domain.routing import Place, compile_pattern
from ironclaw.store.agent_rows import AGENT, as_agent
from ironclaw.store.change_ops import Cause, put_wiring
from ironclaw.store.rows import Memory, Rows

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store

CHAT: Final = "SELECT id, channel, platform_id, title, unknown_sender FROM chat"
WIRING: Final = (
    "SELECT id, chat, agent, engage, pattern, sender_scope, ignored, partition, priority"
    " FROM wiring"
)
_LIVE_WIRINGS: Final = (
    f"{WIRING} WHERE chat = ? AND agent IN (SELECT id FROM agent WHERE archived = 0)"  # noqa: S608 - constants only
    " ORDER BY priority DESC, id"
)
_MAX_PRIORITY: Final = 1_000_000


class WiringRows(Rows):
    """The tables of chats and wirings."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._places = self._memory(Memory[tuple[str, str], Place]())

    async def chat(self, chat: ChatId) -> Chat:
        """One chat. Raises UserError (`NOT_FOUND`), HostError."""
        row = await self._store.read(
            lambda db: db.execute(f"{CHAT} WHERE id = ?", (chat,)).fetchone()
        )
        if row is None:
            raise UserError(
                Code.NOT_FOUND,
                f"There is no chat {chat[:80]!r}.",
                hint="`ironclaw wiring list` shows those there are.",
            )
        return as_chat(*row)

    async def ensure_chat(
        self,
        *,
        channel: str,
        platform_id: str,
        title: str = "",
        unknown_sender: UnknownSender = UnknownSender.DROP,
    ) -> Chat:
        """The chat of that place, made if it is new; an existing one is left as it is."""
        place = await self.place(channel, platform_id)
        if place is not None:
            return place.chat

        def work(db: apsw.Connection) -> Chat:
            db.execute(
                "INSERT INTO chat (id, channel, platform_id, title, unknown_sender)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (new_id("cht"), channel, platform_id, title, unknown_sender.value),
            )
            found = list(
                db.execute(f"{CHAT} WHERE channel = ? AND platform_id = ?", (channel, platform_id))
            )
            return as_chat(*found[0])

        return await self._change(work)

    async def place(self, channel: str, platform_id: str) -> Place | None:
        """The chat of a place with its wirings; None when it is not known. Raises HostError."""
        name = (channel, platform_id)
        if (known := self._places.get(name)) is not None:
            return known
        generation = self._places.generation

        def work(db: apsw.Connection) -> Place | None:
            row = db.execute(f"{CHAT} WHERE channel = ? AND platform_id = ?", name).fetchone()
            if row is None:
                return None
            wirings = db.execute(
                _LIVE_WIRINGS,
                (row[0],),
            )
            return Place(as_chat(*row), tuple(as_wiring(*wiring) for wiring in wirings))

        place = await self._store.read(work)
        # Places nobody wired are not remembered: strangers could fill the memory with them.
        if place is not None:
            self._places.put(name, place, generation=generation)
        return place

    async def create_wiring(
        self,
        *,
        chat: ChatId,
        agent: AgentId,
        engage: Engage = Engage.PATTERN,
        pattern: str = ".",
        sender_scope: SenderScope = SenderScope.KNOWN,
        ignored: Ignored = Ignored.DROP,
        partition: Partition = Partition.SHARED,
        priority: int = 0,
    ) -> Wiring:
        """Wire a chat to an agent.

        Raises:
            UserError: `INVALID` for a pattern outside the grammar, `NOT_FOUND`.
            HostError: From the store.
        """
        compile_pattern(pattern)
        if abs(priority) > _MAX_PRIORITY:
            raise UserError(
                Code.INVALID,
                f"A priority is between -{_MAX_PRIORITY} and {_MAX_PRIORITY}.",
                hint="Use a small one.",
            )
        wiring = Wiring(
            id=WiringId(new_id("wir")),
            chat=chat,
            agent=agent,
            engage=engage,
            pattern=pattern,
            sender_scope=sender_scope,
            ignored=ignored,
            partition=partition,
            priority=priority,
        )
        cause = Cause(self._clock.now_ms(), acting())
        await self._change(lambda db: put_wiring(db, wiring, cause))
        return wiring

    async def wirings(self) -> list[tuple[Wiring, Chat, Agent]]:
        """All wirings with what they join. Raises HostError."""

        def work(db: apsw.Connection) -> list[tuple[Wiring, Chat, Agent]]:
            chats = {row[0]: as_chat(*row) for row in db.execute(CHAT)}
            agents = {agent.id: agent for row in db.execute(AGENT) for agent in [as_agent(*row)]}
            rows = db.execute(f"{WIRING} ORDER BY priority DESC, id")
            found = [as_wiring(*row) for row in rows]
            return [(wiring, chats[wiring.chat], agents[wiring.agent]) for wiring in found]

        return await self._store.read(work)


def as_chat(id_: str, channel: str, platform_id: str, title: str, unknown_sender: str) -> Chat:
    """A row of `CHAT` as a value."""
    return Chat(
        id=ChatId(id_),
        channel=channel,
        platform_id=platform_id,
        title=title,
        unknown_sender=UnknownSender(unknown_sender),
    )


def as_wiring(  # noqa: PLR0917 - the columns, in their order
    id_: str,
    chat: str,
    agent: str,
    engage: str,
    pattern: str,
    sender_scope: str,
    ignored: str,
    partition: str,
    priority: int,
) -> Wiring:
    """A row of `WIRING` as a value."""
    return Wiring(
        id=WiringId(id_),
        chat=ChatId(chat),
        agent=AgentId(agent),
        engage=Engage(engage),
        pattern=pattern,
        sender_scope=SenderScope(sender_scope),
        ignored=Ignored(ignored),
        partition=Partition(partition),
        priority=priority,
    )
