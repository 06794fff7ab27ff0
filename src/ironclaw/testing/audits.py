"""Audits for tests: chains in memory as an exported file has them, and a live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.audit_chain import FORMAT, GENESIS, Header, chained, line_of, sign
from ironclaw.keys.signer import AuditSigner
from ironclaw.services.auditing import Auditing
from ironclaw.store.audit_head import HeadFile
from ironclaw.testing.receipts import TestSigner

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fakes_store import CoreStore

NOW_MS = 1_800_000_000_000


def entry(number: int) -> AuditEntry:
    """Something that could have happened."""
    return AuditEntry(
        event=AuditEvent.LAUNCH_REFUSED, agent=f"agt_{number}", slot=f"slt_{number}", code="x"
    )


def exported(
    records: int, *, every: int = 3, signer: TestSigner | None = None, fork_at: int = 0
) -> list[bytes]:
    """The lines of a whole exported file, its last record signed.

    Args:
        records: How many.
        every: Records between checkpoints.
        signer: Whose key signs.
        fork_at: From this record on another story is told; 0: never.
    """
    signer = signer or TestSigner()
    lines = [line_of(Header(format=FORMAT, first=1, through=records))]
    previous, index = GENESIS, 0
    for number in range(1, records + 1):
        told = entry(number + 1_000 if fork_at and number >= fork_at else number)
        record, line = chained(told, CORE, number=number, at_ms=NOW_MS + number, previous=previous)
        previous = record.hash
        lines.append(line)
        if number % every == 0 or number == records:
            index += 1
            one = sign(signer, index=index, number=number, head=previous, at_ms=NOW_MS + number)
            lines.append(line_of(one))
    return lines


def auditing_of(core: CoreStore, directory: Path, *, count: int = 64) -> Auditing:
    """The audit of a store, with its newest checkpoint kept below `directory`."""
    return Auditing(
        rows=core.audit,
        head=HeadFile(directory / "audit-head.json"),
        signer=AuditSigner(core.ring),
        count=count,
    )
