from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.clock import ManualClock
from ironclaw.testing.fakes_store import Conversation, CoreStore, open_core_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[CoreStore]:
    async with open_core_store(tmp_path, clock=ManualClock()) as parts:
        yield parts


@pytest.fixture
async def talk(core: CoreStore) -> Conversation:
    conversation = await core.begin()
    await core.ledger.begin_epoch(conversation.session, workspace="w")
    return conversation
