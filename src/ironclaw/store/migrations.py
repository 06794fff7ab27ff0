"""The schema, as numbered steps that are applied once each, in order, in one transaction each.

`PRAGMA user_version` holds the number of the last step. A step is never edited after it has been
released: add another one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.store.audit_migration import chain_the_audit
from ironclaw.store.gateway_migration import GATEWAY, OVERTAKEN
from ironclaw.store.talk_migration import TALK

if TYPE_CHECKING:
    from pathlib import Path

    import apsw

_FIRST: Final = """
CREATE TABLE agent (
  lane INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  archived INTEGER NOT NULL DEFAULT 0,
  body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX agent_name ON agent (name) WHERE archived = 0;

CREATE TABLE chat (
  id TEXT PRIMARY KEY,
  channel TEXT NOT NULL,
  platform_id TEXT NOT NULL,
  title TEXT NOT NULL,
  unknown_sender TEXT NOT NULL,
  last_event INTEGER NOT NULL DEFAULT 0,
  UNIQUE (channel, platform_id)
) STRICT;

CREATE TABLE wiring (
  id TEXT PRIMARY KEY,
  chat TEXT NOT NULL REFERENCES chat (id),
  agent TEXT NOT NULL REFERENCES agent (id),
  engage TEXT NOT NULL,
  pattern TEXT NOT NULL,
  sender_scope TEXT NOT NULL,
  ignored TEXT NOT NULL,
  partition TEXT NOT NULL,
  priority INTEGER NOT NULL
) STRICT;
CREATE INDEX wiring_chat ON wiring (chat, priority DESC, id);

CREATE TABLE standing (
  principal TEXT NOT NULL,
  role TEXT NOT NULL,
  agent TEXT NOT NULL,
  PRIMARY KEY (principal, role, agent)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
  id TEXT PRIMARY KEY,
  place TEXT UNIQUE,
  agent TEXT NOT NULL REFERENCES agent (id),
  chat TEXT,
  thread TEXT,
  partition TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'active',
  reason TEXT NOT NULL DEFAULT '',
  epoch INTEGER NOT NULL DEFAULT 0,
  out_seq INTEGER NOT NULL DEFAULT 0,
  out_hash BLOB NOT NULL DEFAULT x'',
  created_ms INTEGER NOT NULL,
  active_ms INTEGER NOT NULL,
  workspace TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE session_key (
  session TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sticky (
  wiring TEXT NOT NULL,
  thread TEXT NOT NULL,
  PRIMARY KEY (wiring, thread)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  session TEXT NOT NULL REFERENCES session (id),
  chat TEXT NOT NULL,
  thread TEXT,
  external_id TEXT NOT NULL,
  event INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  at_ms INTEGER NOT NULL,
  engage INTEGER NOT NULL,
  status TEXT NOT NULL,
  open INTEGER NOT NULL DEFAULT 1,
  turn TEXT,
  next_index INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX message_once ON message (session, chat, external_id);
CREATE INDEX message_open ON message (session, n) WHERE open = 1;
CREATE INDEX message_turn ON message (turn, n) WHERE turn IS NOT NULL;
CREATE INDEX message_session ON message (session, n);

CREATE TABLE step (
  turn TEXT NOT NULL,
  idx INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (turn, idx)
) STRICT;

CREATE TABLE delivery (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  session TEXT NOT NULL REFERENCES session (id),
  message TEXT NOT NULL,
  chat TEXT NOT NULL REFERENCES chat (id),
  thread TEXT,
  sealed BLOB NOT NULL,
  at_ms INTEGER NOT NULL,
  is_error INTEGER NOT NULL,
  status TEXT NOT NULL DEFAULT 'due',
  tries INTEGER NOT NULL DEFAULT 0,
  next_ms INTEGER NOT NULL,
  error TEXT NOT NULL DEFAULT '',
  event INTEGER NOT NULL,
  delivered_as TEXT
) STRICT;
CREATE INDEX delivery_due ON delivery (n) WHERE status = 'due';
CREATE INDEX delivery_lane ON delivery (chat, ifnull(thread, ''), n) WHERE status = 'due';
CREATE INDEX delivery_dead ON delivery (n) WHERE status = 'dead';

CREATE TABLE event (
  chat TEXT NOT NULL,
  id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  message TEXT NOT NULL,
  delivery TEXT,
  session TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (chat, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_session ON event (session, at_ms);

CREATE TABLE refusal (
  channel TEXT NOT NULL,
  platform_id TEXT NOT NULL,
  handle TEXT NOT NULL,
  reason TEXT NOT NULL,
  times INTEGER NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL,
  PRIMARY KEY (channel, platform_id, handle, reason)
) STRICT, WITHOUT ROWID;
CREATE INDEX refusal_last ON refusal (last_ms);

CREATE TABLE receipt (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  session TEXT NOT NULL REFERENCES session (id),
  slot TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE INDEX receipt_session ON receipt (session, n);
CREATE INDEX receipt_slot ON receipt (slot);
"""

_SIGNED_RECEIPTS: Final = """
-- Receipts of before were not signed. Without one nobody adopts a box that runs on over the change:
-- its session goes on in a fresh one, whose launch is proven and signed.
DROP TABLE receipt;
CREATE TABLE receipt (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  session TEXT NOT NULL REFERENCES session (id),
  slot TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  envelope BLOB NOT NULL
) STRICT;
CREATE INDEX receipt_session ON receipt (session, n);
CREATE INDEX receipt_slot ON receipt (slot);

CREATE TABLE audit (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  event TEXT NOT NULL,
  agent TEXT,
  session TEXT,
  slot TEXT,
  epoch INTEGER,
  code TEXT NOT NULL,
  words TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
-- REPLACE removes a row without asking the trigger above.
CREATE TRIGGER audit_is_not_replaced BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE n = NEW.n)
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
"""

_FAILURE_CODES: Final = """
ALTER TABLE delivery ADD COLUMN code TEXT NOT NULL DEFAULT '';
UPDATE delivery SET code = 'box_broken' WHERE is_error = 1;
"""

_COMMANDS: Final = """
-- What the host says is not always a failure: who says it has a column of its own.
ALTER TABLE delivery ADD COLUMN by_host INTEGER NOT NULL DEFAULT 0;
UPDATE delivery SET by_host = 1 WHERE is_error = 1;
CREATE INDEX message_handled ON message (chat, external_id) WHERE status = 'handled';
CREATE INDEX session_where ON session (agent, ifnull(chat, ''), ifnull(thread, ''), created_ms);
"""

_SAID: Final = """
-- Words are said within a turn as well, and not only files sent.
UPDATE event SET kind = 'said' WHERE kind = 'file';
-- Of what the host said into conversations by itself: few, and looked for in all their chats.
CREATE INDEX message_by_host ON message (session, external_id)
  WHERE substr(external_id, 1, 1) = char(10);
-- Usage of all agents together, from a day on.
CREATE INDEX spent_by_day ON spent (day);
"""

Step = str | Callable[["apsw.Connection"], None]
"""Statements, or what runs them; in a transaction either way."""

MIGRATIONS: Final[tuple[Step, ...]] = (
    _FIRST,
    _SIGNED_RECEIPTS,
    _FAILURE_CODES,
    chain_the_audit,
    GATEWAY,
    _COMMANDS,
    TALK,
    _SAID,
    OVERTAKEN,
)
"""Step n brings the schema from version n to n + 1."""


def migrate(db: apsw.Connection, path: Path) -> None:
    """Bring the schema up to date.

    Raises:
        HostError: `STORE_FAILED`, when a newer IronClaw has written this store.
        apsw.Error: SQLite refused a step; that step left nothing behind.
    """
    version = int(db.pragma("user_version"))
    if version > len(MIGRATIONS):
        raise HostError(
            Code.STORE_FAILED,
            f"The store {path} was written by a newer IronClaw (schema {version}, "
            f"this one knows {len(MIGRATIONS)}).",
            hint="Start the newer version again, or put back a backup made by this one.",
        )
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        db.execute("BEGIN EXCLUSIVE")
        try:
            if isinstance(step, str):
                db.execute(step, can_cache=False)
            else:
                step(db)
            db.execute(f"PRAGMA user_version = {number}", can_cache=False)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
