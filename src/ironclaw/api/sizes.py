"""Request bodies against their limit: refused before they are read, and never kept when refused."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import math
from typing import TYPE_CHECKING, Final

from ironclaw.api.problems import respond
from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from ironclaw.core.errors import IronClawError

DRAIN_BYTES: Final = 64 * 1024 * 1024
DRAIN_S: Final = 5.0
LARGE_AT_ONCE: Final = 4
"""Bodies with files, that are dealt with at once."""
LARGE_OF_ONE: Final = 2
"""Of those, at once and of one principal. The second only while more than half are free: two who
send slowly, or wait for replies, leave a place to a third."""
MAX_OBJECTS: Final = 100_000
MAX_COMMAS: Final = 500_000
"""Objects, lists and commas in a body that is longer than usual: long in it are files, which have
none. Millions of small values are gigabytes once decoded, and hold everybody up."""
BODY_S: Final = 30.0
"""A client that needs longer for its body is cut off."""


class LargeBodies:
    """Places for bodies that are longer than usual: each is a lot of memory while dealt with."""

    def __init__(self) -> None:
        self._left = LARGE_AT_ONCE
        self._held: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def place(self, who: str) -> Iterator[None]:
        """Hold one. Raises PolicyError (`RATE_LIMITED`) when there is none for `who` now."""
        if self._left <= 0 or self._held[who] >= self._most_of_one():
            raise PolicyError(
                Code.RATE_LIMITED,
                "Too many large requests are being dealt with.",
                hint="Send it again a little later, and without `wait`.",
            )
        self._left -= 1
        self._held[who] += 1
        try:
            yield
        finally:
            self._left += 1
            self._held[who] -= 1
            if not self._held[who]:
                del self._held[who]

    def _most_of_one(self) -> int:
        return LARGE_OF_ONE if self._left > LARGE_AT_ONCE // 2 else 1


async def read_body(
    scope: Scope,
    receive: Receive,
    limit: int,
    *,
    usual: int | None = None,
    enter: Callable[[], None] = lambda: None,
) -> bytes:
    """Read a request's body, at most `limit` bytes.

    Args:
        scope: Of the request.
        receive: Gives the body.
        limit: Bytes.
        usual: Bytes of an ordinary body; the limit when None.
        enter: Called once, before more than that is read; what it raises refuses the body.

    Raises:
        UserError: `TOO_LARGE`, before anything is read if the length is announced; `INVALID`, when
            the client left or took too long.
    """
    usual = limit if usual is None else usual
    announced = _announced(scope)
    if announced > limit:
        raise _too_large(limit)
    is_large = announced > usual
    if is_large:
        enter()
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
                if size > usual and not is_large:
                    is_large = True
                    enter()
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


def check_pieces(raw: bytes) -> None:
    """Refuse a long body that is long by the number of its values, before it is decoded.

    Raises:
        UserError: `TOO_LARGE`.
    """
    for mark, most in ((b"{", MAX_OBJECTS), (b"[", MAX_OBJECTS), (b",", MAX_COMMAS)):
        at = -1
        for _ in range(most):
            if (at := raw.find(mark, at + 1)) < 0:
                break
        else:
            raise UserError(
                Code.TOO_LARGE,
                "The request body has too many values for one that is so long.",
                hint="Only files make a body longer than api.max_body_bytes: send less beside.",
            )


def _announced(scope: Scope) -> float:
    """Bytes that a request says its body has; 0 when it says nothing."""
    said = [value for name, value in scope["headers"] if name == b"content-length"]
    return max((int(one[:20]) if one.isdigit() else math.inf for one in said), default=0)


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
