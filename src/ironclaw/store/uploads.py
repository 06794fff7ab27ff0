"""Files on their way in and out of the store, a few parts at a time, so that nobody waits for long.

`keeping` puts the files of a message there before the message itself, and takes them away again
when that does not come to be. What a crash leaves in between is swept at the next start.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from ironclaw.core.ids import FileId, new_id
from ironclaw.domain.attachments import Kept, clean_name, media_type
from ironclaw.store.content import Content
from ironclaw.store.file_lists import newest
from ironclaw.store.file_rows import (
    Most,
    State,
    add_part,
    chats_of,
    check_room,
    find_file,
    read_part,
    remove_files,
    seal_name,
)
from ironclaw.store.outgoing import has_come
from ironclaw_contract.limits import MAX_PART_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, ChatId, MessageId, SessionId
    from ironclaw.domain.model import Upload
    from ironclaw.services.house import FileView
    from ironclaw.store.content import ContentKeys
    from ironclaw.store.engine import Store
    from ironclaw_contract.entries import File

_AT_ONCE: Final = 2
"""Parts in one transaction."""
_ORPHAN_MS: Final = 24 * 60 * 60 * 1000
_ORPHANS: Final = (
    "is_out = 0 AND NOT EXISTS (SELECT 1 FROM message m WHERE m.id = file.message)"
    " OR message = '' AND at_ms < ?"
)


class FileStore:
    """Files, by message and by id.

    Args:
        store: Where they are.
        keys: Seal them.
        clock: When they came.
        most: Bytes of files that there may be.
    """

    def __init__(
        self, store: Store, keys: ContentKeys, clock: Clock, *, most: Most | None = None
    ) -> None:
        self._store = store
        self._content = Content(keys)
        self._clock = clock
        self.most = most or Most()

    @contextlib.asynccontextmanager
    async def keeping(
        self, session: SessionId, message: MessageId, uploads: Sequence[Upload]
    ) -> AsyncIterator[Callable[[], None]]:
        """Keep the files of a message that is about to be kept.

        Yields:
            What is to be called once the message is there; else they go with the end of it.

        Raises:
            UserError: `TOO_LARGE`: the session has no room for them.
            HostError: From the store.
        """
        is_kept = False

        def settle() -> None:
            nonlocal is_kept
            is_kept = True

        try:
            await self._begin(session, message, uploads)
            yield settle
        finally:
            if not is_kept:
                await self._store.write(
                    lambda db: remove_files(db, "is_out = 0 AND message = ?", message)
                )

    async def _begin(
        self, session: SessionId, message: MessageId, uploads: Sequence[Upload]
    ) -> None:
        now = self._clock.now_ms()
        ids = [FileId(new_id("fil")) for _ in uploads]
        size = sum(len(one.data) for one in uploads)

        def begin(db: apsw.Connection) -> list[int]:
            check_room(db, session, count=len(uploads), size=size, most=self.most)
            numbers = []
            for position, (id_, one) in enumerate(zip(ids, uploads, strict=True)):
                name = clean_name(one.name)
                sealed = seal_name(
                    self._content, session, id_, name, media_type(name, one.data[:MAX_PART_BYTES])
                )
                parts = max(1, -(-len(one.data) // MAX_PART_BYTES))
                db.execute(
                    "INSERT INTO file (id, session, message, position, is_out, sealed, size,"
                    " parts, state, at_ms) VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
                    (
                        id_, session, message, position, sealed, len(one.data), parts,
                        State.WHOLE.value, now,
                    ),
                )  # fmt: skip
                numbers.append(db.last_insert_rowid())
            return numbers

        numbers = await self._store.write(begin)
        for n, id_, one in zip(numbers, ids, uploads, strict=True):
            parts = max(1, -(-len(one.data) // MAX_PART_BYTES))
            for first in range(0, parts, _AT_ONCE):

                def add(
                    db: apsw.Connection,
                    n: int = n,
                    id_: FileId = id_,
                    data: bytes = one.data,
                    first: int = first,
                ) -> None:
                    view = memoryview(data)
                    for index in range(first, first + _AT_ONCE):
                        part = bytes(view[index * MAX_PART_BYTES : (index + 1) * MAX_PART_BYTES])
                        if part or index == 0:
                            add_part(db, self._content, session, n, id_, index, part)

                await self._store.write(add)

    async def find(self, file: str) -> Kept | None:
        """A whole file by its id. Raises HostError."""
        return await self._store.read(lambda db: find_file(db, self._content, file))

    async def newest(
        self, *, agents: Collection[AgentId] | None, session: SessionId | None, limit: int
    ) -> list[FileView]:
        """The newest files of conversations that were not forgotten, newest first.

        Args:
            agents: Only of these; None: of all.
            session: Only of this conversation; None: of all.
            limit: How many at most.

        Raises:
            HostError: From the store.
        """
        return await self._store.read(
            lambda db: newest(db, self._content, agents=agents, session=session, limit=limit)
        )

    async def chats(self, kept: Kept) -> tuple[ChatId, ...]:
        """Where it was shown. Raises HostError."""
        return await self._store.read(lambda db: chats_of(db, kept))

    async def parts(self, kept: Kept) -> AsyncIterator[bytes]:
        """Its bytes, part by part; ends early when it is removed meanwhile. Raises HostError."""
        for index in range(kept.parts):

            def read(db: apsw.Connection, index: int = index) -> bytes | None:
                return read_part(db, self._content, kept.session, kept.n, kept.id, index)

            data = await self._store.read(read)
            if data is None:
                return
            yield data

    async def of_session(self, session: SessionId, files: Sequence[File]) -> list[Kept]:
        """Those of these files that are of that session, as the store has them.

        Trust:
            The ids are a box's word.
        """

        def work(db: apsw.Connection) -> list[Kept]:
            found = (find_file(db, self._content, file.id, of=session) for file in files)
            return [one for one in found if one is not None]

        return await self._store.read(work)

    async def has_come(self, session: SessionId, ids: Sequence[str]) -> bool:
        """Whether files that a box says it has sent are there. Raises HostError."""
        return await self._store.read(lambda db: has_come(db, session, ids))

    async def sweep(self) -> None:
        """Remove what a crash left of messages that were never kept. Raises HostError."""
        before = self._clock.now_ms() - _ORPHAN_MS
        await self._store.write(lambda db: remove_files(db, _ORPHANS, before))
