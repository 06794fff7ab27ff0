"""Agents, wirings, tasks: looked at, and tasks done now. What alters them is a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from ironclaw.api import bodies
from ironclaw.api.access import seen_agent
from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.core.ids import AgentId


async def visible(call: Call) -> frozenset[AgentId] | None:
    """The agents that the caller may look at; None: all of them, and the house."""
    return await call.parts.house.gateway.may_anywhere(call.actor, Right.READ)


async def asked_agent(call: Call) -> AgentId | None:
    """The agent of the query parameter `agent`. Raises UserError (`NOT_FOUND`)."""
    ref = call.text("agent")
    return None if ref is None else (await seen_agent(call.parts.house, call.actor, ref)).id


async def list_agents(call: Call) -> Response:
    """The agents that the caller may look at."""
    seen = await visible(call)
    every = call.choice("state", "active", "all") == "all"
    agents = await call.parts.house.agents(archived=every)
    shown = [agent for agent in agents if seen is None or agent.id in seen]
    return encode(bodies.AgentList(agents=shown))


async def show_agent(call: Call) -> Response:
    """One agent."""
    agent = await call.parts.house.agent(call.path("agent"))
    sandbox = call.parts.settings.sandbox
    house = bodies.HouseLimits(disk_bytes=sandbox.disk_bytes, disk_files=sandbox.disk_files)
    return encode(bodies.AgentOut(**structs.asdict(agent), house_limits=house))


async def list_wirings(call: Call) -> Response:
    """The wirings of agents that the caller may look at."""
    seen = await visible(call)
    joined = [
        bodies.JoinedWiring(wiring=wiring, chat=chat, agent=agent.name)
        for wiring, chat, agent in await call.parts.house.wirings()
        if seen is None or agent.id in seen
    ]
    return encode(bodies.WiringList(wirings=joined))


async def list_tasks(call: Call) -> Response:
    """The tasks of agents that the caller may look at."""
    agent = await asked_agent(call)
    seen = await visible(call)
    tasks = [
        task
        for task in await call.parts.house.tasks(agent)
        if seen is None or task.task.agent in seen
    ]
    return encode(bodies.TaskList(tasks=tasks))


async def run_task(call: Call) -> Response:
    """Have a task told now."""
    agent = await call.parts.house.agent(call.path("agent"))
    routed = await call.parts.house.run_task(agent.id, call.path("name"))
    return encode(
        bodies.TaskStarted(message=routed.message or "", session=routed.session or ""), status=202
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/agents",
        Right.READ,
        "any",
        "List agents",
        list_agents,
        reply=bodies.AgentList,
        query=(Query("state", "`active` (unless told) or `all`: archived ones too."),),
    ),
    Endpoint(
        "GET",
        "/v1/agents/{agent}",
        Right.READ,
        "agent",
        "Show an agent",
        show_agent,
        reply=bodies.AgentOut,
    ),
    Endpoint(
        "GET",
        "/v1/wirings",
        Right.READ,
        "any",
        "List wirings",
        list_wirings,
        reply=bodies.WiringList,
    ),
    Endpoint(
        "GET",
        "/v1/tasks",
        Right.READ,
        "any",
        "List what agents do at times of their own",
        list_tasks,
        reply=bodies.TaskList,
        query=(Query("agent", "Only tasks of this agent (name or id)."),),
    ),
    Endpoint(
        "POST",
        "/v1/agents/{agent}/tasks/{name}/run",
        Right.OPERATE,
        "agent",
        "Have a task done now, beside its times",
        run_task,
        reply=bodies.TaskStarted,
        status=202,
    ),
)
