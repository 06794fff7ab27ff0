"""The `api` channel: replies are fetched by their readers, so a committed reply is a delivered one.

Delivering shows it to those who watch the chat now; everybody else reads it from the ledger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.domain.model import Delivery


class ApiChannel:
    """Implements `domain.channels.Channel` over the hub of live watchers."""

    name = "api"
    shows_options = True
    """In events: what follows them decides how."""

    def __init__(self, show: Callable[[Delivery], None]) -> None:
        self._show = show

    async def deliver(self, delivery: Delivery) -> str:
        """Show it to live watchers; a second time they drop it by its event id."""
        self._show(delivery)
        return delivery.id
