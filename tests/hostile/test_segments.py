"""Segments as an attacker would like them: every one is refused, and the chain does not move."""

# ruff: noqa: S608 - the SQL here is the attack

from __future__ import annotations

from collections.abc import Callable

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ironclaw_contract.chain import Chain, Refusal, SegmentError
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import MAX_SEGMENT_BYTES
from ironclaw_contract.memory_vfs import CIPHER_VFS, place
from ironclaw_contract.records import InboundBody, Message
from ironclaw_contract.segment import (
    SCHEMA,
    read_inbound,
    read_outbound,
    read_records,
    seal_segment,
    write_records,
)

pytestmark = pytest.mark.hostile

KEY = bytes(range(32))
IN = derive(KEY, Direction.IN)
OUT = derive(KEY, Direction.OUT)
PAGE = 4096


def chain(*, session: str = "ses_a", epoch: int = 1, direction: Direction = Direction.IN) -> Chain:
    keys = IN if direction is Direction.IN else OUT
    return Chain(keys.record, session=session, direction=direction, epoch=epoch)


def message(text: str) -> InboundBody:
    return Message(message="msg_a", sender="ann", text=text, at_ms=1)


ONE = seal_segment(IN, chain(), [message("one")]).data
BIG = seal_segment(IN, chain(), [message("x" * 30_000), message("y" * 9_000)]).data


def refuse(data: bytes) -> Refusal:
    reader = chain()
    genesis = reader.last
    with pytest.raises(SegmentError) as caught:
        read_inbound(IN, reader, data)
    assert (reader.seq, reader.last) == (0, genesis)
    return caught.value.reason


def craft(statements: str, *, key: bytes = IN.page) -> bytes:
    """A database under the right page key, with whatever an insider wants in it."""
    data = bytearray()
    place(data)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection("file:crafted", flags, CIPHER_VFS)
    try:
        pragmas = f"PRAGMA cipher='sqlcipher'; PRAGMA legacy=4; PRAGMA key=\"x'{key.hex()}'\";"
        connection.execute(pragmas + "PRAGMA journal_mode=OFF;").fetchall()
        connection.execute(statements).fetchall()
    finally:
        connection.close()
    return bytes(data)


@settings(deadline=None, max_examples=150)
@given(st.integers(0, len(BIG) - 1), st.integers(1, 255))
def test_any_flipped_byte_is_refused(position: int, flip: int) -> None:
    changed = bytearray(BIG)
    changed[position] ^= flip
    assert refuse(bytes(changed)) in {Refusal.FORMAT, Refusal.SCHEMA}


@settings(deadline=None, max_examples=60)
@given(st.integers(0, len(BIG) - 1))
def test_any_truncation_is_refused(size: int) -> None:
    assert refuse(BIG[:size]) in {Refusal.SIZE, Refusal.FORMAT, Refusal.SCHEMA}


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=3 * PAGE))
def test_garbage_is_refused(data: bytes) -> None:
    assert refuse(data) in {Refusal.SIZE, Refusal.FORMAT}


def test_an_old_page_over_a_new_one_is_refused() -> None:
    """SQLCipher alone takes it: same page number, same key, another version of the content."""
    rows = read_records(IN.page, ONE)
    other = rows[0]._replace(body=rows[0].body.replace(b"one", b"two"))
    data = bytearray()
    place(data)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection("file:replayed", flags, CIPHER_VFS)
    try:
        key = f"PRAGMA cipher='sqlcipher'; PRAGMA legacy=4; PRAGMA key=\"x'{IN.page.hex()}'\";"
        connection.execute(key + "PRAGMA journal_mode=OFF;").fetchall()
        connection.execute(SCHEMA)
        connection.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?)", other)
        old = bytes(data[PAGE : 2 * PAGE])
        connection.execute("UPDATE record SET body = ?", (rows[0].body,))
    finally:
        connection.close()
    assert read_inbound(IN, chain(), bytes(data)) == (message("one"),)
    data[PAGE : 2 * PAGE] = old
    # The weakened twin: without the chain nobody would notice.
    assert read_records(IN.page, bytes(data)) == [other]
    assert refuse(bytes(data)) is Refusal.MAC


def test_replay_reorder_and_gap_are_refused() -> None:
    writer = chain()
    first, second, third = (
        seal_segment(IN, writer, [message(word)]).data for word in ("1", "2", "3")
    )
    reader = chain()
    with pytest.raises(SegmentError, match="cannot follow"):
        read_inbound(IN, reader, second)
    read_inbound(IN, reader, first)
    for wrong in (first, third):
        with pytest.raises(SegmentError) as caught:
            read_inbound(IN, reader, wrong)
        assert caught.value.reason is Refusal.GAP
    read_inbound(IN, reader, second)
    assert reader.seq == 2


def test_rows_moved_inside_a_segment_are_refused() -> None:
    rows = read_records(IN.page, BIG)
    swapped = [rows[0]._replace(seq=2), rows[1]._replace(seq=1)]
    assert refuse(write_records(IN.page, swapped)) in {Refusal.ORDER, Refusal.MAC}


@pytest.mark.parametrize(
    "foreign",
    [
        lambda: seal_segment(IN, chain(session="ses_b"), [message("x")]).data,
        lambda: seal_segment(IN, chain(epoch=2), [message("x")]).data,
        lambda: seal_segment(derive(bytes(32), Direction.IN), chain(), [message("x")]).data,
        lambda: seal_segment(OUT, chain(direction=Direction.OUT), [message("x")]).data,
    ],
    ids=["session", "epoch", "key", "direction"],
)
def test_a_segment_of_another_place_is_refused(foreign: Callable[[], bytes]) -> None:
    assert refuse(foreign()) in {Refusal.FORMAT, Refusal.ORDER, Refusal.MAC}


def test_an_older_epoch_is_refused_by_the_newer() -> None:
    newer = chain(epoch=2)
    with pytest.raises(SegmentError):
        read_inbound(IN, newer, ONE)
    assert newer.seq == 0


def test_a_chain_of_one_direction_reads_no_other() -> None:
    with pytest.raises(ValueError, match="other direction"):
        read_outbound(OUT, chain(), ONE)


CRAFTED = {
    "extra table": f"{SCHEMA}; CREATE TABLE other (x)",
    "extra index": f"{SCHEMA}; CREATE INDEX i ON record (kind)",
    "trigger": f"{SCHEMA}; CREATE TRIGGER t AFTER INSERT ON record BEGIN SELECT 1; END",
    "view instead": "CREATE VIEW record AS SELECT 1 AS seq, 'message' AS kind, x'' AS body, "
    "zeroblob(32) AS previous, zeroblob(32) AS mac",
    "endless view": "CREATE VIEW record AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL "
    "SELECT x + 1 FROM c) SELECT x AS seq, 'message' AS kind, x'' AS body, "
    "zeroblob(32) AS previous, zeroblob(32) AS mac FROM c",
    "virtual table": "CREATE VIRTUAL TABLE record USING fts5(seq, kind, body, previous, mac)",
    "no strict": SCHEMA.replace(" STRICT", ""),
    "other spelling": SCHEMA.replace("INTEGER PRIMARY", "INTEGER  PRIMARY"),
    "generated column": SCHEMA.replace("mac BLOB NOT NULL", "mac BLOB AS (zeroblob(1000000))"),
    "no table": "PRAGMA user_version=1",
    "empty table": SCHEMA,
    "wide values": f"{SCHEMA}; INSERT INTO record VALUES (1, 'message', x'00', "
    "zeroblob(33), zeroblob(32))",
    "long kind": f"{SCHEMA}; INSERT INTO record VALUES (1, printf('%.100c', 'x'), x'00', "
    "zeroblob(32), zeroblob(32))",
    "negative number": f"{SCHEMA}; INSERT INTO record VALUES (-5, 'message', x'00', "
    "zeroblob(32), zeroblob(32))",
    "kind that is not UTF-8": f"{SCHEMA}; INSERT INTO record VALUES (1, cast(x'ff' AS TEXT), "
    "x'00', zeroblob(32), zeroblob(32))",
    "zeros for a mac": f"{SCHEMA}; INSERT INTO record VALUES (1, 'message', x'00', "
    "zeroblob(32), zeroblob(32))",
    "other page size": f"PRAGMA page_size=512; {SCHEMA}",
}


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_database_is_refused(name: str) -> None:
    refuse(craft(CRAFTED[name]))


def test_a_table_without_its_types_is_refused() -> None:
    """STRICT binds those who ask SQLite; whoever writes the file can lie about it."""
    loose = SCHEMA.replace(" STRICT", "")
    lie = (
        f"{loose}; INSERT INTO record VALUES (1, 5, 'text', 7.5, NULL OR 1);"
        "PRAGMA writable_schema=ON;"
        f"UPDATE sqlite_master SET sql = '{SCHEMA}'"
    )
    assert refuse(craft(lie)) in {Refusal.FORMAT, Refusal.SCHEMA}


def test_a_file_over_the_limit_is_not_opened() -> None:
    assert refuse(bytes(MAX_SEGMENT_BYTES + PAGE)) is Refusal.SIZE
