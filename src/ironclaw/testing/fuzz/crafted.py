"""Databases that nobody should open: whatever SQL can put into a schema, under the right key."""

# ruff: noqa: S608 - the SQL here is the attack

from __future__ import annotations

from functools import lru_cache
from typing import Final

import apsw

from ironclaw.testing.fuzz.pages import decrypt
from ironclaw.testing.fuzz.samples import OUT_KEYS
from ironclaw_contract.memory_vfs import CIPHER_VFS, place
from ironclaw_contract.segment import SCHEMA

_ROW: Final = "(1, 'step', x'00', zeroblob(32), zeroblob(32))"
_LOOSE: Final = SCHEMA.replace(" STRICT", "")
_ENDLESS: Final = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS seq, "
    "'step' AS kind, x'' AS body, zeroblob(32) AS previous, zeroblob(32) AS mac FROM c"
)


def _rewritten(loose: str, sql: str = SCHEMA) -> str:
    """A schema that says one thing and is another."""
    text = sql.replace("'", "''")
    return f"{loose}; PRAGMA writable_schema=ON; UPDATE sqlite_master SET sql = '{text}'"


SCRIPTS: Final = {
    "empty": SCHEMA,
    "row of zeros": f"{SCHEMA}; INSERT INTO record VALUES {_ROW}",
    "extra table": f"{SCHEMA}; CREATE TABLE other (x)",
    "extra index": f"{SCHEMA}; CREATE INDEX i ON record (kind)",
    "index on an expression": f"{SCHEMA}; CREATE INDEX i ON record (abs(seq), hex(body))",
    "partial index": f"{SCHEMA}; CREATE INDEX i ON record (kind) WHERE length(body) > 5",
    "trigger": f"{SCHEMA}; CREATE TRIGGER t AFTER INSERT ON record BEGIN SELECT 1; END",
    "view": f"CREATE VIEW record AS {_ENDLESS}",
    "full-text table": "CREATE VIRTUAL TABLE record USING fts5(seq, kind, body, previous, mac)",
    "r-tree": "CREATE VIRTUAL TABLE record USING rtree(seq, kind, body)",
    "no strict": _LOOSE,
    "without row id": SCHEMA.replace(" STRICT", " STRICT, WITHOUT ROWID"),
    "without row id, said otherwise": _rewritten(SCHEMA + ", WITHOUT ROWID"),
    "generated column": SCHEMA.replace("mac BLOB NOT NULL", "mac BLOB AS (zeroblob(1000000))"),
    "generated, said otherwise": _rewritten(
        SCHEMA.replace("mac BLOB NOT NULL", "mac BLOB AS (zeroblob(1000000))")
    ),
    "check": SCHEMA.replace("body BLOB NOT NULL", "body BLOB NOT NULL CHECK (length(body) < 5)"),
    "default": SCHEMA.replace("body BLOB NOT NULL", "body BLOB NOT NULL DEFAULT (randomblob(9))"),
    "collation": SCHEMA.replace("kind TEXT", "kind TEXT COLLATE NOCASE"),
    "foreign key": SCHEMA.replace("kind TEXT", "kind TEXT REFERENCES record(seq)"),
    "autoincrement": SCHEMA.replace("PRIMARY KEY", "PRIMARY KEY AUTOINCREMENT"),
    "foreign types": _rewritten(f"{_LOOSE}; INSERT INTO record VALUES (1, 5, 'text', 7.5, 'text')"),
    "text for a body": _rewritten(
        f"{_LOOSE}; INSERT INTO record VALUES (1, x'ff', printf('%.5000c', 'x'), x'', 'm')"
    ),
    "statistics": f"{SCHEMA}; INSERT INTO record VALUES {_ROW}; ANALYZE",
    "utf-16": f"PRAGMA encoding='UTF-16le'; {SCHEMA}; INSERT INTO record VALUES {_ROW}",
    "utf-16, big end": f"PRAGMA encoding='UTF-16be'; {SCHEMA}; INSERT INTO record VALUES {_ROW}",
    "pointer map": f"PRAGMA auto_vacuum=FULL; {SCHEMA}; INSERT INTO record VALUES {_ROW}",
    "incremental": f"PRAGMA auto_vacuum=INCREMENTAL; {SCHEMA}",
    "numbers of the user": f"PRAGMA user_version=9; PRAGMA application_id=9; {SCHEMA}",
    "schema from nowhere": _rewritten(SCHEMA, "CREATE TABLE record AS SELECT * FROM sqlite_master"),
    "schema that is none": _rewritten(SCHEMA, "DROP TABLE record"),
    "module of nobody": _rewritten(SCHEMA, "CREATE VIRTUAL TABLE record USING nobody(x)"),
    "huge blob": f"{SCHEMA}; INSERT INTO record VALUES (1, 'step', zeroblob(1100000), "
    "zeroblob(32), zeroblob(32))",
    "many rows": f"{SCHEMA}; INSERT INTO record WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL "
    "SELECT x + 1 FROM c WHERE x < 2000) SELECT x, 'step', x'00', zeroblob(32), zeroblob(32) "
    "FROM c",
    "deleted rows": f"{SCHEMA}; INSERT INTO record WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL "
    "SELECT x + 1 FROM c WHERE x < 200) SELECT x, 'step', zeroblob(900), zeroblob(32), "
    "zeroblob(32) FROM c; DELETE FROM record WHERE seq > 1",
}
"""What each is called, and the statements that make it."""


@lru_cache(maxsize=len(SCRIPTS))
def crafted(name: str) -> bytes:
    """The plain pages of one of `SCRIPTS`."""
    data = bytearray()
    place(data)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection("file:crafted", flags, CIPHER_VFS)
    try:
        key = OUT_KEYS.page.hex()
        connection.execute(
            f"PRAGMA cipher='sqlcipher'; PRAGMA legacy=4; PRAGMA key=\"x'{key}'\";"
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY;"
        ).fetchall()
        connection.execute(SCRIPTS[name]).fetchall()
    finally:
        connection.close()
    return decrypt(OUT_KEYS.page, bytes(data))
