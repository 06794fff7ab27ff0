"""An API over the fake house, a client for each scope, and the world of the matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import httpx2
import pytest
from tests.support.real_house import open_world

from ironclaw.api.app import create_app
from ironclaw.config.settings import ApiSettings, Settings
from ironclaw.core.clock import ManualClock
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope
from ironclaw.testing.fake_house import open_fake_house
from ironclaw.testing.fake_tokens import FakeTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.authorised import World

    from ironclaw.api.gate import Gate
    from ironclaw.testing.fake_house import FakeHouse


class Edge(NamedTuple):
    """What the tests work with. Each token's principal, `api:t-<scope>`, is an owner."""

    house: FakeHouse
    tokens: FakeTokens
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
async def edge() -> AsyncIterator[Edge]:
    clock = ManualClock()
    async with open_fake_house(clock) as house:
        house.add_agent("demo")
        tokens = FakeTokens(clock)
        secrets = {}
        for scope in Scope:
            minted = await tokens.mint(name=f"t-{scope}", scopes=[scope], ttl_s=None)
            house.give(minted.token.principal, Role.OWNER)
            secrets[scope] = minted.secret
        settings = Settings(api=ApiSettings(heartbeat_s=0.2, max_streams=2))
        app = create_app(house, tokens, settings, clock=clock)
        yield Edge(house, tokens, clock, app, secrets)
        assert house.watchers == 0, "a subscription was left open"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """What the authorisation matrix is asked of: all of it real but for boxes."""
    async with open_world(tmp_path) as found:
        yield found
