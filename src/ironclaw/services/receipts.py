"""Binds proven launches to sessions: signs and keeps the receipt before a key is handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ironclaw.domain.receipts import seal
from ironclaw.domain.statement import state

if TYPE_CHECKING:
    from ironclaw.core.clock import Clock
    from ironclaw.domain.model import Session
    from ironclaw.domain.receipts import Signer
    from ironclaw.domain.statement import Receipt, Sealed


class ReceiptStore(Protocol):
    """Where receipts are kept with their sessions."""

    async def save_receipt(self, sealed: Sealed) -> None:
        """Keep a receipt and say so in the audit, both or none, durable on return."""
        ...


class ReceiptCopies(Protocol):
    """Where receipts are kept for when no daemon runs."""

    async def keep(self, sealed: Sealed) -> None:
        """Keep a receipt, whole or not at all."""
        ...


class Receipts:
    """Signs and keeps.

    Args:
        signer: Who signs.
        store: Where the receipt counts.
        copies: Where it is read from while no daemon runs.
        clock: When it was bound.
    """

    def __init__(
        self, *, signer: Signer, store: ReceiptStore, copies: ReceiptCopies, clock: Clock
    ) -> None:
        self._signer = signer
        self._store = store
        self._copies = copies
        self._clock = clock

    async def bind(self, session: Session, receipt: Receipt) -> None:
        """Sign the receipt of a launch for this life of this session; durable on return.

        Raises:
            HostError: It cannot be kept: the session must not get its key.
        """
        sealed = seal(state(receipt, session, bound_ms=self._clock.now_ms()), self._signer)
        # The copy first: only what is in the store makes a box one that is adopted.
        await self._copies.keep(sealed)
        await self._store.save_receipt(sealed)
