"""An endpoint is a row: method, path, scopes, body, reply, handler.

The rows make everything else: routing, access, OpenAPI, the reference page and the access tests.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

import msgspec
from starlette.responses import Response

from ironclaw.api.bodies import RULES
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from ironclaw.api.metrics import Metrics
    from ironclaw.api.scopes import Scope
    from ironclaw.api.sse import Streams
    from ironclaw.api.tokens import Token, TokenStore
    from ironclaw.config.settings import Settings
    from ironclaw.core.clock import Clock
    from ironclaw.services.house import House

MAX_PATH_CHARS: Final = 256

_LENGTH: Final = re.compile(
    r"Expected `(?P<kind>str|array)` of length (?P<sign>>=|<=) (?P<number>\d+)"
    r" - at `\$\.(?P<place>[a-z_.]+)`"
)
"""What msgspec says of a text or list that is too short or too long."""

_T = TypeVar("_T")
_encoder = msgspec.json.Encoder()


class Parts(NamedTuple):
    """What handlers work with."""

    house: House
    tokens: TokenStore
    settings: Settings
    metrics: Metrics
    streams: Streams
    clock: Clock


class Call(NamedTuple):
    """One request that got past the gate."""

    parts: Parts
    request: Request
    token: Token | None
    """None on endpoints that are open to everybody."""
    body: Any
    """An instance of the endpoint's body struct; None when it has none."""

    @property
    def holder(self) -> Token:
        """The token; only for endpoints that ask for one."""
        if self.token is None:
            raise AssertionError("this endpoint is open")
        return self.token

    def path(self, name: str) -> str:
        """A path parameter. Raises UserError (`INVALID`)."""
        value = cast("str", self.request.path_params[name])
        if len(value) > MAX_PATH_CHARS or not value.isprintable():
            raise UserError(
                Code.INVALID,
                f"{name!r} in the path is not a name or an id.",
                hint="Names have printable characters only, at most 256.",
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
    scopes: frozenset[Scope] | None
    """Any of these lets a token in; None: open to everybody who reaches the port."""
    summary: str
    handler: Callable[[Call], Awaitable[ASGIApp]]
    body: type[msgspec.Struct] | None = None
    reply: Any = None
    status: int = 200
    query: tuple[Query, ...] = ()
    media_type: str = "application/json"


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
        text = str(error)
        for pattern, words in RULES.items():
            text = text.replace(f"`str` matching regex {pattern!r}", words)
        raise UserError(
            Code.INVALID,
            f"The body does not fit: {in_words(text)}.",
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


def in_words(text: str) -> str:
    """What a decoder found wrong with a length, in plain words; anything else as it is."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        return text
    unit = "characters" if found["kind"] == "str" else "entries"
    if (found["sign"], found["number"]) == (">=", "1"):
        return f"`{found['place']}` is empty"
    bound = "at least" if found["sign"] == ">=" else "at most"
    return f"`{found['place']}` must have {bound} {found['number']} {unit}"


def encode(value: object, *, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encoder.encode(value), status_code=status, media_type="application/json")
