"""People: who holds which role, who a principal is, who the caller is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.api import bodies
from ironclaw.api.endpoint import Call, Endpoint, encode
from ironclaw.api.registry import visible
from ironclaw.api.token_routes import token_out
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.core.ids import AgentId, PrincipalId
    from ironclaw.domain.model import Standing


async def list_standings(call: Call) -> Response:
    """Who holds which role; those for all agents only for who may look at all."""
    seen = await visible(call)
    names = await _names(call)
    found = [
        _standing(one, names)
        for one in await call.parts.house.standings()
        if seen is None or one.agent in seen
    ]
    return encode(bodies.StandingList(standings=found))


async def list_principals(call: Call) -> Response:
    """Everybody who holds a role or a token."""
    house = call.parts.house
    names = await _names(call)
    tokens: dict[PrincipalId, list[bodies.TokenOut]] = {}
    for token in await call.parts.tokens.tokens():
        tokens.setdefault(token.principal, []).append(token_out(call, token))
    found = {
        one.principal: bodies.PrincipalOut(
            principal=one.principal,
            person=one.person,
            roles=[_standing(role, names) for role in one.roles],
            tokens=tokens.pop(one.principal, []),
        )
        for one in await house.principals()
    }
    for principal, held in tokens.items():
        person = await house.person_of(principal)
        found[principal] = bodies.PrincipalOut(
            principal=principal, person=person, roles=[], tokens=held
        )
    listed = [found[principal] for principal in sorted(found)]
    return encode(bodies.PrincipalList(principals=listed))


async def show_me(call: Call) -> Response:
    """Who the caller is, and what they may do."""
    house = call.parts.house
    actor = call.actor
    names = {agent.id: agent.name for agent in await house.agents()}
    rights: dict[str, list[Right]] = {}
    for right in Right:
        held = await house.gateway.may_anywhere(actor, right)
        for agent, name in names.items():
            if held is None or agent in held:
                rights.setdefault(name, []).append(right)
    me = bodies.Me(
        principal=actor.principal,
        person=await house.person_of(actor.principal),
        token=call.holder.name,
        scopes=sorted(call.holder.scopes),
        rights=sorted(await house.gateway.rights(actor, None)),
        agents=rights,
    )
    return encode(me)


async def _names(call: Call) -> dict[AgentId, str]:
    return {agent.id: agent.name for agent in await call.parts.house.agents(archived=True)}


def _standing(one: Standing, names: dict[AgentId, str]) -> bodies.StandingOut:
    name = None if one.agent is None else names.get(one.agent)
    return bodies.StandingOut(
        principal=one.principal, role=one.role, agent=one.agent, agent_name=name
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/me",
        None,
        "own",
        "Show who the caller is and what they may do",
        show_me,
        reply=bodies.Me,
    ),
    Endpoint(
        "GET",
        "/v1/standings",
        Right.READ,
        "any",
        "List roles",
        list_standings,
        reply=bodies.StandingList,
    ),
    Endpoint(
        "GET",
        "/v1/principals",
        Right.READ,
        "house",
        "List everybody who holds a role or a token",
        list_principals,
        reply=bodies.PrincipalList,
    ),
)
