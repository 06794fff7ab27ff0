"""Agents, wirings, roles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs
from starlette.responses import Response

from ironclaw.api import bodies
from ironclaw.api.endpoint import Call, Endpoint, encode
from ironclaw.api.scopes import Scope
from ironclaw.core.ids import PrincipalId, WiringId
from ironclaw.domain.model import Wiring

if TYPE_CHECKING:
    from ironclaw.domain.model import Agent, Standing

_READ = frozenset({Scope.READ})
_OPERATE = frozenset({Scope.OPERATE})
_ADMIN = frozenset({Scope.ADMIN})


async def list_agents(call: Call) -> Response:
    """All agents."""
    return encode(bodies.AgentList(agents=await call.parts.house.agents()))


async def create_agent(call: Call) -> Response:
    """Make an agent."""
    body: bodies.CreateAgent = call.body
    default = call.parts.settings.sandbox.pool_size
    agent = await call.parts.house.create_agent(
        name=body.name,
        persona=body.persona,
        model=body.model,
        tools=body.tools,
        pool_size=default if body.pool_size is None else body.pool_size,
    )
    return encode(_agent(call, agent), status=201)


async def show_agent(call: Call) -> Response:
    """One agent."""
    return encode(_agent(call, await call.parts.house.agent(call.path("agent"))))


async def archive_agent(call: Call) -> Response:
    """End an agent."""
    return encode(_agent(call, await call.parts.house.archive_agent(call.path("agent"))))


def _agent(call: Call, agent: Agent) -> bodies.AgentOut:
    sandbox = call.parts.settings.sandbox
    house = bodies.HouseLimits(disk_bytes=sandbox.disk_bytes, disk_files=sandbox.disk_files)
    return bodies.AgentOut(**structs.asdict(agent), house_limits=house)


async def list_wirings(call: Call) -> Response:
    """All wirings."""
    joined = [
        bodies.JoinedWiring(wiring=wiring, chat=chat, agent=agent.name)
        for wiring, chat, agent in await call.parts.house.wirings()
    ]
    return encode(bodies.WiringList(wirings=joined))


async def create_wiring(call: Call) -> Response:
    """Join a chat to an agent."""
    body: bodies.CreateWiring = call.body
    wiring = await call.parts.house.create_wiring(
        channel=body.channel,
        platform_id=body.platform_id,
        agent=body.agent,
        engage=body.engage,
        pattern=body.pattern,
        sender_scope=body.sender_scope,
        ignored=body.ignored,
        partition=body.partition,
        priority=body.priority,
        unknown_sender=body.unknown_sender,
    )
    return encode(wiring, status=201)


async def delete_wiring(call: Call) -> Response:
    """Remove a wiring."""
    await call.parts.house.delete_wiring(WiringId(call.path("wiring")))
    return Response(status_code=204)


async def list_standings(call: Call) -> Response:
    """Who holds which role."""
    found = [_standing(one) for one in await call.parts.house.standings()]
    return encode(bodies.StandingList(standings=found))


async def give_standing(call: Call) -> Response:
    """Give a role."""
    body: bodies.Standing = call.body
    given = await call.parts.house.give(PrincipalId(body.principal), body.role, body.agent)
    return encode(_standing(given), status=201)


async def take_standing(call: Call) -> Response:
    """Take a role away."""
    body: bodies.Standing = call.body
    await call.parts.house.take(PrincipalId(body.principal), body.role, body.agent)
    return Response(status_code=204)


def _standing(one: Standing) -> bodies.StandingOut:
    return bodies.StandingOut(principal=one.principal, role=one.role, agent=one.agent)


ENDPOINTS = (
    Endpoint("GET", "/v1/agents", _READ, "List agents", list_agents, reply=bodies.AgentList),
    Endpoint(
        "POST",
        "/v1/agents",
        _OPERATE,
        "Create an agent",
        create_agent,
        body=bodies.CreateAgent,
        reply=bodies.AgentOut,
        status=201,
    ),
    Endpoint(
        "GET", "/v1/agents/{agent}", _READ, "Show an agent", show_agent, reply=bodies.AgentOut
    ),
    Endpoint(
        "POST",
        "/v1/agents/{agent}/archive",
        _OPERATE,
        "Archive an agent: its boxes stop, its sessions stay readable",
        archive_agent,
        reply=bodies.AgentOut,
    ),
    Endpoint("GET", "/v1/wirings", _READ, "List wirings", list_wirings, reply=bodies.WiringList),
    Endpoint(
        "POST",
        "/v1/wirings",
        _OPERATE,
        "Wire a chat to an agent",
        create_wiring,
        body=bodies.CreateWiring,
        reply=Wiring,
        status=201,
    ),
    Endpoint(
        "DELETE", "/v1/wirings/{wiring}", _OPERATE, "Remove a wiring", delete_wiring, status=204
    ),
    Endpoint(
        "GET", "/v1/standings", _READ, "List roles", list_standings, reply=bodies.StandingList
    ),
    Endpoint(
        "POST",
        "/v1/standings",
        _ADMIN,
        "Give a role to a principal",
        give_standing,
        body=bodies.Standing,
        reply=bodies.StandingOut,
        status=201,
    ),
    Endpoint(
        "DELETE",
        "/v1/standings",
        _ADMIN,
        "Take a role from a principal",
        take_standing,
        body=bodies.Standing,
        status=204,
    ),
)
