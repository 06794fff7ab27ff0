"""The ports of chat platforms, as Protocols. `ironclaw.channels` implements them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.domain.model import Chat, Delivery
    from ironclaw_contract.entries import File


class FileBytes(Protocol):
    """Where a channel reads the files of a delivery: `services.files.Files`."""

    def read(self, file: File) -> AsyncIterator[bytes]:
        """The bytes of one, part by part. Raises UserError (`NOT_FOUND`), HostError."""
        ...


class Channel(Protocol):
    """One chat platform."""

    name: str

    async def deliver(self, delivery: Delivery) -> str:
        """Hand over one delivery; return the platform's id of it. Same id twice = one message.

        Raises:
            HostError: It failed but may work later.
            UserError, PolicyError: It will never work.
        """
        ...


@runtime_checkable
class Lively(Protocol):
    """A channel that can show what an agent is at."""

    async def doing(self, chat: Chat, thread: str | None, text: str) -> None:
        """Show a few words until the next ones, or the reply. May raise as `deliver` does."""
        ...
