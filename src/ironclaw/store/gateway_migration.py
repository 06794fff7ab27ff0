"""The step that makes room for the gateway: changes, grants, persons, tokens, tasks, the policy.

What was asked for and what was said to it can never be altered, and a change only moves along its
course: triggers see to that, whatever code writes. Each list that the gateway asks for has an
index of its own, so that nothing grows slower with the changes of years.
"""

from __future__ import annotations

from typing import Final

OPEN_STATUSES: Final = "('pending', 'approved', 'applied', 'failed')"
"""The statuses of `domain.change.OPEN`, as the partial index has them: a query that does not say
the very same does not use it."""

# failed > applied and pending > applied: approved and applied in one transaction.
_COURSE: Final = (
    "'pending>approved', 'pending>applied', 'pending>failed', 'pending>denied', 'pending>expired',"
    " 'pending>withdrawn', 'approved>applied', 'approved>failed', 'approved>withdrawn',"
    " 'applied>done', 'failed>approved', 'failed>applied', 'failed>withdrawn'"
)

_CHANGES: Final = """
CREATE TABLE change (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  topic TEXT NOT NULL,
  agent TEXT,
  asker TEXT NOT NULL,
  session TEXT,
  body TEXT NOT NULL,
  hash TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  atoms TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending',
  updated_ms INTEGER NOT NULL,
  escalated INTEGER NOT NULL DEFAULT 0,
  -- Grows by one over all that is applied; what was applied later has the higher one.
  applied INTEGER UNIQUE,
  before TEXT,
  -- Names of the state that it altered.
  altered TEXT NOT NULL DEFAULT '[]',
  code TEXT NOT NULL DEFAULT '',
  problem TEXT NOT NULL DEFAULT '',
  -- What was written and the running system has yet to be told of.
  unreached BLOB
) STRICT;
CREATE INDEX change_status ON change (status, n);
CREATE INDEX change_agent ON change (agent, status, n);
CREATE INDEX change_asker ON change (asker, status, n);
CREATE INDEX change_twin ON change (fingerprint, asker) WHERE status IN :open:;
CREATE INDEX change_expires ON change (expires_ms) WHERE status = 'pending';
CREATE INDEX change_escalates ON change (created_ms) WHERE status = 'pending' AND escalated = 0;
CREATE INDEX change_applied ON change (topic, agent, applied) WHERE applied IS NOT NULL;
CREATE INDEX change_unreached ON change (n) WHERE unreached IS NOT NULL;

CREATE TRIGGER change_begins_pending BEFORE INSERT ON change
WHEN NEW.status <> 'pending' OR EXISTS (SELECT 1 FROM change WHERE id = NEW.id OR n = NEW.n)
BEGIN SELECT RAISE(ABORT, 'a change begins pending, once'); END;
CREATE TRIGGER change_is_not_altered BEFORE UPDATE OF
  n, id, kind, topic, agent, asker, session, body, hash, fingerprint, atoms, created_ms, expires_ms
ON change
BEGIN SELECT RAISE(ABORT, 'another wish is another change'); END;
CREATE TRIGGER change_keeps_its_course BEFORE UPDATE OF status ON change
WHEN NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN (:course:)
BEGIN SELECT RAISE(ABORT, 'a change does not move that way'); END;
CREATE TRIGGER change_is_applied_once BEFORE UPDATE OF applied, before, altered ON change
WHEN OLD.applied IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a change is applied once'); END;
CREATE TRIGGER change_is_not_cut BEFORE DELETE ON change
BEGIN SELECT RAISE(ABORT, 'changes are kept'); END;

CREATE TABLE change_decision (
  change TEXT NOT NULL REFERENCES change (id),
  person TEXT NOT NULL,
  principal TEXT NOT NULL,
  approved INTEGER NOT NULL,
  hash TEXT NOT NULL,
  state TEXT NOT NULL,
  card INTEGER NOT NULL,
  proof TEXT,
  at_ms INTEGER NOT NULL,
  is_own INTEGER NOT NULL,
  words TEXT NOT NULL,
  PRIMARY KEY (change, person)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER change_decision_comes_in_time BEFORE INSERT ON change_decision
WHEN (SELECT status FROM change WHERE id = NEW.change) IS NOT 'pending'
  OR EXISTS (SELECT 1 FROM change_decision WHERE change = NEW.change AND person = NEW.person)
BEGIN SELECT RAISE(ABORT, 'a person decides once, while it is pending'); END;
CREATE TRIGGER change_decision_is_not_altered BEFORE UPDATE ON change_decision
BEGIN SELECT RAISE(ABORT, 'decisions are kept as they were made'); END;
CREATE TRIGGER change_decision_is_not_cut BEFORE DELETE ON change_decision
BEGIN SELECT RAISE(ABORT, 'decisions are kept as they were made'); END;

-- GRANT is a word of SQL.
CREATE TABLE grant_ (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  change TEXT NOT NULL UNIQUE REFERENCES change (id),
  kind TEXT NOT NULL,
  topic TEXT NOT NULL,
  agent TEXT,
  inverse TEXT,
  revocable INTEGER NOT NULL,
  given_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  ended_ms INTEGER,
  ended_why TEXT NOT NULL DEFAULT '',
  ended_by TEXT NOT NULL DEFAULT '',
  ended_words TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX grant_active ON grant_ (n) WHERE ended_ms IS NULL;
CREATE INDEX grant_agent ON grant_ (agent, n);
CREATE INDEX grant_agent_active ON grant_ (agent, n) WHERE ended_ms IS NULL;
CREATE INDEX grant_expires ON grant_ (expires_ms)
  WHERE ended_ms IS NULL AND expires_ms IS NOT NULL;
CREATE TRIGGER grant_is_not_altered BEFORE UPDATE OF
  n, id, change, kind, topic, agent, inverse, revocable, given_ms, expires_ms ON grant_
BEGIN SELECT RAISE(ABORT, 'a grant is as it was given'); END;
CREATE TRIGGER grant_ends_once BEFORE UPDATE ON grant_ WHEN OLD.ended_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a grant ends once'); END;
CREATE TRIGGER grant_is_not_cut BEFORE DELETE ON grant_
BEGIN SELECT RAISE(ABORT, 'grants are kept'); END;

CREATE TABLE denied_atom (
  atom TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  change TEXT NOT NULL REFERENCES change (id),
  PRIMARY KEY (atom, at_ms, change)
) STRICT, WITHOUT ROWID;

CREATE TABLE change_event (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  change TEXT NOT NULL REFERENCES change (id),
  kind TEXT NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT;

-- One row at most; none is the default policy.
CREATE TABLE policy (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  body TEXT NOT NULL
) STRICT;
"""

_PEOPLE: Final = """
-- Principals that are not a person of their own.
CREATE TABLE person (
  principal TEXT PRIMARY KEY,
  person TEXT NOT NULL CHECK (person <> principal)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_person ON person (person);
CREATE INDEX standing_role ON standing (role, agent);

CREATE TABLE token (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  scopes TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER,
  revoked_ms INTEGER,
  used_ms INTEGER
) STRICT;
CREATE INDEX token_principal ON token (principal);
CREATE TRIGGER token_is_not_altered BEFORE UPDATE OF
  n, id, name, principal, scopes, hash, created_ms, expires_ms ON token
BEGIN SELECT RAISE(ABORT, 'another right is another token'); END;
CREATE TRIGGER token_stays_revoked BEFORE UPDATE OF revoked_ms ON token
WHEN OLD.revoked_ms IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a token is revoked for good'); END;
CREATE TRIGGER token_is_not_cut BEFORE DELETE ON token
BEGIN SELECT RAISE(ABORT, 'the name of a token is never given out again'); END;
"""

_TASKS: Final = """
CREATE TABLE task (
  id TEXT PRIMARY KEY,
  agent TEXT NOT NULL REFERENCES agent (id),
  name TEXT NOT NULL,
  body BLOB NOT NULL,
  -- When it is due next; the scheduler fills it in, and it may be never.
  next_ms INTEGER,
  planned INTEGER NOT NULL DEFAULT 0,
  UNIQUE (agent, name)
) STRICT;
CREATE INDEX task_due ON task (next_ms) WHERE next_ms IS NOT NULL;
CREATE INDEX task_unplanned ON task (id) WHERE planned = 0;

CREATE TABLE task_run (
  task TEXT NOT NULL,
  due_ms INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  message TEXT,
  code TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (task, due_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
  agent TEXT NOT NULL,
  day INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  PRIMARY KEY (agent, day)
) STRICT, WITHOUT ROWID;
"""

_COURSE_TRIGGER: Final = """
CREATE TRIGGER change_keeps_its_course BEFORE UPDATE OF status ON change
WHEN NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) NOT IN (:course:)
BEGIN SELECT RAISE(ABORT, 'a change does not move that way'); END;
"""

GATEWAY: Final = (
    _CHANGES.replace(":open:", OPEN_STATUSES).replace(":course:", _COURSE) + _PEOPLE + _TASKS
)
"""Statements of the step."""

OVERTAKEN: Final = "DROP TRIGGER change_keeps_its_course;" + _COURSE_TRIGGER.replace(
    ":course:",
    _COURSE + ", 'pending>overtaken', 'approved>overtaken', 'failed>overtaken'",
)
"""Statements of the step that lets a request end that has nothing left to do."""
