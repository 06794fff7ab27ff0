"""SQLite in private memory: one file, once, and no other."""

from __future__ import annotations

import apsw
import pytest

from ironclaw_contract.memory_vfs import CIPHER_VFS, place

_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI


def test_what_is_written_is_in_the_array_and_can_be_read_again() -> None:
    data = bytearray()
    place(data)
    connection = apsw.Connection("file:x", _WRITE, CIPHER_VFS)
    connection.execute("PRAGMA journal_mode=OFF").fetchall()
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (7)")
    connection.close()
    assert data.startswith(b"SQLite format 3\0")
    place(bytes(data))
    reader = apsw.Connection(
        "file:x?immutable=1", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, CIPHER_VFS
    )
    assert reader.execute("SELECT x FROM t").fetchall() == [(7,)]
    reader.close()


def test_a_file_that_was_not_placed_does_not_open() -> None:
    place(b"")
    apsw.Connection("file:x", _WRITE, CIPHER_VFS).close()
    with pytest.raises(apsw.CantOpenError):
        apsw.Connection("file:x", _WRITE, CIPHER_VFS)


def test_no_other_file_is_opened_and_nothing_is_deleted() -> None:
    """With a journal switched on, a write asks for a second file and fails."""
    place(bytearray())
    connection = apsw.Connection("file:x", _WRITE, CIPHER_VFS)
    with pytest.raises(apsw.Error):
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(apsw.Error):
        connection.execute("ATTACH 'file:/etc/passwd' AS other")
    connection.close()


def test_bytes_cannot_be_written() -> None:
    place(b"")
    connection = apsw.Connection("file:x", _WRITE, CIPHER_VFS)
    connection.execute("PRAGMA journal_mode=OFF").fetchall()
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("CREATE TABLE t (x)")
    connection.close()
