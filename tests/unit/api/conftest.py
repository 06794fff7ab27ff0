"""An API over the fake house, and a client for each scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import httpx2
import pytest

from ironclaw.api.app import create_app
from ironclaw.api.scopes import Scope
from ironclaw.api.tokens import FileTokenStore
from ironclaw.config.settings import ApiSettings, Settings
from ironclaw.core.clock import ManualClock
from ironclaw.testing.fake_house import FakeHouse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.api.gate import Gate


class Edge(NamedTuple):
    """What the tests work with."""

    house: FakeHouse
    tokens: FileTokenStore
    clock: ManualClock
    app: Gate
    secrets: dict[Scope, str]

    def client(self, scope: Scope | None = Scope.ADMIN, **headers: str) -> httpx2.AsyncClient:
        if scope is not None:
            headers["authorization"] = f"Bearer {self.secrets[scope]}"
        transport = httpx2.ASGITransport(self.app)
        return httpx2.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8787", headers=headers
        )


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    house = FakeHouse()
    house.add_agent("demo")
    clock = ManualClock()
    tokens = FileTokenStore(tmp_path / "tokens.json", clock)
    secrets = {
        scope: (await tokens.mint(name=f"t-{scope}", scopes=[scope], ttl_s=None)).secret
        for scope in Scope
    }
    settings = Settings(api=ApiSettings(heartbeat_s=0.2, max_streams=2))
    app = create_app(house, tokens, settings, clock=clock)
    yield Edge(house, tokens, clock, app, secrets)
    assert house.watchers == 0, "a subscription was left open"
