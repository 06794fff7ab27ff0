"""The engine: one writer thread with group commit, reader threads, and an async face.

write(work) -> queue -> writer: BEGIN, each work in a savepoint, COMMIT once -> futures resolve
read(work)  -> queue -> a reader's own connection and snapshot

Whoever waits for `write` is told only after the disk has it. Work that fails undoes itself alone;
a commit that fails undoes the whole group, and everybody in it hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import weakref
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar, cast

import apsw

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.store.connection import made, open_checked, open_reader
from ironclaw.store.faults import fault
from ironclaw.store.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

_T = TypeVar("_T")

GROUP: Final = 256
"""Works in one transaction, at most."""
READERS: Final = 2
"""A long read must not keep the hot path waiting."""


class _Job(Generic[_T]):
    """One piece of work and who waits for it."""

    __slots__ = ("error", "future", "result", "work")

    def __init__(self, work: Callable[[apsw.Connection], _T], future: asyncio.Future[_T]) -> None:
        self.work = work
        self.future = future
        self.result: _T | None = None
        self.error: BaseException | None = None

    def run(self, db: apsw.Connection) -> None:
        self.result = self.work(db)

    def settle(self) -> None:
        """Tell the waiter; in the loop's thread."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(cast("_T", self.result))


_Queue = queue.SimpleQueue["_Job[object] | None"]


class Store:
    """The open store. Make it with `open`; close it when everything that writes has ended."""

    def __init__(
        self,
        path: Path,
        key: bytes,
        loop: asyncio.AbstractEventLoop,
        writer: apsw.Connection,
        readers: list[apsw.Connection],
    ) -> None:
        self.path = path
        self._key = key
        self._loop = loop
        self._writes: _Queue = queue.SimpleQueue()
        self._reads: _Queue = queue.SimpleQueue()
        self._closed = False
        # A table somebody wants to hear of, and how many rows this transaction has added to it.
        self._watched: tuple[str, Callable[[int], None]] | None = None
        self._added = 0
        self._threads = [
            threading.Thread(
                target=self._write_loop, args=(writer,), name="store-writer", daemon=True
            ),
            *(
                threading.Thread(
                    target=self._read_loop, args=(reader,), name=f"store-reader-{n}", daemon=True
                )
                for n, reader in enumerate(readers)
            ),
        ]
        for thread in self._threads:
            thread.start()

    @classmethod
    async def open(cls, path: Path, key: bytes) -> Self:
        """Open, check and migrate.

        Args:
            path: The database file; its directory exists and is ours alone.
            key: 32 bytes, the page key.

        Raises:
            HostError: `STORE_CORRUPT`, `DISK_FULL` or `STORE_FAILED`; the file is as it was.
        """
        writer, readers = await asyncio.to_thread(_connect, path, key)
        return cls(path, key, asyncio.get_running_loop(), writer, readers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def write(self, work: Callable[[apsw.Connection], _T]) -> _T:
        """Run `work` in a transaction; durable on return.

        `work` runs in the writer's thread. Whatever it raises is raised here and undoes it.
        Cancelling the caller does not undo work that is queued.

        Raises:
            HostError: `DISK_FULL`, `STORE_CORRUPT`, `STORE_FAILED`, `UNAVAILABLE` when closed.
        """
        return await self._submit(self._writes, work)

    async def read(self, work: Callable[[apsw.Connection], _T]) -> _T:
        """Run `work` on a reader, in one snapshot that has every write that has returned.

        Raises:
            HostError: `STORE_CORRUPT`, `STORE_FAILED`, `UNAVAILABLE` when closed.
        """
        return await self._submit(self._reads, work)

    async def watch(self, table: str, call: Callable[[int], None]) -> None:
        """Call `call` in the loop, with their number, after rows of `table` are on the disk.

        One table, one watcher. A piece of work that was undone may be counted too.
        """

        def work(db: apsw.Connection) -> None:
            self._watched = (table, call)
            db.set_update_hook(self._noticed)

        await self.write(work)

    async def fold(self) -> None:
        """Fold the write-ahead log into the file and overwrite it. Best effort under load."""
        await asyncio.to_thread(_fold, self.path, self._key)

    async def close(self) -> None:
        """Finish what is queued, fold the WAL in, close. Idempotent."""
        if self._closed:
            return
        self._closed = True
        for _ in range(len(self._threads) - 1):
            self._reads.put(None)
        self._writes.put(None)
        for thread in reversed(self._threads):
            await asyncio.to_thread(thread.join)

    async def _submit(self, jobs: _Queue, work: Callable[[apsw.Connection], _T]) -> _T:
        if self._closed:
            raise HostError(Code.UNAVAILABLE, "The store is closed.", hint="Start ironclaw again.")
        future: asyncio.Future[_T] = self._loop.create_future()
        job = _Job(work, future)
        # The queue holds jobs of every type; each knows its own.
        jobs.put(cast("_Job[object]", job))
        return await future

    # --- threads ----------------------------------------------------------------------------------

    def _write_loop(self, db: apsw.Connection) -> None:
        open_ = True
        while open_:
            first = self._writes.get()
            if first is None:
                break
            group = [first]
            while len(group) < GROUP:
                try:
                    job = self._writes.get_nowait()
                except queue.Empty:
                    break
                if job is None:
                    open_ = False
                    break
                group.append(job)
            self._added = 0
            self._commit(db, group)
            self._settle(group)
            self._tell_watcher(group)
        db.close()

    def _commit(self, db: apsw.Connection, group: list[_Job[object]]) -> None:
        try:
            db.execute("BEGIN IMMEDIATE")
            for job in group:
                self._attempt(db, job)
            db.execute("COMMIT")
        except apsw.Error as error:
            _abandon(db)
            for job in group:
                if job.error is None:
                    job.error = fault(error, self.path)

    def _attempt(self, db: apsw.Connection, job: _Job[object]) -> None:
        db.execute("SAVEPOINT work")
        try:
            with _cursors_of_one_job(db):
                job.run(db)
        except BaseException as error:  # handed to whoever waits for this work
            job.error = fault(error, self.path) if isinstance(error, apsw.Error) else error
            if not db.in_transaction and isinstance(error, apsw.Error):
                # SQLite itself gave the whole transaction up (a full disk, an I/O error).
                raise
            db.execute("ROLLBACK TO work")
        db.execute("RELEASE work")

    def _noticed(self, kind: int, _database: str, table: str, _row: int) -> None:
        if self._watched is not None and table == self._watched[0] and kind == apsw.SQLITE_INSERT:
            self._added += 1

    def _tell_watcher(self, group: list[_Job[object]]) -> None:
        if self._watched is None or not self._added or self._loop.is_closed():
            return
        if any(job.error is None for job in group):
            self._loop.call_soon_threadsafe(self._watched[1], self._added)

    def _read_loop(self, db: apsw.Connection) -> None:
        while (job := self._reads.get()) is not None:
            try:
                db.execute("BEGIN")
                with _cursors_of_one_job(db):
                    job.run(db)
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for this work
                job.error = fault(error, self.path) if isinstance(error, apsw.Error) else error
            _abandon(db)
            self._settle([job])
        db.close()

    def _settle(self, jobs: list[_Job[object]]) -> None:
        def settle() -> None:
            for job in jobs:
                job.settle()

        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(settle)


@contextlib.contextmanager
def _cursors_of_one_job(db: apsw.Connection) -> Iterator[None]:
    """Close every cursor that a piece of work leaves unfinished.

    One that is dropped in the middle of its rows is not always closed with it (seen with apsw 3.54,
    where further queries ran meanwhile). It keeps its snapshot then, and the connection would show
    the state of that moment for ever. Only those are closed here: closing one leaks some 200 bytes.
    """
    alive: weakref.WeakSet[apsw.Cursor] = weakref.WeakSet()

    def make(connection: apsw.Connection) -> apsw.Cursor:
        cursor = apsw.Cursor(connection)
        alive.add(cursor)
        return cursor

    db.cursor_factory = make
    try:
        yield
    finally:
        db.cursor_factory = apsw.Cursor
        for cursor in list(alive):
            cursor.close(force=True)


def _abandon(db: apsw.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")


def _fold(path: Path, key: bytes) -> None:
    try:
        db = open_reader(path, key)
        try:
            db.pragma("query_only", 0)
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            db.close()
    except apsw.BusyError:
        return
    except apsw.Error as error:
        raise fault(error, path) from error


def _connect(path: Path, key: bytes) -> tuple[apsw.Connection, list[apsw.Connection]]:
    writer = open_checked(path, key)
    try:
        migrate(writer, path)
        made(path)
        # A first start that was cut short between key and session leaves a key of nobody.
        writer.execute("DELETE FROM session_key WHERE session NOT IN (SELECT id FROM session)")
        readers = [open_reader(path, key) for _ in range(READERS)]
    except apsw.Error as error:
        writer.close()
        raise fault(error, path) from error
    except HostError:
        writer.close()
        raise
    return writer, readers
