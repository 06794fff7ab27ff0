"""Files in memory, for houses of tests: kept by the fake house, sent back to whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChatId, new_id
from ironclaw.domain.attachments import check_files, clean_name, media_type
from ironclaw.services.files import Opened
from ironclaw_contract.entries import File, Files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ironclaw.domain.model import Upload


class MemoryFiles:
    """What came with messages, by id."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[File, ChatId, bytes]] = {}

    def keep(self, chat: ChatId, uploads: Sequence[Upload]) -> Files:
        """Keep what came with a message. Raises UserError (`TOO_LARGE`)."""
        check_files(uploads)
        found = []
        for one in uploads:
            name = clean_name(one.name)
            file = File(
                id=new_id("fil"),
                name=name,
                media_type=media_type(name, one.data),
                size=len(one.data),
            )
            self._kept[file.id] = (file, chat, one.data)
            found.append(file)
        return tuple(found)

    def open(self, file: str) -> Opened:
        """A file by its id. Raises UserError (`NOT_FOUND`)."""
        if file not in self._kept:
            raise UserError(Code.NOT_FOUND, "There is no such file.", hint="Follow the chat.")
        kept, chat, data = self._kept[file]
        return Opened(kept, (chat,), _parts(data))


async def _parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 8):
        yield data[start : start + 8]
