"""Health, readiness, metrics, and the description of the API itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

import ironclaw
from ironclaw.api.bodies import Alive, ProviderList, Ready
from ironclaw.api.endpoint import Call, Endpoint, encode
from ironclaw.api.metrics import MEDIA_TYPE
from ironclaw.domain.rights import Right
from ironclaw.services.house import Health

if TYPE_CHECKING:
    from collections.abc import Callable


async def alive(_call: Call) -> Response:
    """The process answers; a stranger's question costs the store nothing."""
    return encode(Alive(status="ok", version=ironclaw.__version__))


async def ready(call: Call) -> Response:
    """Whether messages are taken now; says nothing else to strangers."""
    health = await call.parts.house.health()
    return encode(Ready(ready=health.ready), status=200 if health.ready else 503)


async def status(call: Call) -> Response:
    """The state of the whole."""
    return encode(await call.parts.house.health())


async def providers(call: Call) -> Response:
    """The model providers: whether each has its key, never the key."""
    return encode(ProviderList(providers=list(await call.parts.house.providers())))


async def metrics(call: Call) -> Response:
    """Everything Prometheus wants to know."""
    text = call.parts.metrics.render(await call.parts.house.health())
    return Response(text, headers={"content-type": MEDIA_TYPE})


def endpoints(document: Callable[[], bytes]) -> tuple[Endpoint, ...]:
    """The rows of this module.

    Args:
        document: Makes the OpenAPI document of the whole table, this row included.
    """

    async def openapi(_call: Call) -> Response:
        return Response(document(), media_type="application/json")

    return (
        Endpoint("GET", "/healthz", None, None, "The process answers", alive, reply=Alive),
        Endpoint(
            "GET",
            "/readyz",
            None,
            None,
            "Messages are taken (200) or not (503)",
            ready,
            reply=Ready,
        ),
        Endpoint(
            "GET", "/openapi.json", None, None, "This description", openapi, reply=dict[str, Any]
        ),
        Endpoint(
            "GET", "/v1/status", Right.READ, "house", "State of the whole", status, reply=Health
        ),
        Endpoint(
            "GET",
            "/v1/providers",
            Right.READ,
            "house",
            "List model providers",
            providers,
            reply=ProviderList,
        ),
        Endpoint(
            "GET",
            "/metrics",
            Right.READ,
            "house",
            "Prometheus metrics",
            metrics,
            reply=str,
            media_type="text/plain",
        ),
    )
