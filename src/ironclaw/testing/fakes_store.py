"""A real store with real keys in a directory of a test, and short ways to fill it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.core.clock import Clock, SystemClock
from ironclaw.core.ids import MessageId, PrincipalId, SessionId, new_id
from ironclaw.domain.model import (
    Agent,
    Chat,
    Event,
    Message,
    Partition,
    Role,
    SenderScope,
    UnknownSender,
    Upload,
)
from ironclaw.domain.routing import Accepted, Seat
from ironclaw.domain.wall import Outbound
from ironclaw.keys.custodian import Custodian
from ironclaw.keys.master import FileMaster
from ironclaw.keys.ring import Ring
from ironclaw.keys.signer import ReceiptSigner
from ironclaw.services.receipts import Receipts
from ironclaw.services.searching import Searching
from ironclaw.store.audit_rows import AuditRows
from ironclaw.store.chatlog import ChatLog
from ironclaw.store.content import Content
from ironclaw.store.engine import Store
from ironclaw.store.key_rows import KeyRows
from ironclaw.store.ledger import Ledger
from ironclaw.store.message_rows import seal_words
from ironclaw.store.receipt_files import ReceiptFiles
from ironclaw.store.registry import Registry
from ironclaw.store.searching import Passages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import apsw

    from ironclaw_contract.records import OutboundBody


class CoreStore(NamedTuple):
    """The durable half of a core."""

    store: Store
    ring: Ring
    custodian: Custodian
    registry: Registry
    ledger: Ledger
    chatlog: ChatLog
    audit: AuditRows
    receipts: Receipts
    clock: Clock

    async def begin(self, *, name: str = "helper", place: str = "desk") -> Conversation:
        """An agent, a chat wired to it, and a session with its keys."""
        agent = await self.registry.create_agent(name=name)
        chat = await self.registry.ensure_chat(
            channel="api", platform_id=place, unknown_sender=UnknownSender.PUBLIC
        )
        await self.registry.create_wiring(
            chat=chat.id, agent=agent.id, sender_scope=SenderScope.ALL
        )
        await self.registry.give(PrincipalId("api:ann"), Role.MEMBER, agent.id)
        session = SessionId(new_id("ses"))
        await self.custodian.create(session)
        await self.registry.add_session(session, Seat(agent.id, Partition.SHARED, chat.id, None))
        return Conversation(self, agent, chat, session)


class Conversation(NamedTuple):
    """One session to write into."""

    core: CoreStore
    agent: Agent
    chat: Chat
    session: SessionId

    async def hear(
        self,
        text: str,
        *,
        external_id: str | None = None,
        engage: bool = True,
        thread: str | None = None,
        files: tuple[Upload, ...] = (),
    ) -> Accepted:
        """Accept one message."""
        event = Event(
            channel="api",
            platform_id=self.chat.platform_id,
            handle="ann",
            sender="Ann",
            text=text,
            external_id=external_id or new_id("ext"),
            thread=thread,
            files=files,
        )
        return await self.core.ledger.accept(
            event, session=self.session, chat=self.chat.id, engage=engage
        )

    async def heard_before(self, text: str) -> Message:
        """A message as the first version of the store kept it, for stores of older versions."""
        message = Message(
            id=MessageId(new_id("msg")),
            session=self.session,
            chat=self.chat.id,
            thread=None,
            sender="Ann",
            text=text,
            at_ms=self.core.clock.now_ms(),
            engage=True,
        )
        sealed = seal_words(Content(self.core.custodian), self.session, message.id, "Ann", text)

        def work(db: apsw.Connection) -> None:
            db.execute(
                "INSERT INTO message (id, session, chat, external_id, event, sealed, at_ms, engage,"
                " status) VALUES (?, ?, ?, ?, 1, ?, ?, 1, 'pending')",
                (
                    message.id, message.session, message.chat, message.id, sealed, message.at_ms,
                ),
            )  # fmt: skip

        await self.core.store.write(work)
        return message


def searching_of(core: CoreStore) -> Searching:
    """Searches what was said in a store."""
    return Searching(Passages(core.store, core.custodian), core.clock)


def outbound(first_seq: int, *bodies: OutboundBody) -> Outbound:
    """Records as an airlock hands them over."""
    last = first_seq + len(bodies) - 1
    return Outbound(first_seq=first_seq, bodies=bodies, last_hash=last.to_bytes(32, "big"))


@contextlib.asynccontextmanager
async def open_core_store(
    directory: Path, *, clock: Clock | None = None
) -> AsyncIterator[CoreStore]:
    """Open, or make, `store.db` and `keys/` below `directory`."""
    path = directory / "store.db"
    keys = directory / "keys"
    ring = await asyncio.to_thread(
        lambda: Ring.open(keys, FileMaster(keys), store_exists=path.exists())
    )
    clock = clock or SystemClock()
    async with await Store.open(path, ring.store_key) as store:
        custodian = await Custodian.start(ring, KeyRows(store))
        registry = Registry(store, clock)
        yield CoreStore(
            store=store,
            ring=ring,
            custodian=custodian,
            registry=registry,
            ledger=Ledger(store, custodian, clock),
            chatlog=ChatLog(store, custodian, clock),
            audit=AuditRows(store, clock),
            receipts=Receipts(
                signer=ReceiptSigner(ring),
                store=registry,
                copies=ReceiptFiles(directory / "receipts"),
                clock=clock,
            ),
            clock=clock,
        )
