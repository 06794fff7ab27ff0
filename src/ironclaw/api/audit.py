"""The audit: look, ask for a story, sign, rotate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.api.bodies import AuditList, AuditStory, RotateAudit, SignedAudit
from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import AuditRecord
from ironclaw.domain.audit_kinds import in_words
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from starlette.responses import Response

_MOST = 2**53
_DIGITS = 16
_MAX_REF = 1024


async def list_audit(call: Call) -> Response:
    """The newest records, oldest first."""
    limit = int(call.number("limit", default=100, least=1, most=1000))
    before = int(call.number("before", default=_MOST, least=1, most=_MOST))
    return encode(AuditList(records=await call.parts.house.trail.tail(limit=limit, before=before)))


async def show_audit(call: Call) -> Response:
    """One record."""
    number = call.path("number")
    if not number.isascii() or not number.isdigit() or len(number) > _DIGITS:
        raise UserError(
            Code.INVALID, "A record is named by its number.", hint="For example /v1/audit/12."
        )
    return encode(await call.parts.house.trail.record(int(number)))


async def tell_story(call: Call) -> Response:
    """What the audit has of an id."""
    limit = int(call.number("limit", default=100, least=1, most=1000))
    ref = call.request.query_params.get("id", "")
    if not 0 < len(ref) <= _MAX_REF or not ref.isprintable():
        raise UserError(
            Code.INVALID,
            "The query parameter 'id' must be an id, a name or a principal.",
            hint="For example /v1/why?id=ses_…",
        )
    story = await call.parts.house.trail.why(ref, limit=limit)
    words = [in_words(record) for record in story.records]
    return encode(AuditStory(kind=story.kind, records=story.records, words=words))


async def sign_audit(call: Call) -> Response:
    """Sign the newest record now."""
    return encode(SignedAudit(checkpoint=await call.parts.house.trail.sign()))


async def rotate_audit(call: Call) -> Response:
    """Remove what was exported."""
    body: RotateAudit = call.body
    record = await call.parts.house.trail.rotate(
        through=body.through, digest=body.digest, by=acting()
    )
    return encode(record)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/audit",
        Right.READ,
        "house",
        "Show what the audit has, oldest first",
        list_audit,
        reply=AuditList,
        query=(
            Query("limit", "Newest records shown, 1 to 1000; 100 unless told."),
            Query("before", "Only records before this number."),
        ),
    ),
    Endpoint(
        "GET",
        "/v1/audit/{number}",
        Right.READ,
        "house",
        "Show one record",
        show_audit,
        reply=AuditRecord,
    ),
    Endpoint(
        "POST",
        "/v1/audit/checkpoint",
        Right.ADMINISTER,
        "house",
        "Sign the newest record now",
        sign_audit,
        reply=SignedAudit,
    ),
    Endpoint(
        "POST",
        "/v1/audit/rotate",
        Right.ADMINISTER,
        "house",
        "Remove records that were exported, up to one that a checkpoint is over",
        rotate_audit,
        body=RotateAudit,
        reply=AuditRecord,
    ),
    Endpoint(
        "GET",
        "/v1/why",
        Right.READ,
        "house",
        "Tell what the audit has of a message, session, receipt, agent or other id",
        tell_story,
        reply=AuditStory,
        query=(
            Query("id", "Whose story: an id, a receipt's digest, an agent's name, a principal."),
            Query("limit", "Newest records told, 1 to 1000; 100 unless told."),
        ),
    ),
)
