"""Sessions: list, show, stop, the proof of their launch, what was said."""

from __future__ import annotations

from starlette.responses import Response

from ironclaw.api.bodies import SessionList, Transcript
from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.api.registry import asked_agent, visible
from ironclaw.core.ids import SessionId
from ironclaw.domain.rights import Right
from ironclaw.domain.searching import MAX_FOUND, Searched
from ironclaw.domain.statement import SignedReceipt
from ironclaw.services.house import SessionView


async def list_sessions(call: Call) -> Response:
    """Sessions of agents that the caller may look at, newest activity first."""
    agent = await asked_agent(call)
    seen = await visible(call)
    found = await call.parts.house.sessions(agent=agent)
    shown = [view for view in found if seen is None or view.session.agent in seen]
    return encode(SessionList(sessions=shown))


async def show_session(call: Call) -> Response:
    """One session."""
    return encode(await call.parts.house.session(SessionId(call.path("session"))))


async def stop_session(call: Call) -> Response:
    """Kill the session's box now."""
    await call.parts.house.stop_session(SessionId(call.path("session")))
    return Response(status_code=204)


async def show_receipt(call: Call) -> Response:
    """The proof of the newest launch."""
    return encode(await call.parts.house.receipt(SessionId(call.path("session"))))


async def show_transcript(call: Call) -> Response:
    """The newest part of the conversation."""
    limit = call.number("limit", default=100, least=1, most=1000)
    session = SessionId(call.path("session"))
    return encode(Transcript(events=await call.parts.house.transcript(session, limit=int(limit))))


async def search(call: Call) -> Response:
    """Look for words in the conversation, and in the former ones of its place."""
    limit = call.number("limit", default=10, least=1, most=MAX_FOUND)
    before_ms = call.number("before_ms", default=0, least=0, most=2**53)
    session = SessionId(call.path("session"))
    found = await call.parts.house.search(
        session, call.text("q") or "", limit=int(limit), before_ms=int(before_ms) or None
    )
    return encode(found)


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/sessions",
        Right.READ,
        "any",
        "List sessions",
        list_sessions,
        reply=SessionList,
        query=(Query("agent", "Only sessions of this agent (name or id)."),),
    ),
    Endpoint(
        "GET",
        "/v1/sessions/{session}",
        Right.READ,
        "session",
        "Show a session",
        show_session,
        reply=SessionView,
    ),
    Endpoint(
        "POST",
        "/v1/sessions/{session}/stop",
        Right.OPERATE,
        "session",
        "Kill the session's box now; the next message starts a fresh one",
        stop_session,
        status=204,
    ),
    Endpoint(
        "GET",
        "/v1/sessions/{session}/receipt",
        Right.READ,
        "session",
        "Show the signed proof of the session's newest launch",
        show_receipt,
        reply=SignedReceipt,
    ),
    Endpoint(
        "GET",
        "/v1/sessions/{session}/transcript",
        Right.READ,
        "session",
        "Show what was said, oldest first",
        show_transcript,
        reply=Transcript,
        query=(Query("limit", "Newest events shown, 1 to 1000; 100 unless told."),),
    ),
    Endpoint(
        "GET",
        "/v1/sessions/{session}/search",
        Right.READ,
        "session",
        "Search what was said, in this and in former conversations of the same place",
        search,
        reply=Searched,
        query=(
            Query("q", "Words; what has all of them comes first."),
            Query("limit", "How much is shown, 1 to 50; 10 unless told."),
            Query("before_ms", "Only what was said before, in milliseconds since the epoch."),
        ),
    ),
)
