"""The audit: a chain that only grows at its end, and is cut at its front only by a rotation.

`append` is the one place that adds a record, in the transaction of what the record tells of. Its
hash covers all of it and the hash of the record before; `AuditRows.checkpoint` signs the head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.audit_chain import GENESIS, chained, line_of, parse, sign
from ironclaw.domain.audit_check import Break
from ironclaw.store import audit_related
from ironclaw.store.audit_related import as_record
from ironclaw.store.audit_walk import newest_checkpoint, walk_unsigned

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.domain.audit import AuditRecord, By, Story
    from ironclaw.domain.audit_chain import AuditSigner, Checkpoint
    from ironclaw.store.engine import Store

TABLE: Final = "audit"
_NEWEST: Final = "SELECT line FROM audit ORDER BY n DESC LIMIT 1"
_DAEMON: Final = (
    'SELECT line FROM audit WHERE instr(line, \'"event":"daemon.\') ORDER BY n DESC LIMIT 1'
)


def append(db: apsw.Connection, entry: AuditEntry, *, at_ms: int, by: By = CORE) -> AuditRecord:
    """Add an entry in the transaction of what it tells of, so that both happen or none.

    Raises:
        ValueError: A field does not belong to the event, or does not fit: our mistake.
        PolicyError: `AUDIT_INVALID`: the newest record cannot be read, so nothing can follow it.
    """
    row = db.execute(_NEWEST).fetchone()
    newest = None if row is None else as_record(row[0])
    record, line = chained(
        entry,
        by,
        number=1 if newest is None else newest.number + 1,
        at_ms=at_ms,
        previous=GENESIS if newest is None else newest.hash,
    )
    db.execute("INSERT INTO audit (n, line) VALUES (?, ?)", (record.number, line.decode()))
    return record


class AuditRows:
    """Implements `ports.Audit` and the store's side of `services.auditing`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def append(self, *entries: AuditEntry, by: By = CORE) -> None:
        """Add entries, durable on return. Raises HostError."""
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> None:
            for entry in entries:
                append(db, entry, at_ms=now, by=by)

        await self._store.write(work)

    async def tail(self, *, limit: int, before: int | None = None) -> list[AuditRecord]:
        """The newest `limit` records before that number, oldest first. Raises HostError."""
        rows = await self._store.read(
            lambda db: list(
                db.execute(
                    "SELECT line FROM audit WHERE ?1 IS NULL OR n < ?1 ORDER BY n DESC LIMIT ?2",
                    (before, limit),
                )
            )
        )
        return [as_record(line) for (line,) in reversed(rows)]

    async def record(self, number: int) -> AuditRecord:
        """One record. Raises UserError (`NOT_FOUND`), HostError."""
        row = await self._store.read(
            lambda db: db.execute("SELECT line FROM audit WHERE n = ?", (number,)).fetchone()
        )
        if row is None:
            raise no_record(number)
        return as_record(row[0])

    async def last_of_daemon(self) -> AuditEvent | None:
        """The newest `daemon.started` or `daemon.stopped`. Raises HostError."""
        row = await self._store.read(lambda db: db.execute(_DAEMON).fetchone())
        return None if row is None else as_record(row[0]).event

    async def story(self, ref: str, *, limit: int) -> Story:
        """The newest records that tell of an id, oldest first. Raises HostError."""
        return await self._store.read(lambda db: audit_related.story(db, ref, limit=limit))

    # --- checkpoints ------------------------------------------------------------------------------

    async def newest_checkpoint(self) -> Checkpoint | None:
        """The newest one. Raises HostError."""
        return await self._store.read(newest_checkpoint)

    async def has_checkpoint(self, one: Checkpoint) -> bool:
        """Whether this very checkpoint is in the store. Raises HostError."""
        row = await self._store.read(
            lambda db: db.execute(
                "SELECT line FROM audit_checkpoint WHERE idx = ?", (one.index,)
            ).fetchone()
        )
        return row is not None and parse(row[0].encode()) == one

    async def checkpoint(self, signer: AuditSigner) -> Checkpoint | Break | None:
        """Sign the head of the chain, durable on return; None when it is signed already.

        What is new since the newest checkpoint is checked first: a chain that does not hold is
        never signed.

        Raises:
            HostError: From the store.
        """
        now = self._clock.now_ms()

        def work(db: apsw.Connection) -> Checkpoint | Break | None:
            found = walk_unsigned(db, signer.public_key)
            if isinstance(found, Break):
                return found
            if not found.records:
                return None
            before = found.last_checkpoint
            one = sign(
                signer,
                index=1 if before is None else before.index + 1,
                number=found.last,
                head=found.head,
                at_ms=now,
            )
            db.execute(
                "INSERT INTO audit_checkpoint (idx, number, line) VALUES (?, ?, ?)",
                (one.index, one.number, line_of(one).decode()),
            )
            return one

        return await self._store.write(work)

    async def rotate(self, *, through: int, digest: str, by: By) -> AuditRecord:
        """Remove all records up to one that a checkpoint is over; the audit says so.

        Raises:
            UserError: `INVALID`: no checkpoint is over that record.
            HostError: From the store.
        """
        now = self._clock.now_ms()
        entry = AuditEntry(event=AuditEvent.AUDIT_ROTATED, through=through, digest=digest)

        def work(db: apsw.Connection) -> AuditRecord:
            row = db.execute(
                "SELECT max(idx) FROM audit_checkpoint WHERE number = ?", (through,)
            ).fetchone()
            there = db.execute("SELECT 1 FROM audit WHERE n = ?", (through,)).fetchone()
            if row is None or row[0] is None or there is None:
                raise UserError(
                    Code.INVALID,
                    f"No checkpoint is over record {through}.",
                    hint="`ironclaw audit export FILE` says through which record a file goes.",
                )
            record = append(db, entry, at_ms=now, by=by)
            db.execute("UPDATE audit_floor SET number = ?", (through,))
            db.execute("DELETE FROM audit WHERE n <= ?", (through,))
            db.execute("DELETE FROM audit_checkpoint WHERE idx < ?", (row[0],))
            return record

        return await self._store.write(work)


def no_record(number: int) -> UserError:
    """There is none of that number."""
    return UserError(
        Code.NOT_FOUND,
        f"The audit has no record {number}.",
        hint="`ironclaw audit tail` shows the newest. Rotated ones are in their exported files.",
    )
