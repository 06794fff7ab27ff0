"""Files of a conversation, for those who may follow the chat in which they were shown.

The list of them is for those who may read the transcript of the conversation, by the same right.

Whatever a file is, a browser saves it: it is an attachment of a type that no browser runs, and its
first bytes were looked at, so that nobody need guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import StreamingResponse

from ironclaw.api.access import require, seen_agent, seen_session
from ironclaw.api.bodies import FileList
from ironclaw.api.endpoint import Endpoint, Query, encode
from ironclaw.api.registry import visible
from ironclaw.core.ids import SessionId
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from starlette.responses import Response
    from starlette.types import ASGIApp

    from ironclaw.api.endpoint import Call
    from ironclaw.core.ids import AgentId

_TEXTS: Final = "text/"
MEDIA_TYPE: Final = "*/*"


async def list_files(call: Call) -> Response:
    """Files of conversations that the caller may read, newest first."""
    limit = call.number("limit", default=100, least=1, most=1000)
    house, actor = call.parts.house, call.actor
    agents: Collection[AgentId] | None = await visible(call)
    session = call.text("session")
    if session is not None:
        of = await seen_session(house, actor, session)
        await require(house, actor, Right.READ, of)
    if (ref := call.text("agent")) is not None:
        agent = (await seen_agent(house, actor, ref)).id
        await require(house, actor, Right.READ, agent)
        agents = (agent,)
    found = await house.kept_files(
        agents=agents,
        session=None if session is None else SessionId(session),
        limit=int(limit),
    )
    return encode(FileList(files=found))


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
        "/v1/files",
        Right.READ,
        "any",
        "List files that came with messages or that agents sent, newest first",
        list_files,
        reply=FileList,
        query=(
            Query("agent", "Only files of this agent (name or id)."),
            Query("session", "Only files of this session."),
            Query("limit", "Newest files shown, 1 to 1000; 100 unless told."),
        ),
    ),
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
