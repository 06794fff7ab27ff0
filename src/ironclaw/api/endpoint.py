"""An endpoint is a row: method, path, right, body, reply, handler.

The rows make everything else: routing, access, OpenAPI, the reference page and the access tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import msgspec
from starlette.responses import Response

from ironclaw.api.misfits import in_words
from ironclaw.api.problems import PROBLEM, Refusal
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from ironclaw.api.access import About
    from ironclaw.api.metrics import Metrics
    from ironclaw.api.openai_chats import Openings
    from ironclaw.api.sse import Streams
    from ironclaw.config.settings import Settings
    from ironclaw.core.clock import Clock
    from ironclaw.domain.rights import Actor, Right
    from ironclaw.domain.tokens import Token, TokenStore
    from ironclaw.services.house import House

MAX_PATH_CHARS: Final = 256
FILES_BODY_BYTES: Final = 44 * 1024 * 1024
"""A body with as many files as a message may have, in base64, and 1 MiB of everything else."""

_T = TypeVar("_T")
_encoder = msgspec.json.Encoder()


class Parts(NamedTuple):
    """What handlers work with."""

    house: House
    tokens: TokenStore
    settings: Settings
    metrics: Metrics
    streams: Streams
    openings: Openings
    clock: Clock


class Call(NamedTuple):
    """One request that got past the gate."""

    parts: Parts
    request: Request
    token: Token | None
    """None on endpoints that are open to everybody."""
    who: Actor | None
    """Who acts; None where `token` is."""
    body: Any
    """An instance of the endpoint's body struct; None when it has none."""
    is_valid: Callable[[], bool] = lambda: True
    """Whether the token is still one: for answers that take long."""

    @property
    def holder(self) -> Token:
        """The token; only for endpoints that ask for one."""
        if self.token is None:
            raise AssertionError("this endpoint is open")
        return self.token

    @property
    def actor(self) -> Actor:
        """Who acts; only for endpoints that ask for a token."""
        if self.who is None:
            raise AssertionError("this endpoint is open")
        return self.who

    def path(self, name: str) -> str:
        """A path parameter. Raises UserError (`INVALID`)."""
        return path_text(self.request.path_params, name)

    def text(self, name: str) -> str | None:
        """A query parameter, None when it is not there. Raises UserError (`INVALID`)."""
        value = self.request.query_params.get(name)
        return None if value is None else _name(value, f"The query parameter {name!r}")

    def choice(self, name: str, *choices: str) -> str:
        """A query parameter that is one of some words, the first unless told.

        Raises:
            UserError: `INVALID`.
        """
        value = self.request.query_params.get(name, choices[0])
        if value not in choices:
            raise UserError(
                Code.INVALID,
                f"The query parameter {name!r} must be one of {', '.join(choices)}.",
                hint=f"Leave it out for {choices[0]}.",
            )
        return value

    def number(self, name: str, *, default: float, least: float, most: float) -> float:
        """A numeric query parameter. Raises UserError (`INVALID`)."""
        raw = self.request.query_params.get(name)
        if raw is None:
            return default
        try:
            value = float(raw)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise UserError(
                Code.INVALID,
                f"The query parameter {name!r} must be a number from {least:g} to {most:g}.",
                hint=f"Leave it out for {default:g}.",
            )
        return value


class Query(NamedTuple):
    """A query parameter, for the reference."""

    name: str
    meaning: str


class Endpoint(NamedTuple):
    """One row."""

    method: str
    path: str
    right: Right | None
    """What the caller must be allowed to do; None: whatever they may, or nothing at all."""
    about: About | None
    """What the right is asked for; None: open to everybody who reaches the port."""
    summary: str
    handler: Callable[[Call], Awaitable[ASGIApp]]
    body: type[msgspec.Struct] | None = None
    reply: Any = None
    status: int = 200
    query: tuple[Query, ...] = ()
    media_type: str = "application/json"
    piece: Any = None
    """One data line of the event stream that it answers with when it is asked to; None: never."""
    refusal: Refusal = PROBLEM
    most_bytes: int = 0
    """Of the body, where it may be longer than others: it can have files."""


def path_text(parameters: Mapping[str, Any], name: str) -> str:
    """A parameter of a path. Raises UserError (`INVALID`)."""
    return _name(cast("str", parameters[name]), f"{name!r} in the path")


def _name(value: str, what: str) -> str:
    if len(value) > MAX_PATH_CHARS or not value.isprintable():
        raise UserError(
            Code.INVALID,
            f"{what} is not a name or an id.",
            hint="Names have printable characters only, at most 256.",
        )
    return value


def decode(body: type[_T], raw: bytes) -> _T:
    """From bytes to a body struct.

    Raises:
        UserError: `INVALID`, with the place of the mistake.

    Trust:
        `raw` is foreign; its size was checked before it was read.
    """
    try:
        value = msgspec.json.decode(raw, type=body)
    except msgspec.ValidationError as error:
        raise UserError(
            Code.INVALID,
            f"The body does not fit: {in_words(str(error))}.",
            hint="/openapi.json has the schema of every body.",
        ) from error
    except (ValueError, RecursionError) as error:
        # msgspec's own texts may quote the body: a binary one says nothing to anybody.
        raise UserError(
            Code.INVALID,
            "The body is not JSON in UTF-8.",
            hint="Send one JSON object, with Content-Type: application/json.",
        ) from error
    return value


def encode(value: object, *, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encoder.encode(value), status_code=status, media_type="application/json")
