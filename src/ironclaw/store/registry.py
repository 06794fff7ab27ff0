"""The registry: everything people have set up, and the sessions that came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.store.agent_rows import AgentRows
from ironclaw.store.receipt_rows import ReceiptRows
from ironclaw.store.session_rows import SessionRows
from ironclaw.store.standing_rows import StandingRows
from ironclaw.store.wiring_rows import WiringRows

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store


class Registry(AgentRows, WiringRows, StandingRows, SessionRows, ReceiptRows):
    """Agents, chats, wirings, standings, sessions, receipts: one memory, emptied by each change."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
