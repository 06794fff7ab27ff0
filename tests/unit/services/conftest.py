from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from tests.support.cores import Core, OpenCore

from ironclaw.services.parts import SessionLimits
from ironclaw.testing.fakes_sandbox import FakeIsolator
from ironclaw.testing.fakes_store import CoreStore, open_core_store
from ironclaw.testing.fakes_wall import FakeAirlocks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CoreStore]:
    async with open_core_store(tmp_path / "state") as found:
        yield found


@pytest.fixture
async def open_core(store: CoreStore, tmp_path: Path) -> AsyncIterator[OpenCore]:
    """Opens cores on one store and one set of boxes, one after the other."""
    isolator = FakeIsolator(tmp_path / "house")
    airlocks = FakeAirlocks(isolator.standing)
    async with contextlib.AsyncExitStack() as stack:

        async def opening(limits: SessionLimits | None = None) -> Core:
            core = Core(store, isolator, airlocks, limits or SessionLimits())
            return await stack.enter_async_context(core)

        yield opening
    assert airlocks.missed == []


@pytest.fixture
async def core(open_core: OpenCore) -> Core:
    return await open_core()
