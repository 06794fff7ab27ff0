"""Changes: asked for, shown, decided, withdrawn, tried again; the grants they gave; the policy.

Whoever calls is the asker and the decider: nothing in a body says it. The gateway checks every
right again, over the one change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ironclaw.api import bodies
from ironclaw.api.access import archived_agent, seen_agent
from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.api.registry import asked_agent
from ironclaw.api.sse import follow, resume_point
from ironclaw.core.ids import ChangeId, GrantId
from ironclaw.domain.cards import Card
from ironclaw.domain.change import Asker, Seen
from ironclaw.domain.changes.agents import RestoreAgent
from ironclaw.domain.policy import Policy
from ironclaw.domain.rights import Right
from ironclaw.services.gateway.port import ChangeEvent, ChangeView, GrantView

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.api.sse import EventStream, Happening
    from ironclaw.domain.changes.base import Spec

_AGENT = Query("agent", "Only those about this agent (name or id).")


async def list_changes(call: Call) -> Response:
    """Changes that the caller may look at."""
    agent = await asked_agent(call)
    is_open = call.choice("state", "open", "all") == "open"
    limit = int(call.number("limit", default=100, least=1, most=1000))
    found = await call.parts.house.gateway.changes(
        actor=call.actor, agent=agent, is_open=is_open, limit=limit
    )
    return encode(bodies.ChangeList(changes=found))


async def submit_change(call: Call) -> Response:
    """Ask for a change."""
    body: bodies.SubmitChange = call.body
    view = await call.parts.house.gateway.submit(
        await _named(call, body.change),
        asker=Asker(principal=call.actor.principal),
        actor=call.actor,
        reason=body.reason,
        grant_s=body.grant_s,
        despite=None if body.despite is None else ChangeId(body.despite),
    )
    return encode(view, status=201)


async def preview_change(call: Call) -> Response:
    """The card that asking for it would show."""
    body: bodies.SubmitChange = call.body
    card = await call.parts.house.gateway.preview(
        await _named(call, body.change),
        asker=Asker(principal=call.actor.principal),
        actor=call.actor,
        reason=body.reason,
        grant_s=body.grant_s,
        despite=None if body.despite is None else ChangeId(body.despite),
    )
    return encode(card)


async def _named(call: Call, spec: Spec) -> Spec:
    """The spec with the agent's id where a name was given."""
    if "agent" not in spec.__struct_fields__:
        return spec
    ref: str | None = spec.agent  # type: ignore[attr-defined] # the line before says so
    if ref is None:
        return spec
    find = archived_agent if isinstance(spec, RestoreAgent) else seen_agent
    agent = await find(call.parts.house, call.actor, ref)
    return msgspec.structs.replace(spec, agent=agent.id)


async def show_change(call: Call) -> Response:
    """One change, as it is now."""
    change = ChangeId(call.path("change"))
    return encode(await call.parts.house.gateway.show(change, actor=call.actor))


async def decide_change(call: Call) -> Response:
    """Approve or deny exactly what was shown."""
    body: bodies.DecideChange = call.body
    view = await call.parts.house.gateway.decide(
        ChangeId(call.path("change")),
        actor=call.actor,
        approve=body.approve,
        seen=Seen(body.hash, body.state, body.card),
        words=body.words,
    )
    return encode(view)


async def withdraw_change(call: Call) -> Response:
    """Take a request back."""
    change = ChangeId(call.path("change"))
    return encode(await call.parts.house.gateway.withdraw(change, actor=call.actor))


async def retry_change(call: Call) -> Response:
    """Try an approved change again."""
    change = ChangeId(call.path("change"))
    return encode(await call.parts.house.gateway.retry(change, actor=call.actor))


async def follow_changes(call: Call) -> EventStream[Happening]:
    """What happens to changes, as a stream."""
    after = resume_point(call)
    gateway = call.parts.house.gateway

    async def may() -> bool:
        # Of each event the gateway has asked what the caller may look at.
        return await gateway.may_anywhere(call.actor, Right.READ) != frozenset()

    return await follow(call, gateway.watch(actor=call.actor, after=after), may=may)


async def list_grants(call: Call) -> Response:
    """What applied changes gave."""
    agent = await asked_agent(call)
    ended = call.choice("state", "active", "all") == "all"
    found = await call.parts.house.gateway.grants(actor=call.actor, agent=agent, ended=ended)
    return encode(bodies.GrantList(grants=found))


async def revoke_grant(call: Call) -> Response:
    """Take back what a change gave."""
    body: bodies.RevokeGrant = call.body
    grant = GrantId(call.path("grant"))
    view = await call.parts.house.gateway.revoke(grant, actor=call.actor, words=body.words)
    return encode(view)


async def show_policy(call: Call) -> Response:
    """Who decides on what."""
    return encode(await call.parts.house.gateway.policy())


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/changes",
        Right.READ,
        "any",
        "List changes, newest first",
        list_changes,
        reply=bodies.ChangeList,
        query=(
            _AGENT,
            Query("state", "`open` (unless told) or `all`."),
            Query("limit", "Newest changes shown, 1 to 1000; 100 unless told."),
        ),
    ),
    Endpoint(
        "POST",
        "/v1/changes",
        Right.REQUEST,
        "any",
        "Ask for a change",
        submit_change,
        body=bodies.SubmitChange,
        reply=ChangeView,
        status=201,
    ),
    Endpoint(
        "POST",
        "/v1/changes/preview",
        Right.REQUEST,
        "any",
        "Show the card that asking for a change would show; nothing is kept",
        preview_change,
        body=bodies.SubmitChange,
        reply=Card,
    ),
    Endpoint(
        "GET",
        "/v1/changes/events",
        Right.READ,
        "any",
        "Follow changes: what is asked for, decided, applied, ended (server-sent events)",
        follow_changes,
        reply=ChangeEvent,
        query=(Query("after", "Begin after the event of this number; same as Last-Event-ID."),),
        media_type="text/event-stream",
    ),
    Endpoint(
        "GET",
        "/v1/changes/{change}",
        Right.READ,
        "change",
        "Show a change and its card",
        show_change,
        reply=ChangeView,
    ),
    Endpoint(
        "POST",
        "/v1/changes/{change}/decision",
        Right.DECIDE,
        "change",
        "Approve or deny exactly what a card showed",
        decide_change,
        body=bodies.DecideChange,
        reply=ChangeView,
    ),
    Endpoint(
        "POST",
        "/v1/changes/{change}/withdraw",
        Right.READ,
        "change",
        "Take a request back: one's own, or one that one may decide on",
        withdraw_change,
        reply=ChangeView,
    ),
    Endpoint(
        "POST",
        "/v1/changes/{change}/retry",
        Right.OPERATE,
        "change",
        "Try an approved change again that could not be applied",
        retry_change,
        reply=ChangeView,
    ),
    Endpoint(
        "GET",
        "/v1/grants",
        Right.READ,
        "any",
        "List what applied changes gave",
        list_grants,
        reply=bodies.GrantList,
        query=(_AGENT, Query("state", "`active` (unless told) or `all`.")),
    ),
    Endpoint(
        "POST",
        "/v1/grants/{grant}/revoke",
        Right.DECIDE,
        "change",
        "Take back what a change gave, in running boxes too",
        revoke_grant,
        body=bodies.RevokeGrant,
        reply=GrantView,
    ),
    Endpoint(
        "GET",
        "/v1/policy",
        Right.READ,
        "house",
        "Show who decides on what",
        show_policy,
        reply=Policy,
    ),
)
