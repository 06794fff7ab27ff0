"""Outbound segments that are not what follows: forged, replayed, moved, crafted, damaged.

Each attack is put under the one name the airlock waits for; only the host can say what came of it.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, Final

import apsw
import msgspec

from ironclaw_contract.entries import Answered
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import MAX_RECORDS
from ironclaw_contract.memory_vfs import CIPHER_VFS, place
from ironclaw_contract.records import Message, TurnEnd
from ironclaw_contract.segment import SCHEMA, write_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.prove.probe.hold import Hold
    from ironclaw_contract.chain import Chain, Record

    Args = dict[str, Any]

FORGED: Final = "msg_forged"
"""The turn that no honest record ever names."""
PAGE: Final = 4096
PLAIN_VFS: Final = "ironclaw-memory"
"""Below the one that encrypts."""
_INSERT: Final = "INSERT INTO record VALUES (?, ?, ?, ?, ?)"
_RESERVED: Final = 80
"""Bytes that SQLCipher 4 keeps at the end of each page."""
_FLAGS: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
_CIPHER: Final = "PRAGMA cipher='sqlcipher'; PRAGMA legacy=4;"
_encode: Final = msgspec.msgpack.encode


def body(index: int = 0, *, chars: int = 0) -> bytes:
    """An encoded end of the forged turn, of about that size."""
    entries = tuple(Answered(text="x" * 60_000) for _ in range(chars // 60_000))
    return _encode(TurnEnd(turn=FORGED, index=index, entries=entries))


def forged(hold: Hold, *, chain: Chain | None = None) -> Record:
    """A record that is right in every way."""
    return (chain or hold.fork()).seal("turn_end", body())


def sealed(hold: Hold, records: Sequence[Record], *, key: bytes = b"") -> bytes:
    """A segment of these records."""
    return write_records(key or hold.keys(Direction.OUT).page, records)


def row(hold: Hold, count: int, *, chars: int = 0) -> list[Record]:
    """Records that follow each other."""
    chain = hold.fork()
    found: list[Record] = []
    for index in range(count):
        found.append(
            chain.seal("turn_end", body(index, chars=chars), after=found[-1] if found else None)
        )
    return found


def craft(
    hold: Hold, statements: str, records: Sequence[Record] = (), *, vfs: str = CIPHER_VFS
) -> bytearray:
    """A database with whatever an insider wants in it; encrypted if the file system encrypts."""
    data = bytearray()
    place(data)
    connection = apsw.Connection("file:crafted", _FLAGS, vfs)
    try:
        if vfs == CIPHER_VFS:
            key = hold.keys(Direction.OUT).page.hex()
            connection.execute(f"{_CIPHER} PRAGMA key=\"x'{key}'\"").fetchall()
        connection.execute("PRAGMA journal_mode=OFF").fetchall()
        connection.reserve_bytes("main", _RESERVED)
        connection.execute(statements).fetchall()
        if records:
            connection.executemany(_INSERT, records)
    finally:
        connection.close()
    return data


def encrypted(hold: Hold, data: bytearray) -> bytes:
    """The same pages, byte by byte, under the right key: what no statement of SQL could make."""
    place(data)
    connection = apsw.Connection("file:plain", _FLAGS, CIPHER_VFS)
    try:
        connection.execute(f"{_CIPHER} PRAGMA journal_mode=OFF").fetchall()
        key = hold.keys(Direction.OUT).page.hex()
        connection.execute(f"PRAGMA rekey=\"x'{key}'\"").fetchall()
    finally:
        connection.close()
    return bytes(data)


# --- records ------------------------------------------------------------------------------------


def _rewritten(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, [forged(hold)._replace(body=body(7))])


def _wrong_mac(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, [forged(hold)._replace(mac=bytes(32))])


def _replayed(hold: Hold, _args: Args) -> bytes:
    return hold.last_sent


def _reordered(hold: Hold, _args: Args) -> bytes:
    first, second = row(hold, 2)
    return sealed(hold, [first._replace(seq=second.seq), second._replace(seq=first.seq)])


def _old_page(hold: Hold, _args: Args) -> bytes:
    """Page encryption alone takes an old page over a new one for good."""
    record = forged(hold)
    data = bytearray()
    place(data)
    connection = apsw.Connection("file:replayed", _FLAGS, CIPHER_VFS)
    try:
        key = hold.keys(Direction.OUT).page.hex()
        connection.execute(f"{_CIPHER} PRAGMA key=\"x'{key}'\"").fetchall()
        connection.execute("PRAGMA journal_mode=OFF").fetchall()
        connection.execute(SCHEMA)
        connection.execute(_INSERT, record._replace(body=body(9)))
        old = bytes(data[PAGE : 2 * PAGE])
        connection.execute("UPDATE record SET body = ?", (record.body,))
    finally:
        connection.close()
    data[PAGE : 2 * PAGE] = old
    return bytes(data)


def _gap(hold: Hold, _args: Args) -> bytes:
    chain = hold.fork()
    return sealed(hold, [forged(hold, chain=hold.fork(seq=chain.seq + 1, last=chain.last))])


def _order(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, [forged(hold)._replace(previous=bytes(32))])


def _foreign_key(hold: Hold, _args: Args) -> bytes:
    keys = derive(bytes(32), Direction.OUT)
    return sealed(hold, [forged(hold, chain=hold.fork(key=keys.record))], key=keys.page)


def _other_direction(hold: Hold, _args: Args) -> bytes:
    name = max(os.listdir(hold.into))  # noqa: PTH208 - an open directory
    with open(f"/queue/in/{name}", "rb") as file:  # noqa: PTH123 - no pathlib in a probe
        return file.read()


def _other_epoch(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, [forged(hold, chain=hold.fork(epoch=1, seq=0, last=b""))])


def _other_session(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, [forged(hold, chain=hold.fork(session="ses_other"))])


def _foreign_kind(hold: Hold, _args: Args) -> bytes:
    message = _encode(Message(message="m", sender="s", text="t", at_ms=1))
    return sealed(hold, [hold.fork().seal("message", message)])


def _lying_kind(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, [hold.fork().seal("step", body())])


def _unknown_field(hold: Hold, _args: Args) -> bytes:
    told = msgspec.msgpack.decode(body()) | {"admin": True}
    return sealed(hold, [hold.fork().seal("turn_end", _encode(told))])


def _nested_body(hold: Hold, _args: Args) -> bytes:
    deep = b"\x81\xa4kind" * 100_000 + b"\xc0"
    return sealed(hold, [hold.fork().seal("turn_end", deep)])


def _long_body(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, row(hold, 1, chars=1_200_000))


def _many_records(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, row(hold, MAX_RECORDS + 1))


def _too_large(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, row(hold, 5, chars=900_000))


def _truncated(hold: Hold, _args: Args) -> bytes:
    return sealed(hold, [forged(hold)])[: PAGE + PAGE // 2]


def _garbage(_hold: Hold, _args: Args) -> bytes:
    return os.urandom(4 * PAGE)


def _plain(hold: Hold, _args: Args) -> bytes:
    return bytes(craft(hold, SCHEMA, [forged(hold)], vfs=PLAIN_VFS))


# --- schemas ------------------------------------------------------------------------------------


def _schema(statements: str) -> Callable[[Hold, Args], bytes]:
    def go(hold: Hold, _args: Args) -> bytes:
        return bytes(craft(hold, f"{SCHEMA}; {statements}", [forged(hold)]))

    return go


def _view(hold: Hold, _args: Args) -> bytes:
    """Another table under a view that bears the right name."""
    other = SCHEMA.replace("TABLE record", "TABLE other")
    record = forged(hold)
    data = craft(hold, other + "; CREATE VIEW record AS SELECT * FROM other")  # noqa: S608 - an attack
    place(data)
    connection = apsw.Connection("file:crafted", _FLAGS, CIPHER_VFS)
    try:
        key = hold.keys(Direction.OUT).page.hex()
        connection.execute(f"{_CIPHER} PRAGMA key=\"x'{key}'\"").fetchall()
        connection.execute("PRAGMA journal_mode=OFF").fetchall()
        connection.execute(_INSERT.replace("record", "other"), record)
    finally:
        connection.close()
    return bytes(data)


def _endless_view(hold: Hold, _args: Args) -> bytes:
    view = (
        "CREATE VIEW record AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
        "SELECT x AS seq, 'turn_end' AS kind, x'' AS body, zeroblob(32) AS previous, "
        "zeroblob(32) AS mac FROM c"
    )
    return bytes(craft(hold, f"{view}; CREATE TABLE other (x)"))


def _virtual_table(hold: Hold, _args: Args) -> bytes:
    virtual = "CREATE VIRTUAL TABLE record USING fts5(seq, kind, body, previous, mac)"
    return bytes(craft(hold, virtual, [forged(hold)]))


# --- damage ---------------------------------------------------------------------------------------


def _shared_pages(hold: Hold, _args: Args) -> bytes:
    """A tree whose branches all lead to the same page, twice over: few bytes, endless rows."""
    filler = [forged(hold)._replace(seq=n, body=bytes(2000)) for n in range(1, 300)]
    data = craft(hold, SCHEMA, filler, vfs=PLAIN_VFS)
    root, leaf = PAGE, 2 * PAGE
    again = len(data)
    data += data[root : root + PAGE]
    _point(data, root, again // PAGE + 1)
    last = len(data)
    data += data[again : again + PAGE]
    _point(data, again, last // PAGE + 1)
    _point(data, last, leaf // PAGE + 1)
    struct.pack_into(">I", data, 28, len(data) // PAGE)
    return encrypted(hold, data)


def _own_child(hold: Hold, _args: Args) -> bytes:
    """A tree whose root is its own child."""
    filler = [forged(hold)._replace(seq=n, body=bytes(2000)) for n in range(1, 100)]
    data = craft(hold, SCHEMA, filler, vfs=PLAIN_VFS)
    _point(data, PAGE, 2)
    return encrypted(hold, data)


def _point(data: bytearray, page: int, child: int) -> None:
    """Make all children of the interior page at this offset one page."""
    (cells,) = struct.unpack_from(">H", data, page + 3)
    for cell in range(cells):
        (offset,) = struct.unpack_from(">H", data, page + 12 + 2 * cell)
        struct.pack_into(">I", data, page + offset, child)
    struct.pack_into(">I", data, page + 8, child)


def _looping_overflow(hold: Hold, _args: Args) -> bytes:
    """A value that goes round in circles, and says that it is longer than the whole file."""
    record = forged(hold)._replace(body=bytes(900_000))
    data = craft(hold, SCHEMA, [record], vfs=PLAIN_VFS)
    struct.pack_into(">I", data, 3 * PAGE, 3)
    del data[5 * PAGE :]
    struct.pack_into(">I", data, 28, len(data) // PAGE)
    return encrypted(hold, data)


_BYTES: Final[dict[str, Callable[[Hold, Args], bytes]]] = {
    "rewritten_record": _rewritten,
    "wrong_mac": _wrong_mac,
    "replayed_segment": _replayed,
    "reordered_records": _reordered,
    "old_page": _old_page,
    "gap": _gap,
    "order": _order,
    "foreign_key": _foreign_key,
    "other_direction": _other_direction,
    "other_epoch": _other_epoch,
    "other_session": _other_session,
    "foreign_kind": _foreign_kind,
    "lying_kind": _lying_kind,
    "unknown_field": _unknown_field,
    "nested_body": _nested_body,
    "long_body": _long_body,
    "many_records": _many_records,
    "too_large": _too_large,
    "truncated": _truncated,
    "garbage": _garbage,
    "plain_database": _plain,
    "extra_table": _schema("CREATE TABLE other (x)"),
    "trigger": _schema("CREATE TRIGGER t AFTER INSERT ON record BEGIN SELECT 1; END"),
    "view": _view,
    "endless_view": _endless_view,
    "virtual_table": _virtual_table,
    "shared_pages": _shared_pages,
    "own_child": _own_child,
    "looping_overflow": _looping_overflow,
}


def _planted(make: Callable[[Hold, Args], bytes]) -> Callable[[Hold, Args], None]:
    def go(hold: Hold, args: Args) -> None:
        hold.plant(make(hold, args))

    return go


ATTACKS: Final = {name: _planted(make) for name, make in _BYTES.items()}
