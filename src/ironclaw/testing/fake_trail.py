"""An audit in memory for tests of the edges."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.audit import Story, mentions
from ironclaw.domain.audit_chain import GENESIS, Checkpoint, chained

if TYPE_CHECKING:
    from ironclaw.domain.audit import AuditEntry, AuditRecord, By

NOW_MS = 1_800_000_000_000


class FakeTrail:
    """Implements `ironclaw.services.trail.Trail`."""

    degraded: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.noted: list[AuditEntry] = []
        self.rotated: tuple[int, str] | None = None
        self.signed = 0
        self.boom: Exception | None = None
        """Raised by `append` when set."""

    async def append(self, entry: AuditEntry, by: By) -> None:
        """Put a record into the chain."""
        if self.boom is not None:
            raise self.boom
        last = self.records[-1] if self.records else None
        record, _line = chained(
            entry,
            by,
            number=len(self.records) + 1,
            at_ms=NOW_MS,
            previous=GENESIS if last is None else last.hash,
        )
        self.records.append(record)

    def note(self, entry: AuditEntry) -> None:
        """Note it."""
        self.noted.append(entry)

    async def tail(self, *, limit: int, before: int | None) -> list[AuditRecord]:
        """The newest ones."""
        end = len(self.records) if before is None else max(0, before - 1)
        return self.records[:end][-limit:]

    async def record(self, number: int) -> AuditRecord:
        """One of them."""
        if not 0 < number <= len(self.records):
            raise UserError(Code.NOT_FOUND, "There is no such record.", hint="Look at the tail.")
        return self.records[number - 1]

    async def why(self, ref: str, *, limit: int) -> Story:
        """Those that name it."""
        found = [one for one in self.records if mentions(one, frozenset([ref]))]
        return Story("other", found[-limit:])

    async def sign(self) -> Checkpoint | None:
        """A checkpoint over the newest record, of a signature nobody checks."""
        last = self.records[-1] if self.records else None
        if last is None or last.number == self.signed:
            return None
        self.signed = last.number
        return Checkpoint(
            index=1,
            number=last.number,
            hash=last.hash,
            at_ms=NOW_MS,
            keyid="sha256:" + "0" * 64,
            sig=base64.b64encode(bytes(64)).decode(),
        )

    async def rotate(self, *, through: int, digest: str, by: By) -> AuditRecord:
        """Note it."""
        del by
        self.rotated = (through, digest)
        return await self.record(through)
