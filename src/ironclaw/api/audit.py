"""The audit, for whoever may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.api.bodies import AuditList
from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.api.scopes import Scope

if TYPE_CHECKING:
    from starlette.responses import Response


async def list_audit(call: Call) -> Response:
    """The newest records, oldest first."""
    limit = call.number("limit", default=100, least=1, most=1000)
    return encode(AuditList(records=await call.parts.house.audit(limit=int(limit))))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/audit",
        frozenset({Scope.READ}),
        "Show what the audit has, oldest first",
        list_audit,
        reply=AuditList,
        query=(Query("limit", "Newest records shown, 1 to 1000; 100 unless told."),),
    ),
)
