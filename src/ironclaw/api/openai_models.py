"""`GET /v1/models`: the agents that the caller may talk to, as clients know models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.api.endpoint import Endpoint, encode
from ironclaw.api.openai_bodies import Model, ModelList
from ironclaw.api.openai_errors import REFUSAL
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.api.endpoint import Call
    from ironclaw.domain.model import Agent


async def list_models(call: Call) -> Response:
    """All of them."""
    house = call.parts.house
    held = await house.gateway.may_anywhere(call.actor, Right.TALK)
    agents = [agent for agent in await house.agents() if held is None or agent.id in held]
    return encode(ModelList(data=[_model(agent) for agent in agents]))


async def show_model(call: Call) -> Response:
    """One of them."""
    return encode(_model(await call.parts.house.agent(call.path("agent"))))


def _model(agent: Agent) -> Model:
    return Model(id=agent.name, created=agent.created_ms // 1000)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET",
        "/v1/models",
        Right.TALK,
        "any",
        "List the agents that one may talk to, as models",
        list_models,
        reply=ModelList,
        refusal=REFUSAL,
    ),
    Endpoint(
        "GET",
        "/v1/models/{agent}",
        Right.TALK,
        "agent",
        "Show one of them",
        show_model,
        reply=Model,
        refusal=REFUSAL,
    ),
)
