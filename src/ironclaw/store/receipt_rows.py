"""Receipts: the signed proofs of launches, by session and slot."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.receipts import KEPT, shown
from ironclaw.store.audit_rows import append
from ironclaw.store.rows import Rows
from ironclaw.store.session_rows import SESSION, as_session

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.ids import SessionId, SlotId
    from ironclaw.domain.model import Session
    from ironclaw.domain.statement import Sealed, SignedReceipt

_OF_SLOT: Final = (
    f"{SESSION} WHERE id = (SELECT r.session FROM receipt r WHERE r.slot = ? AND r.n = "  # noqa: S608 - constants only
    "(SELECT max(n) FROM receipt WHERE session = r.session) ORDER BY r.n DESC LIMIT 1)"
)


class ReceiptRows(Rows):
    """The table of receipts."""

    async def save_receipt(self, sealed: Sealed) -> None:
        """Keep the proof of a launch and say so in the audit, both or none, durable on return.

        Raises:
            HostError: From the store.
        """
        about = sealed.statement
        now = self._clock.now_ms()
        entry = AuditEntry(
            event=AuditEvent.LAUNCH_PROVEN,
            agent=about.agent,
            session=about.session,
            slot=about.slot,
            epoch=about.epoch,
            receipt=f"sha256:{hashlib.sha256(sealed.envelope).hexdigest()}",
        )

        def work(db: apsw.Connection) -> None:
            db.execute(
                "INSERT INTO receipt (session, slot, epoch, envelope) VALUES (?, ?, ?, ?)",
                (about.session, about.slot, about.epoch, sealed.envelope),
            )
            db.execute(
                "DELETE FROM receipt WHERE session = ?1 AND n NOT IN (SELECT n FROM receipt"
                " WHERE session = ?1 ORDER BY n DESC LIMIT ?2)",
                (about.session, KEPT),
            )
            append(db, entry, at_ms=now)

        await self._store.write(work)

    async def receipt(self, session: SessionId) -> SignedReceipt:
        """The newest receipt of a session. Raises UserError (`NOT_FOUND`), HostError."""
        row = await self._store.read(
            lambda db: db.execute(
                "SELECT envelope FROM receipt WHERE session = ? ORDER BY n DESC LIMIT 1", (session,)
            ).fetchone()
        )
        if row is None:
            raise UserError(
                Code.NOT_FOUND,
                f"Session {session[:80]!r} has no receipt.",
                hint="It gets one when its first box starts: send it a message.",
            )
        return shown(row[0])

    async def session_of_slot(self, slot: SlotId) -> Session | None:
        """The session whose newest receipt names this slot. Raises HostError."""
        row = await self._store.read(lambda db: db.execute(_OF_SLOT, (slot,)).fetchone())
        return None if row is None else as_session(*row)
