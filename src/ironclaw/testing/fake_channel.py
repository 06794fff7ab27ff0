"""A channel that keeps what it was given and fails when it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ironclaw.domain.model import Event

if TYPE_CHECKING:
    from ironclaw.core.errors import IronClawError
    from ironclaw.core.ids import DeliveryId
    from ironclaw.domain.channels import FileBytes
    from ironclaw.domain.model import Chat, Delivery


class FakeChannel:
    """Implements `domain.channels.Channel`; the same id twice is one message."""

    def __init__(self, name: str = "fake", *, files: FileBytes | None = None) -> None:
        self.name = name
        self._files = files
        self.received: dict[str, bytes] = {}
        """Files that people got, by id."""
        self.shown: dict[DeliveryId, Delivery] = {}
        """What people see, in order."""
        self.calls: list[DeliveryId] = []
        """Every attempt."""
        self.failures: dict[str, list[IronClawError]] = {}
        """By text: what the next attempts raise."""
        self.hang: set[str] = set()
        """Texts whose delivery never returns."""
        self.seen_doing: list[tuple[str, str | None, str]] = []
        """What agents were at, and where."""

    async def deliver(self, delivery: Delivery) -> str:
        """Keep it, or fail as told."""
        self.calls.append(delivery.id)
        if delivery.text in self.hang:
            await asyncio.Event().wait()
        if failures := self.failures.get(delivery.text):
            raise failures.pop(0)
        if self._files is not None:
            for file in delivery.files:
                data = [part async for part in self._files.read(file)]
                self.received[file.id] = b"".join(data)
        self.shown.setdefault(delivery.id, delivery)
        return f"fake-{delivery.id}"

    async def doing(self, chat: Chat, thread: str | None, text: str) -> None:
        """Keep it."""
        if text in self.hang:
            await asyncio.Event().wait()
        self.seen_doing.append((chat.platform_id, thread, text))

    @property
    def texts(self) -> list[str]:
        """What people see, in order."""
        return [delivery.text for delivery in self.shown.values()]


class NarrowChannel(FakeChannel):
    """One whose messages are short."""

    def __init__(self, name: str = "narrow", *, max_chars: int = 20) -> None:
        super().__init__(name)
        self.max_chars = max_chars


class ButtonChannel(FakeChannel):
    """One that shows options as buttons."""

    shows_options = True

    def press(self, delivery: Delivery, option: str, *, handle: str) -> Event:
        """What it hears when somebody presses one of them: sent twice, it is one press."""
        return Event(
            channel=self.name,
            platform_id=delivery.platform_id,
            handle=handle,
            sender=handle.title(),
            text=option,
            external_id=f"press-{delivery.id}-{handle}-{option}",
            thread=delivery.thread,
            question=delivery.question,
        )
