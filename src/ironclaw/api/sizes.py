"""Request bodies against their limit: refused before they are read, and never kept when refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.api.problems import respond
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ironclaw.core.errors import IronClawError

DRAIN_BYTES: Final = 64 * 1024 * 1024
DRAIN_S: Final = 5.0
BODY_S: Final = 30.0
"""A client that needs longer for its body is cut off."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read a request's body, at most `limit` bytes.

    Raises:
        UserError: `TOO_LARGE`, before anything is read if the length is announced; `INVALID`, when
            the client left or took too long.
    """
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value[:20]) > limit):
            raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise UserError(Code.INVALID, "The client left.", hint="Send it again.")
                chunk = message.get("body", b"")
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    scope["ironclaw.is_read"] = True
                    return b"".join(chunks)
    except TimeoutError as error:
        raise UserError(
            Code.INVALID,
            f"The body did not arrive within {BODY_S:g} s.",
            hint="Send it at once.",
        ) from error


def _too_large(limit: int) -> UserError:
    return UserError(
        Code.TOO_LARGE,
        f"The request body is over {limit} bytes.",
        hint="Send less; a message has at most 256 KiB of text.",
    )


async def refuse_and_drain(
    error: IronClawError, request_id: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer at once, then throw away what still comes, so that the client gets to read it.

    Closing a connection in the middle of an upload resets it, and most clients then report a broken
    pipe instead of the answer. Nothing is kept, and there is an end to it.
    """
    answer = scope.get("ironclaw.refuse", respond)
    response = answer(error, request_id, {"connection": "close"})
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    await send({"type": "http.response.body", "body": bytes(response.body), "more_body": True})
    expects = any(name == b"expect" for name, _ in scope["headers"])
    try:
        async with asyncio.timeout(DRAIN_S):
            left = 0 if expects else DRAIN_BYTES
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b"", "more_body": False})
