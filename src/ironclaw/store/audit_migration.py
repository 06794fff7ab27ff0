"""The step that makes a chain of the audit of before: its records keep their numbers and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.audit_chain import GENESIS, chained

if TYPE_CHECKING:
    import apsw

_TABLES: Final = """
CREATE TABLE audit (
  n INTEGER PRIMARY KEY,
  line TEXT NOT NULL
) STRICT;
CREATE TABLE audit_checkpoint (
  idx INTEGER PRIMARY KEY,
  number INTEGER NOT NULL,
  line TEXT NOT NULL
) STRICT;
CREATE INDEX audit_checkpoint_number ON audit_checkpoint (number);
-- Records up to here may be removed: a rotation has exported them.
CREATE TABLE audit_floor (number INTEGER NOT NULL) STRICT;
INSERT INTO audit_floor VALUES (0);
"""

_TRIGGERS: Final = """
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
WHEN OLD.n > (SELECT max(number) FROM audit_floor)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- REPLACE removes a row without asking the trigger above; a gap could never be closed again.
CREATE TRIGGER audit_is_only_continued BEFORE INSERT ON audit
WHEN NEW.n <> 1 + ifnull((SELECT max(n) FROM audit), 0)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;

CREATE TRIGGER audit_checkpoint_is_not_changed BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only'); END;
CREATE TRIGGER audit_checkpoint_is_not_cut BEFORE DELETE ON audit_checkpoint
WHEN OLD.number > (SELECT max(number) FROM audit_floor)
BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only'); END;
CREATE TRIGGER audit_checkpoint_is_only_continued BEFORE INSERT ON audit_checkpoint
WHEN NEW.idx <> 1 + ifnull((SELECT max(idx) FROM audit_checkpoint), 0)
BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only'); END;

CREATE TRIGGER audit_floor_only_rises BEFORE UPDATE ON audit_floor
WHEN NEW.number < OLD.number
  OR NOT EXISTS (SELECT 1 FROM audit_checkpoint WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'only what a checkpoint is over can be rotated'); END;
CREATE TRIGGER audit_floor_stays BEFORE DELETE ON audit_floor
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_floor_is_one BEFORE INSERT ON audit_floor
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
"""


def chain_the_audit(db: apsw.Connection) -> None:
    """Replace the table of before by a chain of the same records, in a transaction."""
    before = list(
        db.execute(
            "SELECT n, at_ms, event, agent, session, slot, epoch, code, words FROM audit ORDER BY n"
        )
    )
    db.execute("DROP TABLE audit", can_cache=False)
    db.execute(_TABLES, can_cache=False)
    previous = GENESIS
    # A rowid that was skipped by a transaction that failed would look like a cut.
    for number, row in enumerate(before, start=1):
        _, at_ms, event, agent, session, slot, epoch, code, words = row
        entry = AuditEntry(
            event=AuditEvent(event),
            agent=agent,
            session=session,
            slot=slot,
            epoch=epoch,
            code=code,
            words=msgspec.json.decode(words, type=tuple[str, ...]),
        )
        record, line = chained(entry, CORE, number=number, at_ms=at_ms, previous=previous)
        previous = record.hash
        db.execute("INSERT INTO audit VALUES (?, ?)", (number, line.decode()))
    db.execute(_TRIGGERS, can_cache=False)
