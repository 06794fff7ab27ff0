"""The step that makes room for a longer talk: files, questions, summaries, what models cost.

Content is sealed with the session's key, so that forgetting a session forgets all of it.
"""

from __future__ import annotations

from typing import Final

_MESSAGES: Final = """
-- For one that joined a turn which ran already: index of the record that tells of it.
ALTER TABLE message ADD COLUMN heard INTEGER;
-- Milliseconds that the turn which it began has taken, up to its last record.
ALTER TABLE message ADD COLUMN worked_ms INTEGER NOT NULL DEFAULT 0;
CREATE TABLE delivery_answers (
  delivery TEXT NOT NULL,
  position INTEGER NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (delivery, position)
) STRICT, WITHOUT ROWID;
-- Agents that it has come through.
ALTER TABLE message ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_hops ON message (chat, at_ms) WHERE hops > 0;
-- Why a turn over it loses silent authority: words of a closed set; empty when it does not.
ALTER TABLE message ADD COLUMN taint TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN taint TEXT NOT NULL DEFAULT '';
-- Of what is over only: else the planner takes this one for what waits too, instead of
-- `message_open`, and each message costs as much as its conversation is long.
DROP INDEX message_session;
CREATE INDEX message_session ON message (session, n) WHERE open = 0;
"""

_FILES: Final = """
CREATE TABLE file (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  -- Of the host's making, also for one that goes out.
  id TEXT NOT NULL UNIQUE,
  session TEXT NOT NULL REFERENCES session (id),
  -- What it came with; of one that goes out: the message whose turn said it, empty until then.
  message TEXT NOT NULL,
  position INTEGER NOT NULL,
  is_out INTEGER NOT NULL,
  -- Name and type; empty until the last part is there.
  sealed BLOB NOT NULL DEFAULT x'',
  size INTEGER NOT NULL DEFAULT 0,
  parts INTEGER NOT NULL DEFAULT 0,
  -- 0: parts are to come; 1: whole; 2: there was no room for it.
  state INTEGER NOT NULL DEFAULT 0,
  at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX file_session ON file (session);
CREATE INDEX file_message ON file (message, position);
CREATE INDEX file_unsaid ON file (session) WHERE message = '';
CREATE TABLE file_part (
  file INTEGER NOT NULL REFERENCES file (n),
  idx INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (file, idx)
) STRICT;
CREATE TABLE delivery_file (
  delivery TEXT NOT NULL,
  position INTEGER NOT NULL,
  file INTEGER NOT NULL REFERENCES file (n),
  PRIMARY KEY (delivery, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_file_file ON delivery_file (file);
"""

_QUESTIONS: Final = """
CREATE TABLE question (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  session TEXT NOT NULL REFERENCES session (id),
  turn TEXT NOT NULL,
  call TEXT NOT NULL,
  delivery TEXT NOT NULL,
  chat TEXT NOT NULL,
  thread TEXT,
  -- Options, and whether words of one's own are an answer.
  sealed BLOB NOT NULL,
  status TEXT NOT NULL DEFAULT 'open',
  asked_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  answer BLOB,
  answered_by TEXT NOT NULL DEFAULT '',
  answered_ms INTEGER,
  -- The message that answered it.
  said TEXT NOT NULL DEFAULT '',
  UNIQUE (turn, call)
) STRICT;
CREATE INDEX question_said ON question (said) WHERE said <> '';
CREATE INDEX question_open ON question (session, n) WHERE status = 'open';
CREATE INDEX question_expires ON question (expires_ms) WHERE status = 'open';
CREATE INDEX question_delivery ON question (delivery);
"""

_SUMMARIES: Final = """
CREATE TABLE summary (
  session TEXT PRIMARY KEY REFERENCES session (id),
  -- Number of the newest message that it tells of.
  n INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  at_ms INTEGER NOT NULL
) STRICT;
"""

_SPENDING: Final = """
CREATE TABLE spent (
  day INTEGER NOT NULL,
  agent TEXT NOT NULL,
  session TEXT NOT NULL,
  model TEXT NOT NULL,
  calls INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  -- Of `input_tokens`: what the provider had kept, and what it keeps from then on.
  cached_tokens INTEGER NOT NULL,
  written_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  -- Millionths of the house's currency.
  micros INTEGER NOT NULL,
  -- Calls whose price nobody knew.
  unpriced INTEGER NOT NULL,
  model_ms INTEGER NOT NULL,
  PRIMARY KEY (agent, day, session, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX spent_session ON spent (session);
INSERT INTO spent
  SELECT day, agent, '', '', calls, tokens, 0, 0, 0, 0, calls, 0 FROM usage;
DROP TABLE usage;
-- Sums of a day, so that a budget costs the same however many sessions it is shared by.
CREATE TABLE spent_day (
  agent TEXT NOT NULL,
  day INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  cached_tokens INTEGER NOT NULL,
  written_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  micros INTEGER NOT NULL,
  unpriced INTEGER NOT NULL,
  model_ms INTEGER NOT NULL,
  PRIMARY KEY (agent, day)
) STRICT, WITHOUT ROWID;
INSERT INTO spent_day
  SELECT agent, day, calls, input_tokens, 0, 0, 0, 0, unpriced, 0 FROM spent;
-- What people were told of a budget, once in each window (a day, or a session) of each limit.
CREATE TABLE spent_notice (
  agent TEXT NOT NULL,
  budget TEXT NOT NULL,
  window TEXT NOT NULL,
  most INTEGER NOT NULL,
  day INTEGER NOT NULL,
  PRIMARY KEY (agent, budget, window, most)
) STRICT, WITHOUT ROWID;
"""

_TASKS: Final = """
-- Of its turns, one after the other, up to now.
ALTER TABLE task ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
"""

TALK: Final = _MESSAGES + _FILES + _QUESTIONS + _SUMMARIES + _SPENDING + _TASKS
"""Statements of the step."""
