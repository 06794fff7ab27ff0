"""Usage for people: by agent, day, model and session; only of agents that they may look at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from tests.support.usage import usage_desk

from ironclaw.core.clock import ManualClock
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent
from ironclaw.domain.spending import DAY_MS, Amounts, Budget, Of, Per, Row, Spent
from ironclaw.services.usage import UsageDesk, day_of, name_of
from ironclaw.store.spent_rows import SpentRows
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DAY = day_of("2026-01-31")
ONE, TWO = SessionId("ses_1"), SessionId("ses_2")


class House(NamedTuple):
    desk: UsageDesk
    book: SpentRows
    helper: Agent
    other: Agent


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = ManualClock(DAY * DAY_MS + 5)
    async with open_core_store(tmp_path, clock=clock) as core:
        helper = await core.registry.create_agent(name="helper")
        other = await core.registry.create_agent(name="other")
        book = SpentRows(core.store, core.custodian, clock)
        for agent, day, session, model, micros in (
            (helper, DAY, ONE, "p/big", 500),
            (helper, DAY, ONE, "p/small", 5),
            (helper, DAY - 1, TWO, "p/big", 300),
            (other, DAY, SessionId("ses_3"), "p/big", 900),
            (other, DAY - 60, SessionId("ses_3"), "p/big", 7),
        ):
            used = Amounts(calls=1, input_tokens=100, output_tokens=10, micros=micros)
            book.note(Row(agent.id, day, session, model), used)
        await book.flush()
        yield House(usage_desk(core), book, helper, other)


async def test_rows_are_of_what_was_asked_for_the_dearest_first(house: House):
    report = await house.desk.report(by="agent")
    assert [(row.agent, row.calls, row.micros) for row in report.rows] == [
        ("other", 1, 900),
        ("helper", 3, 805),
    ]
    assert (report.first, report.last) == ("2026-01-01", "2026-01-31")
    report = await house.desk.report(by="model")
    assert [(row.model, row.micros) for row in report.rows] == [("p/big", 1700), ("p/small", 5)]
    report = await house.desk.report(by="day")
    assert [(row.day, row.calls) for row in report.rows] == [("2026-01-31", 3), ("2026-01-30", 1)]
    report = await house.desk.report(by="session", agent=house.helper.id)
    assert [(row.session, row.micros) for row in report.rows] == [(ONE, 505), (TWO, 300)]


async def test_days_can_be_chosen(house: House):
    report = await house.desk.report(by="agent", first="2025-11-01", last="2025-12-31")
    assert [(row.agent, row.micros) for row in report.rows] == [("other", 7)]
    for first, last in (("2026-01-02", "2026-01-01"), ("2024-01-01", "2026-01-01"), ("x", None)):
        with pytest.raises(UserError):
            await house.desk.report(by="agent", first=first, last=last)


@pytest.mark.parametrize("by", ["agent", "day", "model", "session"])
async def test_of_other_agents_nothing_is_seen(house: House, by: str):
    report = await house.desk.report(
        by=by,  # type: ignore[arg-type]
        seen=frozenset({house.helper.id}),
    )
    assert sum(row.micros for row in report.rows) == 805
    assert (
        await house.desk.report(
            by=by,  # type: ignore[arg-type]
            seen=frozenset(),
        )
    ).rows == ()


async def test_budgets_of_a_day_are_told_with_how_they_stand(house: House):
    helper = msgspec.structs.replace(
        house.helper, calls_per_day=2, tokens_per_day=1000, money_per_day=600, calls_per_session=9
    )
    assert await house.desk.standing(helper, ONE) == (
        Spent(Budget(Of.CALLS, Per.DAY, 2), 2),
        Spent(Budget(Of.TOKENS, Per.DAY, 1000), 220),
        Spent(Budget(Of.MONEY, Per.DAY, 600), 505),
        Spent(Budget(Of.CALLS, Per.SESSION, 9), 2),
    )
    desk = UsageDesk(
        book=house.book, agents=Only(helper), clock=ManualClock(DAY * DAY_MS), currency="EUR"
    )
    report = await desk.report(by="agent")
    assert report.currency == "EUR"
    assert [(one.budget, one.used, one.most, one.state) for one in report.budgets] == [
        ("calls_per_day", 2, 2, "spent"),
        ("tokens_per_day", 220, 1000, "open"),
        ("money_per_day", 505, 600, "nearly spent"),
    ]


class Only:
    """One agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def agents(self, *, archived: bool = False) -> list[Agent]:
        assert archived
        return [self._agent]


async def test_an_agent_that_is_gone_is_told_by_its_id(house: House):
    house.book.note(Row(AgentId("agt_gone"), DAY, ONE, "p/big"), Amounts(calls=1, micros=9999))
    await house.book.flush()
    report = await house.desk.report(by="agent")
    assert (report.rows[0].agent, report.rows[0].agent_id) == ("", "agt_gone")


def test_days_have_names():
    assert name_of(0) == "1970-01-01"
    assert name_of(day_of("2028-02-29")) == "2028-02-29"
