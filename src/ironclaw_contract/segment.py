"""Sealed segments: a few records in one SQLCipher 4 database, built and read in private memory.

`seal_segment` / `seal_all` make the bytes of a segment; `read_inbound` / `read_outbound` go from
bytes to bodies and advance the chain only when every record is right. `queue_dir` has the names
and the way into a directory. Any SQLCipher 4 tool opens a segment with the page key of its
direction as raw key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import apsw

from ironclaw_contract.chain import Chain, Record, Refusal, SegmentError
from ironclaw_contract.codes import WireCode
from ironclaw_contract.keys import Direction
from ironclaw_contract.limits import (
    KEY_BYTES,
    MAX_BODY_BYTES,
    MAX_RECORDS,
    MAX_SEGMENT_BYTES,
)
from ironclaw_contract.memory_vfs import CIPHER_VFS, place
from ironclaw_contract.queue_dir import segment_name
from ironclaw_contract.records import (
    ContractError,
    InboundBody,
    OutboundBody,
    decode_inbound,
    decode_outbound,
    encode_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ironclaw_contract.keys import QueueKeys

Body = InboundBody | OutboundBody
"""What a record of either direction carries."""

_B = TypeVar("_B", InboundBody, OutboundBody)

SCHEMA: Final = (
    "CREATE TABLE record (\n"
    "  seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, body BLOB NOT NULL,\n"
    "  previous BLOB NOT NULL, mac BLOB NOT NULL\n"
    ") STRICT"
)
"""The whole schema, compared as text before any other query."""

_PAGE: Final = 4096
_SPARE: Final = 64 * 1024
"""Bytes of a full segment left for pages' own needs when bodies are counted."""
_RECORD_SPARE: Final = _PAGE
"""The same for each record: the last page of its overflow chain is rarely full."""
_MAX_STEPS: Final = 50_000
"""Steps of SQLite's virtual machine for one segment; 256 records need under 4,000."""
_MAX_KIND: Final = 32

_CIPHER: Final = "PRAGMA cipher='sqlcipher'; PRAGMA legacy=4; PRAGMA key=\"x'%s'\";"
_WRITER: Final = _CIPHER + "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
_READER: Final = _CIPHER + "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA query_only=ON;"
_WRITE_FLAGS: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
_READ_FLAGS: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_LIMITS: Final = (
    (apsw.SQLITE_LIMIT_LENGTH, MAX_BODY_BYTES + _PAGE),
    (apsw.SQLITE_LIMIT_SQL_LENGTH, 1024),
    (apsw.SQLITE_LIMIT_COLUMN, 8),
    (apsw.SQLITE_LIMIT_EXPR_DEPTH, 8),
    (apsw.SQLITE_LIMIT_VDBE_OP, 1000),
    (apsw.SQLITE_LIMIT_ATTACHED, 0),
    (apsw.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    (apsw.SQLITE_LIMIT_WORKER_THREADS, 0),
)


class Sealed(NamedTuple):
    """A segment ready to be published. The chain has moved on: publish it, or give up the queue."""

    name: str
    data: bytes
    first_seq: int
    last_seq: int
    last_hash: bytes


def seal_segment(keys: QueueKeys, chain: Chain, bodies: Sequence[Body]) -> Sealed:
    """Seal `bodies` into one segment that follows the chain, and advance the chain.

    Raises:
        ContractError: `TOO_LARGE`, when a body or the whole is over its limit; the chain stands
            where it stood.
        ValueError: There is no body.
    """
    encoded = [(_kind(body), encode_body(body)) for body in bodies]
    if len(encoded) > MAX_RECORDS or sum(map(_room, encoded)) > MAX_SEGMENT_BYTES - _SPARE:
        raise ContractError(WireCode.TOO_LARGE, "these records do not fit one segment")
    return _seal(keys, chain, encoded)


def seal_all(keys: QueueKeys, chain: Chain, bodies: Iterable[Body]) -> list[Sealed]:
    """Seal any number of bodies into as few segments as hold them, in order.

    Raises:
        ContractError: `TOO_LARGE`, when one body is over its limit; the chain stands where it was.
    """
    batches: list[list[tuple[str, bytes]]] = []
    used = 0
    for item in [(_kind(body), encode_body(body)) for body in bodies]:
        room = _room(item)
        if (
            not batches
            or len(batches[-1]) == MAX_RECORDS
            or used + room > MAX_SEGMENT_BYTES - _SPARE
        ):
            batches.append([])
            used = 0
        batches[-1].append(item)
        used += room
    return [_seal(keys, chain, batch) for batch in batches]


def read_inbound(keys: QueueKeys, chain: Chain, data: bytes) -> tuple[InboundBody, ...]:
    """Read a segment that the host wrote, and advance the chain over it. Raises SegmentError."""
    return _read(keys, chain, data, Direction.IN, decode_inbound)


def read_outbound(keys: QueueKeys, chain: Chain, data: bytes) -> tuple[OutboundBody, ...]:
    """Read a segment that a box wrote, and advance the chain over it.

    Raises:
        SegmentError: It is not exactly what follows; the chain stands where it stood.

    Trust:
        `data` is hostile. Only the airlock calls this.
    """
    return _read(keys, chain, data, Direction.OUT, decode_outbound)


def read_records(page_key: bytes, data: bytes) -> list[Record]:
    """Read the rows of a segment without believing them: types and sizes are checked, no more.

    Raises:
        SegmentError: `SIZE`, `FORMAT` or `SCHEMA`.

    Trust:
        `data` is hostile, and whoever wrote it may have had the page key.
    """
    if not 2 * _PAGE <= len(data) <= MAX_SEGMENT_BYTES or len(data) % _PAGE:
        raise SegmentError(Refusal.SIZE, f"a segment cannot have {len(data)} bytes")
    place(data)
    try:
        connection = apsw.Connection("file:segment?immutable=1", _READ_FLAGS, CIPHER_VFS)
    except apsw.Error as error:
        raise SegmentError(Refusal.FORMAT, "the segment does not open") from error
    try:
        _harden(connection)
        connection.execute(_READER % page_key.hex()).fetchall()
        return _rows(connection, len(data))
    except SegmentError:
        raise
    # Text that is not UTF-8 is a ValueError; a value over SQLITE_LIMIT_LENGTH is an apsw.Error.
    except (apsw.Error, ValueError) as error:
        raise SegmentError(Refusal.FORMAT, "not a segment under this key") from error
    finally:
        connection.close()


def _seal(keys: QueueKeys, chain: Chain, encoded: list[tuple[str, bytes]]) -> Sealed:
    if not encoded:
        raise ValueError("a segment has at least one record")
    records: list[Record] = []
    for kind, body in encoded:
        records.append(chain.seal(kind, body, after=records[-1] if records else None))
    data = write_records(keys.page, records)
    chain.advance(records[-1])
    return Sealed(segment_name(records[0].seq), data, records[0].seq, records[-1].seq, chain.last)


def write_records(page_key: bytes, records: Sequence[Record]) -> bytes:
    """Write rows as they are into a new segment and return its bytes."""
    data = bytearray()
    place(data)
    connection = apsw.Connection("file:segment", _WRITE_FLAGS, CIPHER_VFS)
    try:
        connection.execute(_WRITER % page_key.hex()).fetchall()
        connection.execute("BEGIN")
        connection.execute(SCHEMA)
        connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", records)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return bytes(data)


def _read(
    keys: QueueKeys,
    chain: Chain,
    data: bytes,
    direction: Direction,
    decode: Callable[[bytes], _B],
) -> tuple[_B, ...]:
    if chain.direction is not direction:
        raise ValueError("this chain belongs to the other direction")
    last: Record | None = None
    bodies: list[_B] = []
    for record in read_records(keys.page, data):
        chain.check(record, after=last)
        try:
            body = decode(record.body)
        except ContractError as error:
            raise SegmentError(Refusal.BODY, f"record {record.seq} has a foreign body") from error
        if _kind(body) != record.kind:
            raise SegmentError(Refusal.BODY, f"record {record.seq} is of another kind than it says")
        bodies.append(body)
        last = record
    if last is None:
        raise SegmentError(Refusal.SCHEMA, "the segment has no record")
    chain.advance(last)
    return tuple(bodies)


def _harden(connection: apsw.Connection) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)
    connection.config(apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0)
    for limit, value in _LIMITS:
        connection.limit(limit, value)
    connection.set_progress_handler(_enough, _MAX_STEPS)


def _enough() -> bool:
    return True


def _rows(connection: apsw.Connection, size: int) -> list[Record]:
    schema = connection.execute(
        "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_master LIMIT 2"
    ).fetchall()
    if schema != [("table", "record", "record", 2, SCHEMA)]:
        raise SegmentError(Refusal.SCHEMA, "the segment has another schema")
    records: list[Record] = []
    total = 0
    for row in connection.execute(
        "SELECT seq, kind, body, previous, mac FROM record ORDER BY seq LIMIT ?",
        (MAX_RECORDS + 1,),
    ):
        record = Record(*row)
        # STRICT binds writers that ask SQLite; a file can be written without asking.
        if (
            type(record.seq) is not int
            or type(record.kind) is not str
            or any(type(part) is not bytes for part in record[2:])
        ):
            raise SegmentError(Refusal.FORMAT, "a column has another type")
        if (
            len(record.previous) != KEY_BYTES
            or len(record.mac) != KEY_BYTES
            or len(record.kind) > _MAX_KIND
        ):
            raise SegmentError(Refusal.FORMAT, "a column has another size")
        # Damaged trees can share pages between rows, so rows may add up to more than the file.
        total += len(record.body)
        if len(record.body) > MAX_BODY_BYTES or total > size or len(records) == MAX_RECORDS:
            raise SegmentError(Refusal.SIZE, "the records are over their limits")
        records.append(record)
    return records


def _kind(body: Body) -> str:
    return str(body.__struct_config__.tag)


def _room(item: tuple[str, bytes]) -> int:
    return len(item[1]) + _RECORD_SPARE
