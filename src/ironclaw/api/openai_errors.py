"""Errors as clients of OpenAI's API know them, with our code inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from starlette.responses import Response

from ironclaw.api.problems import Refusal, respond

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ironclaw.core.errors import IronClawError

NO_RETRY: Final = {"x-should-retry": "false"}
"""Tells official libraries not to send again what was taken in: it would be said twice."""

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    message: str
    type: str
    code: str
    """Of the table in docs/reference/errors.md."""
    hint: str
    """The next step; `message` ends with it too, because most clients show nothing else."""
    request_id: str
    param: None = None


class Faulty(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    error: Fault


def fault_of(error: IronClawError, request_id: str) -> Faulty:
    """What a client is told of an error. Never its `detail`: that is for the log."""
    status = error.row.http_status
    kind = "invalid_request_error" if status < 500 else "server_error"  # noqa: PLR2004 - HTTP
    return Faulty(
        error=Fault(
            message=f"{error.message} {error.hint}".strip(),
            type=_TYPES.get(status, kind),
            code=error.code,
            hint=error.hint,
            request_id=request_id,
        )
    )


def refuse(
    error: IronClawError, request_id: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer to a request that failed: status and headers as everywhere, the body theirs."""
    answer = respond(error, request_id, headers)
    kept = {
        name: value
        for name, value in answer.headers.items()
        if name not in {"content-type", "content-length"}
    }
    return Response(
        msgspec.json.encode(fault_of(error, request_id)),
        status_code=answer.status_code,
        media_type="application/json",
        headers=kept,
    )


REFUSAL: Final = Refusal(refuse, Faulty, "application/json")
