"""Files of a conversation, for those who may follow the chat in which they were shown.

Whatever a file is, a browser saves it: it is an attachment of a type that no browser runs, and its
first bytes were looked at, so that nobody need guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import StreamingResponse

from ironclaw.api.endpoint import Endpoint
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp

    from ironclaw.api.endpoint import Call

_TEXTS: Final = "text/"
MEDIA_TYPE: Final = "*/*"


async def get_file(call: Call) -> ASGIApp:
    """Send a file, part by part."""
    # The door has looked whether there is such a file and whether the caller may have it.
    opened = await call.parts.house.file(call.path("file"))
    media_type = opened.file.media_type
    if media_type.startswith(_TEXTS):
        media_type += "; charset=utf-8"
    return StreamingResponse(
        _whole(opened.data, opened.file.size),
        media_type=media_type,
        headers={
            "content-disposition": disposition(opened.file.name),
            "content-length": str(opened.file.size),
        },
    )


async def _whole(data: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """All of it. One that is forgotten meanwhile breaks the connection: it must not look whole."""
    async for part in data:
        size -= len(part)
        yield part
    if size:
        raise ConnectionAbortedError("the file is gone")


def disposition(name: str) -> str:
    """The header that has a browser save it under its name.

    Trust:
        The name is foreign: nothing but a plain one stands in the header as it is.

    Source:
        RFC 6266; RFC 8187 for the encoding.
    """
    plain = "".join(
        char if (char.isascii() and char.isalnum()) or char in "._- " else "_" for char in name
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "/v1/files/{file}",
        Right.TALK,
        "file",
        "Get a file that came with a message or that an agent sent",
        get_file,
        media_type=MEDIA_TYPE,
    ),
)
