"""Errors as problem+json: the one place that turns an exception into an answer.

Source: RFC 9457. `type` names the row of docs/reference/errors.md; `code` is the same word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from starlette.responses import Response

from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError, IronClawError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str
    """The next step."""
    request_id: str


def problem_of(error: IronClawError, request_id: str) -> Problem:
    """What a client is told of an error. Never its `detail`: that is for the log."""
    return Problem(
        type=f"urn:ironclaw:error:{error.code}",
        title=CODES[error.code].meaning,
        status=error.row.http_status,
        detail=error.message,
        code=error.code,
        hint=error.hint,
        request_id=request_id,
    )


def respond(
    error: IronClawError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that failed."""
    extra = dict(headers or {})
    if error.code is Code.UNAUTHENTICATED:
        extra["www-authenticate"] = 'Bearer realm="ironclaw"'
    if error.code is Code.RATE_LIMITED:
        extra.setdefault("retry-after", "60")
    problem = problem_of(error, request_id)
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=extra,
    )


class Refusal(NamedTuple):
    """In which shape an endpoint refuses."""

    respond: Callable[[IronClawError, str, Mapping[str, str] | None], Response]
    """Makes the answer of an error, a request's id, and more headers."""
    schema: Any
    """The struct of its body."""
    media_type: str


PROBLEM: Final = Refusal(respond, Problem, MEDIA_TYPE)
"""Of all endpoints but those whose clients know another."""


def bug() -> HostError:
    """What a client is told when the fault is ours: nothing of the inside."""
    return HostError(
        Code.BUG,
        "IronClaw made a mistake while answering; the log has the details.",
        hint="Look for the request id in `ironclaw logs`, and please report it.",
    )
