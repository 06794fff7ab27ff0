"""Audits for tests: chains in memory as an exported file has them, and a live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.audit_chain import FORMAT, GENESIS, Header, chained, line_of, sign
from ironclaw.domain.audit_kinds import KINDS
from ironclaw.keys.signer import AuditSigner
from ironclaw.services.auditing import Auditing
from ironclaw.store.audit_head import HeadFile
from ironclaw.testing.receipts import TestSigner

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.audit import AuditRecord, By
    from ironclaw.testing.fakes_store import CoreStore

NOW_MS = 1_800_000_000_000
SAMPLES: dict[str, object] = {
    "agent": "agt_a", "session": "ses_a", "slot": "slt_a", "epoch": 2,
    "receipt": "sha256:" + "a" * 64, "message": "msg_a", "delivery": "dlv_a", "chat": "cht_a",
    "wiring": "wir_a", "token": "tok_a", "principal": "api:ann", "role": "member",
    "name": "helper", "channel": "api", "source": "127.0.0.1", "reason": "not_wired",
    "version": "0.1.0", "count": 3, "through": 9, "digest": "sha256:" + "b" * 64,
    "code": "posture_failed", "words": ("inside.seccomp",), "change": "chg_a", "grant": "grn_a",
    "task": "tsk_a", "question": "qst_a", "kind": "mount.add", "person": "mail:ann@example.org",
}  # fmt: skip
"""A value of every field that an event can have."""


def sample(event: AuditEvent) -> AuditEntry:
    """An entry with every field of its event."""
    kind = KINDS[event]
    fields = {name: SAMPLES[name] for name in (*kind.must, *kind.may)}
    return msgspec.convert({"event": event.value, **fields}, AuditEntry)


def recorded(entry: AuditEntry, by: By = CORE) -> AuditRecord:
    """An entry as the first record of a chain."""
    return chained(entry, by, number=1, at_ms=1, previous=GENESIS)[0]


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
