"""The registry: everything people have set up, and the sessions that came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.store.agent_rows import AgentRows
from ironclaw.store.change_rows import ChangeRows
from ironclaw.store.receipt_rows import ReceiptRows
from ironclaw.store.wiring_rows import WiringRows

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store


class Registry(AgentRows, WiringRows, ChangeRows, ReceiptRows):
    """Agents, chats, wirings, standings, sessions, changes, receipts: each write empties memory."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
