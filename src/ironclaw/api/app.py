"""Puts the API together: the endpoint table, a router over it, the gate in front."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.routing import Route, Router

from ironclaw.api import (
    audit,
    changes,
    files,
    memory,
    messages,
    openai_chat,
    openai_models,
    openai_responses,
    openapi,
    people,
    questions,
    registry,
    sessions,
    skills,
    system,
    token_routes,
    usage,
)
from ironclaw.api.arrivals import Arrivals
from ironclaw.api.endpoint import Endpoint, Parts
from ironclaw.api.gate import Door, Gate, Throttle
from ironclaw.api.metrics import Metrics
from ironclaw.api.openai_chats import Openings
from ironclaw.api.sizes import LargeBodies
from ironclaw.api.sse import Streams
from ironclaw.core.clock import Clock, SystemClock

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ironclaw.config.settings import Settings
    from ironclaw.domain.tokens import TokenStore
    from ironclaw.services.house import House


@lru_cache(maxsize=1)
def document() -> bytes:
    """The OpenAPI document of the whole table."""
    return openapi.build(ENDPOINTS)


ENDPOINTS: tuple[Endpoint, ...] = (
    *messages.ENDPOINTS,
    *openai_chat.ENDPOINTS,
    *openai_responses.ENDPOINTS,
    *openai_models.ENDPOINTS,
    *registry.ENDPOINTS,
    *memory.ENDPOINTS,
    *usage.ENDPOINTS,
    *skills.ENDPOINTS,
    *people.ENDPOINTS,
    *questions.ENDPOINTS,
    *files.ENDPOINTS,
    *changes.ENDPOINTS,
    *sessions.ENDPOINTS,
    *audit.ENDPOINTS,
    *token_routes.ENDPOINTS,
    *system.endpoints(document),
)
"""Everything the API does. The first rows are looked at first: sending comes first."""


def create_app(
    house: House,
    tokens: TokenStore,
    settings: Settings,
    *,
    metrics: Metrics | None = None,
    clock: Clock | None = None,
) -> Gate:
    """Make the ASGI application.

    Args:
        house: The core.
        tokens: Who may come in.
        settings: Limits and allowed hosts.
        metrics: Where the core counts as well; a fresh one when None.
        clock: The machine's when None.
    """
    parts = Parts(
        house=house,
        tokens=tokens,
        settings=settings,
        metrics=metrics or Metrics(),
        streams=Streams(settings.api.max_streams),
        openings=Openings(),
        clock=clock or SystemClock(),
    )
    throttle = Throttle()
    arrivals = Arrivals(house.trail)
    large = LargeBodies()
    routes = [
        Route(row.path, Door(row, parts, throttle, arrivals, large), methods=[row.method])
        for row in ENDPOINTS
    ]
    return Gate(Router(routes, redirect_slashes=False, default=_nothing), parts)


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise HTTPException(404)
