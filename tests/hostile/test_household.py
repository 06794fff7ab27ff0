"""Clients that all come first: a chat is made and wired once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from ironclaw.core.ids import PrincipalId
from ironclaw.household import Household
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.testing.fakes_store import CoreStore

pytestmark = pytest.mark.hostile


def household(core: CoreStore) -> Household:
    """A house of which only the registry is there."""
    none = cast("Any", None)
    return Household(
        past=none,
        registry=core.registry,
        ledger=core.ledger,
        log_of_chats=core.chatlog,
        router=none,
        sessions=none,
        slots=none,
        audit=none,
        hub=none,
        machine=none,
        gateway=none,
        tasks=none,
        schedules=none,
        questions=none,
        usage=none,
        kept_skills=none,
        memories=none,
    )


async def test_first_messages_at_once_wire_a_chat_once(tmp_path: Path) -> None:
    async with open_core_store(tmp_path) as core:
        agent = await core.registry.create_agent(name="demo")
        house = household(core)
        chats = await asyncio.gather(
            *(house.chat_for("demo", "main", principal=PrincipalId("api:t")) for _ in range(16))
        )
        assert len({chat.id for chat in chats}) == 1
        assert await core.registry.standings() == [], "opening a chat gives nobody a role"
        assert [(row[1].id, row[2].id) for row in await core.registry.wirings()] == [
            (chats[0].id, agent.id)
        ]


async def test_a_chat_that_another_agent_was_wired_to_before_leads_to_its_own(
    tmp_path: Path,
) -> None:
    async with open_core_store(tmp_path) as core:
        demo = await core.registry.create_agent(name="demo")
        other = await core.registry.create_agent(name="other")
        waiting = await core.registry.ensure_chat(
            channel="api", platform_id=f"{demo.id}/api:t/main"
        )
        await core.registry.create_wiring(chat=waiting.id, agent=other.id)

        chat = await household(core).chat_for("demo", "main", principal=PrincipalId("api:t"))

        reached = {row[2].id for row in await core.registry.wirings() if row[1].id == chat.id}
        assert demo.id in reached
