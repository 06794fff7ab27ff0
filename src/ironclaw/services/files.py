"""Files between the ledger and everybody who needs their bytes: boxes, models, people, channels.

send      to a box: parts, then the message that names them
of        to a model: the pictures that a call names, if they are of its session
arrived   whether what a box says it has sent is there; waits for the commit, not for long
open      to people and channels
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.attachments import IMAGES, Kept
from ironclaw.domain.providers import Picture
from ironclaw_contract import records
from ironclaw_contract.entries import File, Said
from ironclaw_contract.rpc import Purpose

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from ironclaw.core.ids import ChatId, SessionId
    from ironclaw.domain.model import Message
    from ironclaw.domain.wall import AirlockLink
    from ironclaw_contract.rpc import Generate

MOST_PICTURES: Final = 8
"""Of one model call: the newest."""
PICTURE_BYTES: Final = 3_750_000
"""One picture: what the strictest of the providers takes, 5 MB in base64."""
PICTURES_BYTES: Final = 8 * 1024 * 1024
"""Of one model call together."""
ARRIVE_S: Final = 8.0
"""How long a host tool waits for parts that are on their way; less than the box waits for it."""
_AT_ONCE: Final = 4
"""Parts in one segment."""


class Shelf(Protocol):
    """Where they are: `ironclaw.store.uploads.FileStore`. All raise HostError."""

    async def find(self, file: str) -> Kept | None:
        """A whole file by its id."""
        ...

    async def chats(self, kept: Kept) -> Sequence[ChatId]:
        """Where it was shown."""
        ...

    def parts(self, kept: Kept) -> AsyncIterator[bytes]:
        """Its bytes, part by part."""
        ...

    async def of_session(self, session: SessionId, files: Sequence[File]) -> Sequence[Kept]:
        """Those of these files that are of that session, as the store has them."""
        ...

    async def has_come(self, session: SessionId, ids: Sequence[str]) -> bool:
        """Whether files that a box says it has sent are there."""
        ...


class Opened(NamedTuple):
    """A file for people."""

    file: File
    chats: tuple[ChatId, ...]
    """Where it was shown."""
    data: AsyncIterator[bytes]


class Files:
    """Implements `parts.Parcels`, `domain.providers.Pictures` and `domain.channels.FileBytes`.

    Args:
        shelf: Where they are.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._waiting: dict[SessionId, set[asyncio.Event]] = {}

    # --- to a box ---------------------------------------------------------------------------------

    async def send(
        self, link: AirlockLink, message: Message, record: records.Message, *, is_told: bool
    ) -> None:
        """Publish a message with the files that came with it.

        Args:
            link: Of the box.
            message: Who said what.
            record: The same for the box.
            is_told: A former box had it, and began to work on it: the workspace has its files.
        """
        if not is_told:
            for file in message.files:
                await self._send_file(link, file)
        await link.publish([record])

    async def _send_file(self, link: AirlockLink, file: File) -> None:
        kept = await self._shelf.find(file.id)
        if kept is None:
            return
        batch: list[records.Part] = []
        index = 0
        async for data in self._shelf.parts(kept):
            whole = kept.file if index == kept.parts - 1 else None
            batch.append(records.Part(file.id, index, data, whole))
            index += 1
            if len(batch) == _AT_ONCE:
                await link.publish(batch)
                batch = []
        if batch:
            await link.publish(batch)

    # --- from a box -------------------------------------------------------------------------------

    def came(self, session: SessionId) -> None:
        """Parts that a box has sent are in the ledger."""
        for waiting in self._waiting.get(session, ()):
            waiting.set()

    async def arrived(
        self, session: SessionId, ids: Sequence[str], *, wait_s: float = ARRIVE_S
    ) -> bool:
        """Whether what a box says it has sent is there, now or a little later.

        Trust:
            The ids are a box's word.
        """
        bell = asyncio.Event()
        waiting = self._waiting.setdefault(session, set())
        waiting.add(bell)
        try:
            async with asyncio.timeout(wait_s):
                while not await self._shelf.has_come(session, ids):
                    await bell.wait()
                    bell.clear()
        except TimeoutError:
            return False
        finally:
            waiting.discard(bell)
            if not waiting:
                self._waiting.pop(session, None)
        return True

    # --- to a model -------------------------------------------------------------------------------

    async def of(self, session: SessionId, request: Generate) -> list[Picture]:
        """The pictures of a call: the newest of its session that fit, oldest first.

        Trust:
            The ids are a box's word; what is a picture, and whose, is the ledger's.
        """
        if request.purpose is not Purpose.TURN:
            return []
        named = list(_named(request))
        if not named:
            return []
        found: list[Picture] = []
        room = PICTURES_BYTES
        for kept in await self._shelf.of_session(session, named):
            file = kept.file
            if file.media_type in IMAGES and file.size <= min(room, PICTURE_BYTES):
                data = b"".join([part async for part in self._shelf.parts(kept)])
                if len(data) == file.size:
                    found.append(Picture(file.id, file.media_type, data))
                    room -= file.size
            if len(found) == MOST_PICTURES:
                break
        return found[::-1]

    # --- to people --------------------------------------------------------------------------------

    async def open(self, file: str) -> Opened:
        """A file by the id that people know. Raises UserError (`NOT_FOUND`), HostError."""
        kept = await self._shelf.find(file)
        if kept is None:
            raise UserError(
                Code.NOT_FOUND,
                f"There is no file {file[:80]!r}.",
                hint="The events of a chat name its files.",
            )
        chats = tuple(await self._shelf.chats(kept))
        return Opened(kept.file, chats, self._shelf.parts(kept))

    async def read(self, file: File) -> AsyncIterator[bytes]:
        """The bytes of a file of a delivery, part by part. Raises UserError, HostError."""
        opened = await self.open(file.id)
        async for part in opened.data:
            yield part


def _named(request: Generate) -> Iterator[File]:
    """Files of the newest messages of a call, each once, newest first; no more than are looked up.

    Trust:
        A box chooses them, and there may be thousands.
    """
    seen: dict[str, None] = {}
    for entry in reversed(request.entries):
        for file in reversed(entry.files if isinstance(entry, Said) else ()):
            if file.id not in seen and file.media_type in IMAGES:
                seen[file.id] = None
                yield file
            if len(seen) == MOST_PICTURES * 4:
                return
