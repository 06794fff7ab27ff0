"""The table of sealed session keys. Nothing here can open one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import SessionId

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.store.engine import Store

Row = tuple[int, bytes]
"""Version of the sealing key, and the sealed bytes."""


class KeyRows:
    """Rows of `session_key`: what `ironclaw.keys.custodian` asks of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self) -> dict[SessionId, Row]:
        """Every sealed key. Raises HostError."""

        def work(db: apsw.Connection) -> dict[SessionId, Row]:
            rows = db.execute("SELECT session, version, sealed FROM session_key")
            return {SessionId(session): (version, sealed) for session, version, sealed in rows}

        return await self._store.read(work)

    async def add(self, session: SessionId, row: Row) -> None:
        """Keep a new key; never replaces one. Raises HostError."""

        def work(db: apsw.Connection) -> None:
            try:
                db.execute("INSERT INTO session_key VALUES (?, ?, ?)", (session, *row))
            except apsw.ConstraintError as error:
                raise HostError(
                    Code.KEY_UNUSABLE,
                    f"Session {session} has a key already.",
                    hint="A key is never replaced. This is a bug: please report it.",
                ) from error

        await self._store.write(work)

    async def remove(self, session: SessionId) -> None:
        """Destroy a key, in the write-ahead log too. Idempotent. Raises HostError."""

        def work(db: apsw.Connection) -> None:
            db.execute("DELETE FROM session_key WHERE session = ?", (session,))

        await self._store.write(work)
        await self._store.fold()

    async def reseal(self, convert: Callable[[SessionId, Row], Row]) -> dict[SessionId, Row]:
        """Replace every row by `convert(row)`, all or none. Raises what `convert` raises."""

        def work(db: apsw.Connection) -> dict[SessionId, Row]:
            rows = list(db.execute("SELECT session, version, sealed FROM session_key"))
            fresh = {
                SessionId(session): convert(SessionId(session), (version, sealed))
                for session, version, sealed in rows
            }
            db.executemany(
                "UPDATE session_key SET version = ?, sealed = ? WHERE session = ?",
                [(version, sealed, session) for session, (version, sealed) in fresh.items()],
            )
            return fresh

        fresh = await self._store.write(work)
        await self._store.fold()
        return fresh
