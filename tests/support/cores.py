"""A core without a wall: the real store, sessions and slots on fake boxes and airlocks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ironclaw.core.clock import SystemClock
from ironclaw.core.tasks import Tasks
from ironclaw.domain.disk import Caps, Room
from ironclaw.domain.wall import Rootfs
from ironclaw.models.provider import Registry as Providers
from ironclaw.models.scripted import Scripted
from ironclaw.models.service import ModelService
from ironclaw.services.disk_guard import DiskGuard
from ironclaw.services.parts import SessionParts
from ironclaw.services.rooms import Rooms
from ironclaw.services.sessions import Sessions
from ironclaw.services.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from ironclaw.core.ids import ChatId, MessageId, SlotId
    from ironclaw.domain.model import Delivery, Message
    from ironclaw.services.house import Live
    from ironclaw.services.parts import SessionLimits
    from ironclaw.testing.fakes_sandbox import FakeIsolator
    from ironclaw.testing.fakes_store import Conversation, CoreStore
    from ironclaw.testing.fakes_wall import FakeAirlocks, FakeBox, FakeLink

WAIT_S = 10.0


async def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for something that tells nobody when it happens."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.001)
    assert condition(), what


class Announced:
    """What was announced, and a meter of launches."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.shown: list[str] = []
        self.live_events: list[tuple[str, str, tuple[MessageId, ...]]] = []
        self.launches: list[str] = []
        self.bell = asyncio.Event()

    def committed(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries += deliveries
        self.bell.set()

    def due(self) -> None:
        self.bell.set()

    def live(
        self, kind: Live, message: Message, text: str, *, joined: Sequence[MessageId] = ()
    ) -> None:
        self.live_events.append((kind, text, tuple(joined)))
        if kind == "progress":
            self.shown.append(f"{message.text}: {text}")

    def round_trip(self, seconds: float) -> None:
        assert seconds >= 0

    def claim(self, seconds: float) -> None:
        assert seconds >= 0

    def launch(self, seconds: float, *, outcome: str = "ok") -> None:
        assert seconds >= 0
        self.launches.append(outcome)


FREEZE_AFTER_S = 0.02
"""Often: whatever a test does, its boxes stand still in between."""
ROOM = Room(free_bytes=1 << 40, free_files=1 << 30, all_bytes=1 << 41, all_files=1 << 31)


class Core:
    """One core's sessions. `restart` is what a killed core's successor sees."""

    def __init__(
        self,
        store: CoreStore,
        isolator: FakeIsolator,
        airlocks: FakeAirlocks,
        limits: SessionLimits,
    ) -> None:
        self.store = store
        self.isolator = isolator
        self.airlocks = airlocks
        self.announced = Announced()
        self.failed: list[str] = []
        self.image = "a"
        self.limits = limits
        self.room = ROOM
        """What is left on the disk."""

    async def __aenter__(self) -> Self:
        self.tasks = await Tasks("core", on_failure=self._note).__aenter__()
        self.slots = Slots(
            isolator=self.isolator,
            airlocks=self.airlocks,
            rootfs=self._rootfs,
            audit=self.store.audit,
            meters=self.announced,
            clock=SystemClock(),
            tasks=self.tasks,
            freeze_after_s=FREEZE_AFTER_S,
        )
        self.rooms = Rooms(most_bytes=self.limits.context_bytes)
        self.sessions = Sessions(
            SessionParts(
                ledger=self.store.ledger,
                registry=self.store.registry,
                custodian=self.store.custodian,
                isolator=self.isolator,
                slots=self.slots,
                receipts=self.store.receipts,
                models=ModelService(Providers({"scripted": Scripted()})),
                announce=self.announced,
                meters=self.announced,
                clock=SystemClock(),
                guard=DiskGuard(
                    isolator=self.isolator,
                    airlocks=self.airlocks,
                    caps=Caps(),
                    roots=(),
                    clock=SystemClock(),
                    tasks=self.tasks,
                    look=lambda: (self.room,),
                ),
                limits=self.limits,
                rooms=self.rooms,
            ),
            self.tasks,
        )
        self.rooms.watch(self.sessions.resize)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.sessions.close()
        await self.slots.close()
        await self.tasks.cancel()

    async def die(self) -> None:
        """End as by kill -9: boxes run on, airlocks end, nothing is said to anybody."""
        self.isolator.is_core_dead = True
        self.sessions._closed = True
        await self.tasks.cancel()
        self.isolator.is_core_dead = False
        for link in self.airlocks.links:
            link.die()

    def _note(self, name: str, error: BaseException) -> None:
        self.failed.append(f"{name}: {error!r}")

    def _rootfs(self) -> Rootfs:
        return Rootfs(f"sha256:{self.image * 64}", self.isolator._root / "rootfs")

    # --- what tests ask ---------------------------------------------------------------------------

    def box(self, number: int = -1) -> FakeBox:
        """The box of the newest airlock, or of an older one."""
        return self.airlocks.links[number].box

    def link(self, number: int = -1) -> FakeLink:
        return self.airlocks.links[number]

    def slot(self, number: int = -1) -> SlotId:
        return self.isolator.launches[number].dir.slot

    async def hear(self, talk: Conversation, text: str) -> Message:
        """Accept a message and wake its session, as the router does."""
        message = (await talk.hear(text)).message
        self.sessions.wake(talk.session, message)
        return message

    async def replies(self, chat: ChatId) -> list[str]:
        """Everything said in a chat but by people, oldest first."""
        events = await self.store.chatlog.chat_events(chat, after=0)
        return [event.text for event in events if event.kind in {"reply", "error"}]

    async def codes(self, chat: ChatId) -> list[str]:
        """The codes of what was said in a chat but by people; empty for replies."""
        events = await self.store.chatlog.chat_events(chat, after=0)
        return [event.code for event in events if event.kind in {"reply", "error"}]

    async def answered(self, talk: Conversation, count: int) -> list[str]:
        """Wait until so many things were said."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self.announced.bell.clear()
                if len(said := await self.replies(talk.chat.id)) >= count:
                    return said
                await self.announced.bell.wait()


OpenCore = Callable[..., Awaitable[Core]]
