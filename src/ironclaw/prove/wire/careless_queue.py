"""Ways to read `out/` without one of the airlock's controls, for twins alone.

Each function changes modules in the process that calls it. Only the proof's own careless zygote
ever does, before it forks.
"""

# ruff: noqa: SLF001 - what is taken away has no handle

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import apsw

from ironclaw.airlock import confine, queue, syscalls
from ironclaw.prove.airlock.weak import patch, weaken
from ironclaw_contract import chain, queue_dir, records, segment
from ironclaw_contract.chain import Chain, Refusal, SegmentError
from ironclaw_contract.codes import WireCode
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.records import ContractError, OutboundBody, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw_contract.chain import Record
    from ironclaw_contract.keys import QueueKeys

GAP: Final = "chain sequence number"
ORDER: Final = "chain predecessor's hash"
MAC: Final = "chain MAC"
_PAGE: Final = 4096
_LARGE: Final = 1 << 40
_PR_SET_KEEPCAPS: Final = 8
_CAPABILITY_VERSION: Final = 0x20080522
_VFS: Final = "multipleciphers-unix"
_SESSION: Final = "ses_other"
"""The session that the attacker claims to be."""


def follow_links() -> None:
    """Open what a symbolic link leads to."""
    patch(queue, "_READ_FLAGS", queue._READ_FLAGS & ~os.O_NOFOLLOW)


def believe_owners() -> None:
    """Read a file whoever owns it."""
    copy = queue._copy

    def weak(dir_fd: int, name: str, *, owner: int | None) -> bytes:
        del owner
        return copy(dir_fd, name, owner=None)

    patch(queue, "_copy", weak)


class _Stat(NamedTuple):
    """What a file says of itself, put right."""

    st_mode: int
    st_nlink: int
    st_uid: int
    st_size: int


def _see(*, links: int | None = None, kind: int | None = None) -> None:
    class Os:
        """The module, with another `fstat`."""

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

        @staticmethod
        def fstat(fd: int) -> _Stat:
            found = os.fstat(fd)
            return _Stat(
                found.st_mode if kind is None else kind,
                found.st_nlink if links is None else links,
                found.st_uid,
                found.st_size,
            )

    patch(queue, "os", Os())


def allow_links() -> None:
    """Read a file that has another name."""
    _see(links=1)


def allow_any_kind() -> None:
    """Read a directory, a FIFO, a device."""
    _see(links=1, kind=stat.S_IFREG)


def allow_any_size() -> None:
    """Read files of any size."""
    for module in (queue, segment):
        patch(module, "MAX_SEGMENT_BYTES", _LARGE)


def allow_parts_of_pages() -> None:
    """Fill a file up to whole pages."""
    read = segment.read_records

    def weak(page_key: bytes, data: bytes) -> list[Record]:
        size = max(2 * _PAGE, -(-len(data) // _PAGE) * _PAGE)
        return read(page_key, data.ljust(size, b"\0"))

    patch(segment, "read_records", weak)


def allow_many_records() -> None:
    """Take more records than a segment may have."""
    patch(segment, "MAX_RECORDS", _LARGE)


def allow_long_bodies() -> None:
    """Take bodies of any size."""
    for module in (segment, records):
        patch(module, "MAX_BODY_BYTES", _LARGE)
    limits = tuple(row for row in segment._LIMITS if row[0] != apsw.SQLITE_LIMIT_LENGTH)
    patch(segment, "_LIMITS", limits)


def trust(*skipped: str) -> Callable[[], None]:
    """Leave out parts of the chain's check."""

    def go() -> None:
        def weak(self: Chain, record: Record, *, after: Record | None = None) -> None:
            seq, last = (
                (self.seq, self.last) if after is None else (after.seq, chain.record_hash(after))
            )
            mac = self._mac(record.seq, record.kind, record.body, last)
            for name, holds, reason in (
                (GAP, record.seq == seq + 1, Refusal.GAP),
                (ORDER, record.previous == last, Refusal.ORDER),
                (MAC, record.mac == mac, Refusal.MAC),
            ):
                if not holds and name not in skipped:
                    raise SegmentError(reason, "refused by what is left")

        patch(Chain, "check", weak)

    return go


def _keys(replace: Callable[[bytes], QueueKeys]) -> Callable[[], None]:
    def go() -> None:
        def weak(session_key: bytes, direction: Direction) -> QueueKeys:
            return (
                derive(session_key, direction)
                if direction is Direction.IN
                else replace(session_key)
            )

        patch(queue, "derive", weak)

    return go


one_key_for_all = _keys(lambda _key: derive(bytes(32), Direction.OUT))
"""Every session has the same key."""
one_key_for_both = _keys(lambda key: derive(key, Direction.IN))
"""Both directions have the same keys."""


def _chain(**fixed: object) -> Callable[[], None]:
    def go() -> None:
        def weak(*args: object, **kwargs: object) -> Chain:
            changes = fixed if kwargs["direction"] is Direction.OUT else {}
            return Chain(*args, **(kwargs | changes))  # type: ignore[arg-type] # the caller's own

        patch(queue, "Chain", weak)

    return go


forget_epoch = _chain(epoch=1)
"""Every life of a session has the same genesis."""
forget_session = _chain(session=_SESSION)
"""A MAC does not say of which session it is."""


def read_any_body() -> None:
    """Take a body that is not of the contract for something else."""

    def weak(
        keys: QueueKeys,
        place: Chain,
        data: bytes,
        _direction: Direction,
        decode: Callable[[bytes], OutboundBody],
    ) -> tuple[OutboundBody, ...]:
        found, last = [], None
        for record in segment.read_records(keys.page, data):
            place.check(record, after=last)
            try:
                found.append(decode(record.body))
            except ContractError:
                found.append(Trouble(code=WireCode.INTERNAL, text="foreign"))
            last = record
        if last is not None:
            place.advance(last)
        return tuple(found)

    def read_outbound(keys: QueueKeys, place: Chain, data: bytes) -> tuple[OutboundBody, ...]:
        return weak(keys, place, data, Direction.OUT, records.decode_outbound)

    patch(queue, "read_outbound", read_outbound)


def read_plain() -> None:
    """Read a segment that is not encrypted."""
    read = segment.read_outbound

    def weak(keys: QueueKeys, place: Chain, data: bytes) -> tuple[OutboundBody, ...]:
        reader = segment._READER
        patch(segment, "_READER", "/* %s */ PRAGMA query_only=ON;")
        try:
            return read(keys, place, data)
        finally:
            patch(segment, "_READER", reader)

    patch(queue, "read_outbound", weak)


class _Rows:
    """The same rows, and the schema that was expected."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def execute(self, statement: str, bindings: tuple[object, ...] = ()) -> object:
        if "sqlite_master" in statement:
            schema = segment.SCHEMA
            return self._connection.execute("SELECT 'table', 'record', 'record', 2, ?", (schema,))
        return self._connection.execute(statement, bindings)


def read_any_schema() -> None:
    """Query a database whatever else is in it."""
    rows = segment._rows
    patch(segment, "_rows", lambda connection, size: rows(_Rows(connection), size))  # type: ignore[arg-type] # a stand-in


def soften() -> None:
    """Leave SQLite as it is: views, triggers, no limit, no end."""
    patch(segment, "_harden", lambda _connection: None)


def read_without_bounds() -> None:
    """Neither SQLite nor its reader stops anywhere."""
    soften()
    allow_many_records()
    rows = segment._rows

    def weak(connection: apsw.Connection, _size: int) -> list[Record]:
        return rows(connection, _LARGE)

    patch(segment, "_rows", weak)
    patch(queue, "MAX_SEGMENT_BYTES", _LARGE)


class _Place(bytes):
    """Where a file is, in place of what is in it."""

    __slots__ = ()


def read_in_place() -> None:
    """Let SQLite open the file where the box put it, to read and write, with every right."""
    weaken({confine.ROOT, confine.LANDLOCK, confine.SECCOMP})
    keep_capabilities()
    copy, read = queue._copy, segment.read_records

    def no_copy(dir_fd: int, name: str, *, owner: int | None) -> bytes:
        if owner is None:
            return copy(dir_fd, name, owner=None)
        os.stat(name, dir_fd=dir_fd)
        here = Path(f"/proc/self/fd/{dir_fd}").readlink()
        return _Place(os.fsencode(here / name))

    def weak(page_key: bytes, data: bytes) -> list[Record]:
        if not isinstance(data, _Place):
            return read(page_key, data)
        try:
            connection = apsw.Connection(os.fsdecode(data), vfs=_VFS)
            connection.execute(segment._CIPHER % page_key.hex()).fetchall()
            connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
            return segment._rows(connection, _LARGE)
        except apsw.Error as error:
            raise SegmentError(Refusal.FORMAT, "not a database") from error

    patch(queue, "_copy", no_copy)
    patch(segment, "read_records", weak)


def keep_capabilities() -> None:
    """Take the airlock's own ids, but keep every right that root has: modes do not bind it."""
    # The airlock's own world has no /proc.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    permitted = int(status.partition("CapPrm:")[2].split()[0], 16)

    def weak(controls: confine.Controls, uid: int, gid: int) -> None:
        def become() -> None:
            if os.getuid() == uid:
                raise OSError("the core's own uid")
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)

        syscalls.prctl(_PR_SET_KEEPCAPS, 1)
        controls.attempt(confine.UID, become)
        controls.missing.append(confine.CAPABILITIES)
        _raise(permitted)
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        os.umask(0o007)

    patch(confine, "take_ids", weak)


def _raise(permitted: int) -> None:
    """Make effective what is permitted."""
    header = syscalls._CapHeader(_CAPABILITY_VERSION, 0)
    data = (syscalls._CapData * 2)()
    for part in range(2):
        word = permitted >> 32 * part & 0xFFFFFFFF
        data[part].effective = data[part].permitted = word
    if syscalls._libc.capset(ctypes.byref(header), ctypes.byref(data)) < 0:
        raise OSError(ctypes.get_errno(), "capset")


def sweep_nothing() -> None:
    """Never look at other names."""
    patch(queue.OutQueue, "tidy", lambda _self: None)


def leave_what_does_not_go() -> None:
    """Pass over a directory that is not empty."""
    remove = queue.OutQueue._remove

    def weak(self: queue.OutQueue, name: str) -> None:
        try:
            remove(self, name)
        except SegmentError:
            return

    patch(queue.OutQueue, "_remove", weak)


def read_any_digit() -> None:
    """Take other scripts' digits for a number."""
    parse = queue_dir.parse_segment_name

    def weak(name: str) -> int:
        digits = name.removesuffix(queue_dir.SUFFIX)
        return int(digits) if digits.isdigit() else parse(name)

    patch(queue, "parse_segment_name", weak)


def read_what_is_being_written() -> None:
    """Take the temporary name for the final one."""
    patch(queue, "segment_name", lambda seq: "." + queue_dir.segment_name(seq))


def together(*changes: Callable[[], None]) -> Callable[[], None]:
    """Several changes."""

    def go() -> None:
        for change in changes:
            change()

    return go
