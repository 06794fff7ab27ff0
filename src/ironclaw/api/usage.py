"""Usage: what agents have used of their models."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.api.registry import asked_agent, visible
from ironclaw.core.ids import SessionId
from ironclaw.domain.rights import Right
from ironclaw.services.usage import BYS, UsageReport

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.services.usage import By


async def show_usage(call: Call) -> Response:
    """What the agents that the caller may look at have used."""
    session = call.text("session")
    report = await call.parts.house.usage.report(
        by=cast("By", call.choice("by", *BYS)),
        first=call.text("from"),
        last=call.text("to"),
        agent=await asked_agent(call),
        session=None if session is None else SessionId(session),
        seen=await visible(call),
    )
    return encode(report)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/usage",
        Right.READ,
        "any",
        "Show what agents have used of their models, and how their budgets stand",
        show_usage,
        reply=UsageReport,
        query=(
            Query("agent", "Only of this agent (name or id)."),
            Query("session", "Only of this session."),
            Query("by", "What rows are of: `agent` (unless told), `day`, `model`, `session`."),
            Query("from", "The first day, as 2026-01-31 (UTC); 30 days back unless told."),
            Query("to", "The last day; today unless told."),
        ),
    ),
)
