"""What every request passes, in this order, before a handler sees it.

`Gate`: request id, security headers, `Host` and `Origin` (DNS rebinding), errors to problem+json.
`Door`, one for each endpoint: (1) token, (2) right, (3) size of the body before and while it is
read, (4) the body's shape, then the handler. Pure ASGI: a middleware stack would cost more than
the handlers do.
"""

from __future__ import annotations

import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ironclaw.api.access import actor_of, admit
from ironclaw.api.arrivals import by_of, source_of
from ironclaw.api.endpoint import Call, Endpoint, Parts, decode, path_text
from ironclaw.api.problems import bug, respond
from ironclaw.api.sizes import LargeBodies, check_pieces, read_body, refuse_and_drain
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError, PolicyError, UserError
from ironclaw.core.ids import new_id
from ironclaw.core.log import get_logger
from ironclaw.domain.acting import act_as
from ironclaw.domain.audit import CORE

if TYPE_CHECKING:
    import msgspec
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ironclaw.api.arrivals import Arrivals
    from ironclaw.config.settings import ApiSettings
    from ironclaw.domain.rights import Actor
    from ironclaw.domain.tokens import Token

SECURITY_HEADERS: Final = (
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
)
MAX_HEADER_BYTES: Final = 32 * 1024
MAX_FAILURES: Final = 20
FAILURE_WINDOW_S: Final = 60.0
MAX_SOURCES: Final = 1024

_log = get_logger("api.gate")


class Throttle:
    """Counts failed authentication by source.

    It slows guessing and never keeps a good token out: a stranger on the same address must not be
    able to lock the owner out.
    """

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}

    def failed(self, source: str, now_s: float) -> bool:
        """Note a failure; return whether there were too many lately."""
        if source not in self._failures and len(self._failures) >= MAX_SOURCES:
            self._failures.pop(next(iter(self._failures)))
        times = self._failures.setdefault(source, deque(maxlen=MAX_FAILURES + 1))
        while times and now_s - times[0] > FAILURE_WINDOW_S:
            times.popleft()
        times.append(now_s)
        return len(times) > MAX_FAILURES


class Gate:
    """The outermost application."""

    def __init__(self, app: ASGIApp, parts: Parts) -> None:
        self._app = app
        self._parts = parts
        self._hosts = allowed_hosts(parts.settings.api)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens inside."""
        if scope["type"] != "http":
            return
        clock = self._parts.clock
        began = clock.monotonic_s()
        request_id = scope["ironclaw.request_id"] = new_id("req")
        # Starlette's router raises its refusals only when it believes an application is around it.
        scope["app"] = self
        status = 0
        is_stream = False

        async def sealed_send(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS:
                    headers.setdefault(name, value)
                headers["x-request-id"] = request_id
                status = message["status"]
                is_stream = headers.get("content-type", "").startswith("text/event-stream")
            await send(message)

        try:
            self._check_origin(scope)
            await self._app(scope, receive, sealed_send)
        except IronClawError as error:
            await self._refuse(error, status, scope, receive, sealed_send)
        except HTTPException as error:
            await self._refuse(_from_router(error), status, scope, receive, sealed_send)
        except Exception:  # noqa: BLE001 - the API edge
            # The log gets the traceback, the client gets a request id.
            _log.exception("request failed", request=request_id, path=scope["path"][:200])
            await self._refuse(bug(), status, scope, receive, sealed_send)
        finally:
            took = None if is_stream else clock.monotonic_s() - began
            self._parts.metrics.request(status, took)

    async def _refuse(
        self, error: IronClawError, status: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._parts.metrics.error(error.code)
        if status:
            return  # Half an answer is out already; nothing sensible can follow it.
        request_id: str = scope["ironclaw.request_id"]
        if error.detail:
            _log.warning("request failed", request=request_id, code=error.code, detail=error.detail)
        wants_drain = error.code is Code.TOO_LARGE or "ironclaw.drain" in scope
        if wants_drain and "ironclaw.is_read" not in scope:
            await refuse_and_drain(error, request_id, scope, receive, send)
            return
        answer = scope.get("ironclaw.refuse", respond)
        await answer(error, request_id, None)(scope, receive, send)

    def _check_origin(self, scope: Scope) -> None:
        hosts: list[bytes] = []
        size = 0
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name == b"host":
                hosts.append(value)
            elif name == b"origin" and host_of(value.partition(b"://")[2]) not in self._hosts:
                raise PolicyError(
                    Code.FORBIDDEN,
                    "The request comes from a page of another site.",
                    hint="Pages of other sites may not use this API.",
                )
        # The HTTP parser bounds what it waits for, not what arrives in one piece.
        if size > MAX_HEADER_BYTES:
            raise UserError(
                Code.TOO_LARGE,
                f"The request's headers are over {MAX_HEADER_BYTES} bytes.",
                hint="Send fewer or shorter headers.",
            )
        if len(hosts) != 1 or host_of(hosts[0]) not in self._hosts:
            raise PolicyError(
                Code.FORBIDDEN,
                "The Host header names no address of this API.",
                hint="Use the address of api.host, or add the name to api.allowed_hosts.",
            )


class Door:
    """The way in to one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        parts: Parts,
        throttle: Throttle,
        arrivals: Arrivals,
        large: LargeBodies | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._parts = parts
        self._throttle = throttle
        self._arrivals = arrivals
        self._large = large or LargeBodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, read, decode, handle, answer."""
        with contextlib.ExitStack() as held:
            await self._serve(scope, receive, send, held)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, held: contextlib.ExitStack
    ) -> None:
        endpoint = self._endpoint
        scope["ironclaw.refuse"] = endpoint.refusal.respond
        token: Token | None = None
        actor: Actor | None = None
        by = CORE
        secret = ""
        request = Request(scope, receive)
        if endpoint.about is not None:
            source = source_of(scope)
            secret = _bearer(scope)
            token = self._authenticate(secret, source)  # (1)
            by = by_of(token, scope, source)
            await self._arrivals.came_in(token, by, source)
            actor = actor_of(token)
            await admit(  # (2)
                self._parts.house,
                actor,
                endpoint.about,
                endpoint.right,
                partial(path_text, request.path_params),
            )
        body: Any = None
        if endpoint.body is not None:
            who = "" if token is None else token.principal
            body = await self._body(endpoint.body, who, scope, receive, held)  # (3), (4)
        call = Call(self._parts, request, token, actor, body, partial(self._is_valid, secret))
        with act_as(by):
            response = await endpoint.handler(call)
        # An answer can take minutes: what was sent is not kept in memory for so long.
        del body, call
        held.close()
        await response(scope, receive, send)

    async def _body(
        self,
        kind: type[msgspec.Struct],
        who: str,
        scope: Scope,
        receive: Receive,
        held: contextlib.ExitStack,
    ) -> Any:
        usual = self._parts.settings.api.max_body_bytes

        def enter() -> None:
            scope["ironclaw.drain"] = True
            held.enter_context(self._large.place(who))

        limit = max(usual, self._endpoint.most_bytes)
        raw = await read_body(scope, receive, limit, usual=usual, enter=enter)
        if len(raw) > usual:
            check_pieces(raw)
        return decode(kind, raw)

    def _is_valid(self, secret: str) -> bool:
        return self._parts.tokens.find(secret) is not None

    def _authenticate(self, secret: str, source: str) -> Token:
        token = self._parts.tokens.find(secret) if secret else None
        if token is not None:
            return token
        self._arrivals.refused(source)
        if self._throttle.failed(source, self._parts.clock.monotonic_s()):
            raise PolicyError(
                Code.RATE_LIMITED,
                "Too many requests without a valid token.",
                hint="Wait a minute; a valid token is accepted at any time.",
            )
        raise UserError(
            Code.UNAUTHENTICATED,
            "The token is unknown, revoked or expired."
            if secret
            else "There is no bearer token in the request.",
            hint="Send `Authorization: Bearer icl_…`; the first token is in the state directory, "
            "in the file api-token.",
        )


def _bearer(scope: Scope) -> str:
    """The secret that a request carries; empty when it has none, or several."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return ""
    scheme, _, rest = given[0].decode("latin-1").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


def allowed_hosts(settings: ApiSettings) -> frozenset[str]:
    """Names under which this API may be addressed."""
    known = {"127.0.0.1", "localhost", "[::1]", "ironclaw", settings.host, *settings.allowed_hosts}
    if settings.host in {"0.0.0.0", "::"}:  # noqa: S104 - read here, not bound
        known.discard(settings.host)
    return frozenset(host.lower() for host in known)


def host_of(raw: bytes) -> str:
    """The host of a `host[:port]` header, lower case, without its port."""
    text = raw.decode("latin-1").lower()
    if text.startswith("["):
        return text[: text.find("]") + 1]
    return text.partition(":")[0]


def _from_router(error: HTTPException) -> IronClawError:
    if error.status_code == 405:  # noqa: PLR2004 - what the router raises
        return UserError(
            Code.INVALID,
            "This path does not know that method.",
            hint="/openapi.json lists every path with its methods.",
        )
    return UserError(
        Code.NOT_FOUND,
        "There is nothing at this path.",
        hint="/openapi.json lists every path.",
    )
