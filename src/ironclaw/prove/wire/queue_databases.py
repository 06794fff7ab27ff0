"""Attacks with databases: over their limits, damaged, of another kind; and what stops each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.prove import controls as c
from ironclaw.prove.model import Check
from ironclaw.prove.wire import careless as a
from ironclaw.prove.wire.checks import Row, answering, tampering, tampers

if TYPE_CHECKING:
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin
    from ironclaw.prove.wire.cells import Cell

FILES_BIG: Final = "segments-big"
OUT_MANY: Final = "out-many"
_SQLITE: Final = "SQLite's own checks of a file are not taken away"
_MARK: Final = "a letter"


def _no_twin(name: str, claim: str, attack: str, control: str, *reasons: str) -> Row:
    return Row(Check(name, claim, attack, control, tampers(*reasons), why_no_twin=_SQLITE))


async def _journal(lab: Lab, cell: Cell, _twin: Twin | None) -> str:
    """Is the named file of the host still what it was?"""
    victim = lab.settings.state_dir / "victim.txt"
    victim.write_text(_MARK, encoding="ascii")
    word = await cell.order("journal", victim=str(victim))
    try:
        is_same = victim.read_text(encoding="ascii") == _MARK
    except FileNotFoundError:
        is_same = False
    return word if is_same else "reached: a file of the host is gone"


SIZES: Final = (
    tampering(
        "queue.long_body",
        "A record over its size limit is tampering.",
        "seal a body of 1.2 MB",
        a.BODY_SIZE,
        "reads-long-bodies",
        "format",
        "size",
    ),
    tampering(
        "queue.many_records",
        "A segment with too many records is tampering.",
        "seal 257 records",
        a.RECORDS,
        "reads-many-records",
        "size",
    ),
    tampering(
        "queue.too_large",
        "A segment over its size limit is tampering.",
        "seal 4.5 MB",
        a.SEGMENT_SIZE,
        "reads-any-size",
        "size",
    ),
    tampering(
        "queue.oversize",
        "A large hole in place of a segment is tampering; nothing of it is read.",
        "truncate an empty file to 16 MiB",
        a.SEGMENT_SIZE,
        "reads-any-size",
        "size",
    ),
    answering(
        "queue.sparse",
        "A box cannot make a file of a tebibyte, not even of holes.",
        "truncate an empty file to 1 TiB",
        c.FILE_SIZE,
        FILES_BIG,
        "EFBIG",
    ),
    tampering(
        "queue.truncated",
        "A segment that was cut is tampering.",
        "cut a segment in the middle of a page",
        a.WHOLE_PAGES,
        "reads-parts-of-pages",
        "size",
    ),
    tampering(
        "queue.empty",
        "An empty file is no segment.",
        "publish a file without content",
        a.WHOLE_PAGES,
        "reads-parts-of-pages",
        "size",
    ),
    answering(
        "queue.many",
        "A box cannot fill the queue with a hundred thousand files.",
        "make files until refused, 100,000 at most",
        c.OUT_INODES,
        OUT_MANY,
        "capped",
    ),
)
DATABASES: Final = (
    _no_twin(
        "queue.garbage",
        "A file that is no database is tampering.",
        "publish random bytes",
        "SQLite file format",
        "format",
    ),
    tampering(
        "queue.plain_database",
        "A segment that is not encrypted is tampering.",
        "publish a right segment without encryption",
        a.ENCRYPTED,
        "reads-plain",
        "format",
    ),
    tampering(
        "queue.extra_table",
        "A segment with another table in it is tampering.",
        "add a table",
        a.EXACT_SCHEMA,
        "reads-any-schema",
        "schema",
    ),
    tampering(
        "queue.trigger",
        "A segment with a trigger in it is tampering.",
        "add a trigger",
        a.EXACT_SCHEMA,
        "reads-any-schema",
        "schema",
    ),
    tampering(
        "queue.view",
        "A segment whose records are a view is tampering.",
        "put a view in the table's place",
        a.EXACT_SCHEMA,
        "reads-views",
        "schema",
    ),
    tampering(
        "queue.endless_view",
        "A view without end holds nobody up.",
        "put a recursive view in the table's place",
        a.EXACT_SCHEMA,
        "reads-views",
        "schema",
    ),
    tampering(
        "queue.virtual_table",
        "A segment whose records are a virtual table is tampering.",
        "put a full-text index in the table's place",
        a.HARDENED,
        "reads-views",
        "schema",
        "format",
    ),
    tampering(
        "queue.shared_pages",
        "A tree whose branches meet gives no endless rows.",
        "point all branches of a b-tree at one page, three levels deep",
        a.RECORDS,
        "reads-without-bounds",
        "size",
    ),
    _no_twin(
        "queue.own_child",
        "A tree that contains itself holds nobody up.",
        "make the root of a b-tree its own child",
        "SQLite b-tree checks",
        "format",
    ),
    _no_twin(
        "queue.looping_overflow",
        "A value that goes round in circles holds nobody up.",
        "make an overflow chain lead to its own beginning",
        "SQLite b-tree checks",
        "format",
    ),
    Row(
        Check(
            "queue.journal",
            "A journal beside a segment is never played back, and removes no file of the host.",
            "put a rollback journal there that names a file of the host",
            a.PRIVATE_COPY,
            tampers("mac"),
            twin="reads-in-place",
        ),
        run=_journal,
    ),
    tampering(
        "queue.wal",
        "A write-ahead log beside a segment is never read.",
        "publish a database in WAL mode whose record is in the log alone",
        a.PRIVATE_COPY,
        "reads-in-place",
        "schema",
        "format",
    ),
)
