"""The audit: a table that only grows. Its own triggers refuse to change or remove a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ironclaw.domain.audit import AuditEvent, AuditRecord

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.domain.audit import AuditEntry
    from ironclaw.store.engine import Store


def append(db: apsw.Connection, entry: AuditEntry, *, at_ms: int) -> None:
    """Add an entry in the transaction of what it tells of, so that both happen or none."""
    db.execute(
        "INSERT INTO audit (at_ms, event, agent, session, slot, epoch, code, words)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            at_ms, entry.event.value, entry.agent, entry.session, entry.slot, entry.epoch,
            entry.code, msgspec.json.encode(entry.words).decode(),
        ),
    )  # fmt: skip


class AuditRows:
    """Implements `ports.Audit`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def append(self, entry: AuditEntry) -> None:
        """Add an entry, durable on return. Raises HostError."""
        now = self._clock.now_ms()
        await self._store.write(lambda db: append(db, entry, at_ms=now))

    async def tail(self, *, limit: int) -> list[AuditRecord]:
        """The newest `limit` records, oldest first. Raises HostError."""
        rows = await self._store.read(
            lambda db: list(
                db.execute(
                    "SELECT n, at_ms, event, agent, session, slot, epoch, code, words FROM audit"
                    " ORDER BY n DESC LIMIT ?",
                    (limit,),
                )
            )
        )
        return [_record(*row) for row in reversed(rows)]


def _record(  # noqa: PLR0917 - the columns, in their order
    number: int,
    at_ms: int,
    event: str,
    agent: str | None,
    session: str | None,
    slot: str | None,
    epoch: int | None,
    code: str,
    words: str,
) -> AuditRecord:
    return AuditRecord(
        number=number,
        at_ms=at_ms,
        event=AuditEvent(event),
        agent=agent,
        session=session,
        slot=slot,
        epoch=epoch,
        code=code,
        words=msgspec.json.decode(words, type=tuple[str, ...]),
    )
