"""The table of usage: what the former one had stays, and people are told once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.spending import MOST, Amounts, Row
from ironclaw.store.migrations import MIGRATIONS
from ironclaw.store.spent_rows import SpentRows
from ironclaw.testing.fakes_store import CoreStore, open_core_store

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

AGENT, SESSION = AgentId("agt_a"), SessionId("ses_a")


def rows_of(core: CoreStore) -> SpentRows:
    return SpentRows(core.store, core.custodian, core.clock)


async def test_what_was_used_of_a_budget_before_is_used_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setattr("ironclaw.store.migrations.MIGRATIONS", MIGRATIONS[:6])
        async with open_core_store(tmp_path, clock=ManualClock()) as core:
            await core.store.write(
                lambda db: db.execute("INSERT INTO usage VALUES (?, 7, 3, 900)", (AGENT,))
            )
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        used = await rows_of(core).used(AGENT, 7, SESSION)
        assert (used.day.calls, used.day.tokens, used.session) == (3, 900, Amounts())


async def test_what_is_taken_back_is_never_less_than_nothing(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        book = rows_of(core)
        row = Row(AGENT, 1, SESSION, "p/m")
        await book.add(row, Amounts(calls=1, input_tokens=10))
        used = await book.add(row, Amounts(input_tokens=-50))
        assert used.day == Amounts(calls=1)
        assert (await book.used(AGENT, 1, SESSION)).session == Amounts(calls=1)


async def test_no_number_that_a_provider_names_stops_what_is_counted_of_others(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        book = rows_of(core)
        lie = Amounts(calls=1, input_tokens=MOST, output_tokens=MOST, micros=MOST)
        for _ in range(1100):
            book.note(Row(AGENT, 1, SESSION, "evil/m"), lie)
        for _ in range(3):
            await book.add(Row(AGENT, 1, SESSION, "evil/m"), lie)
        await book.add(Row(AgentId("agt_b"), 1, SessionId("ses_b"), "p/m"), Amounts(calls=1))
        assert (await book.used(AGENT, 1, SESSION)).day.micros == MOST
        assert (await book.used(AgentId("agt_b"), 1, SessionId("ses_b"))).day.calls == 1
        assert len(await book.report(by=("agent",), first=0, last=9)) == 2


async def test_a_session_that_is_forgotten_is_told_nothing(tmp_path: Path):
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        talk = await core.begin()
        heard = await talk.hear("hello")
        row = Row(talk.agent.id, 1, talk.session, "p/m")
        book = rows_of(core)

        async def warn(window: str) -> bool:
            told = await book.warn(
                row, heard.message.id, budget="calls_per_day", window=window, most=5, text="Soon."
            )
            return told is not None

        assert [await warn("1"), await warn("1"), await warn("2")] == [True, False, True]
        await core.store.write(
            lambda db: db.execute("UPDATE session SET state = 'forgotten' WHERE 1")
        )
        assert not await warn("3")
