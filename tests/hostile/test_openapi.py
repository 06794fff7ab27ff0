"""Whatever the schema lets be sent: never a fault of ours, never what the matrix forbids.

Requests are made from `/openapi.json`, both such as fit it and such as do not, and sent to the real
server, most of them to things that are there.
"""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.support.authorisation import MATRIX, OK, Caller
from tests.support.real_house import open_world

from ironclaw.api.app import ENDPOINTS, document
from ironclaw.api.server import Listening, serve
from ironclaw.config.settings import ApiSettings, PathSettings, Settings
from ironclaw.domain.model import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.hostile

EXAMPLES: Final = 25
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OWNER: Final = Caller("all-owner", Role.OWNER, is_global=True)
OPERATOR: Final = Caller("own-operator", Role.OPERATOR)
NOBODY: Final = Caller("nobody", scope=None)
ROWS: Final = [
    row for row in ENDPOINTS if row.media_type != "text/event-stream" and row.piece is None
]
"""A stream does not end; what is refused of one is in the matrix. Nobody answers in this house, so
what waits for a reply is left out too: `test_front_door_bodies` asks it anything there is."""


class Served(NamedTuple):
    """A real server, who has which token, and what there is."""

    url: str
    secrets: dict[Caller, str | None]
    there: dict[str, str]
    """By the names of path parameters."""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """In a thread: schemathesis waits for its answers."""
    ready = threading.Event()
    found: list[Served] = []
    loop = asyncio.new_event_loop()
    running: list[asyncio.Task[None]] = []

    async def main(place: Path) -> None:
        running.append(asyncio.current_task())  # type: ignore[arg-type] # we are in a task
        config = Settings(api=ApiSettings(port=0), paths=PathSettings(runtime_dir=place))
        async with open_world(place, config) as world:
            await world.people()
            there = await world.places()
            secrets = {who: await world.secret(who) for who in (OWNER, OPERATOR, NOBODY)}

            def listening(where: Listening) -> None:
                found.append(Served(f"http://{where.host}:{where.port}", secrets, there))
                ready.set()

            await serve(world.app, config, ready=listening)

    def work() -> None:
        with TemporaryDirectory(prefix="icl-") as name:
            try:
                loop.run_until_complete(main(Path(name)))
            except asyncio.CancelledError:
                pass
            finally:
                loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    yield found[0]
    loop.call_soon_threadsafe(running[0].cancel)
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def schema() -> Any:
    """The document, but for security: who calls is the test's to choose."""
    described = json.loads(document())
    for path in described["paths"].values():
        for operation in path.values():
            del operation["security"]
    return schemathesis.openapi.from_dict(described)


@pytest.mark.parametrize("caller", [OWNER, OPERATOR, NOBODY], ids=lambda one: one.name)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.method} {row.path}")
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_what_the_schema_lets_be_sent_is_answered_as_it_says(
    served: Served, schema: Any, row: Any, caller: Caller, data: st.DataObject
) -> None:
    operation = schema[row.path][row.method]
    mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
    try:
        strategy = operation.as_strategy(generation_mode=mode)
    except schemathesis.errors.SchemathesisError:
        strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    case = data.draw(strategy)
    if data.draw(st.integers(0, 3)):
        for name in case.path_parameters or {}:
            case.path_parameters[name] = served.there[name]
        if isinstance(case.body, dict) and isinstance(case.body.get("change"), dict):
            case.body["change"]["agent"] = served.there["agent"]
    secret = served.secrets[caller]
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    answer = case.call(base_url=served.url, headers=headers)
    case.validate_response(answer, checks=CHECKS)

    if MATRIX[f"{row.method} {row.path}"].expected[caller] != OK:
        assert not 200 <= answer.status_code < 300
