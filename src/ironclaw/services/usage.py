"""Usage: what agents have used of their models, and how their budgets stand, for people."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.spending import DAY_MS, WARN_PERCENT, Amounts, Per, Spent, budgets_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import SessionId
    from ironclaw.domain.model import Agent
    from ironclaw.domain.spending import Used

By = Literal["agent", "day", "model", "session"]
BYS: Final = ("agent", "day", "model", "session")
MOST_DAYS: Final = 400
_EPOCH: Final = dt.date(1970, 1, 1)


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What was used. Names that it is not of are empty."""

    agent: str = ""
    agent_id: str = ""
    day: str = ""
    """As 2026-01-31, UTC."""
    session: str = ""
    model: str = ""
    calls: int
    input_tokens: int
    cached_tokens: int
    """Of `input_tokens`: what the provider had kept."""
    written_tokens: int
    """Of `input_tokens`: what the provider kept from then on."""
    output_tokens: int
    micros: int
    """Millionths of the currency."""
    unpriced: int
    """Calls whose price nobody knew: they are not in `micros`."""
    model_ms: int
    """Time that was waited for models."""


class BudgetRow(msgspec.Struct, frozen=True, kw_only=True):
    """A budget for a day, as it stands."""

    agent: str
    budget: str
    """The limit's name, as `ironclaw agent limits` takes it."""
    used: int
    most: int
    state: Literal["open", "nearly spent", "spent"]


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was used in some days."""

    currency: str
    first: str
    last: str
    """The days, both within, UTC."""
    rows: tuple[UsageRow, ...]
    budgets: tuple[BudgetRow, ...]
    """Of today."""


class UsageLine(NamedTuple):
    """One line of the table: the names it is of, those that it is not of being empty."""

    agent: str
    day: int
    """0 when it is not of one day."""
    session: str
    model: str
    amounts: Amounts


class Book(Protocol):
    """Where it is counted: `ironclaw.store.spent_rows.SpentRows`. Methods raise HostError."""

    async def used(self, agent: AgentId, day: int, session: SessionId) -> Used:
        """What an agent has used in a day, and in a session."""
        ...

    async def report(
        self,
        *,
        by: Iterable[str],
        first: int,
        last: int,
        agent: AgentId | None = None,
        session: SessionId | None = None,
    ) -> Sequence[UsageLine]:
        """What was used from a day to a day."""
        ...


class Agents(Protocol):
    """Who there is: `ironclaw.store.registry.Registry`."""

    async def agents(self, *, archived: bool = False) -> Sequence[Agent]:
        """All agents; with `archived` those that have ended, too. Raises HostError."""
        ...


class UsageDesk:
    """Answers what was used.

    Args:
        book: Where it is counted.
        agents: Who there is.
        clock: What day it is.
        currency: The house's.
    """

    def __init__(
        self,
        *,
        book: Book,
        agents: Agents,
        clock: Clock,
        currency: str,
    ) -> None:
        self._book = book
        self._agents = agents
        self._clock = clock
        self.currency = currency

    async def standing(self, agent: Agent, session: SessionId) -> tuple[Spent, ...]:
        """How each budget of an agent stands in a conversation, now. Raises HostError."""
        budgets = budgets_of(agent)
        if not budgets:
            return ()
        used = await self._book.used(agent.id, self._today, session)
        return tuple(Spent(budget, used.within(budget.per).of(budget.of)) for budget in budgets)

    async def report(
        self,
        *,
        by: By,
        first: str | None = None,
        last: str | None = None,
        agent: AgentId | None = None,
        session: SessionId | None = None,
        seen: frozenset[AgentId] | None = None,
    ) -> UsageReport:
        """What was used.

        Args:
            by: What the rows are of.
            first: The first day, as 2026-01-31; thirty days before the last one unless told.
            last: The last day; today unless told.
            agent: Only of this agent.
            session: Only of this session.
            seen: Only of these agents; None: of all.

        Raises:
            UserError: `INVALID`: a day is none.
            HostError: The store.
        """
        end = self._today if last is None else day_of(last)
        begin = max(0, end - 30) if first is None else day_of(first)
        if not 0 <= end - begin < MOST_DAYS:
            raise UserError(
                Code.INVALID,
                f"A report is of 1 to {MOST_DAYS} days, the first before the last.",
                hint="Days are written as 2026-01-31.",
            )
        agents = {one.id: one for one in await self._agents.agents(archived=True)}
        names = {by, "agent"} if seen is not None or by == "session" else {by}
        lines = await self._book.report(
            by=names, first=begin, last=end, agent=agent, session=session
        )
        if seen is not None:
            lines = [line for line in lines if line.agent in seen]
        rows = _merged(lines, by=by) if "agent" in names and by in {"day", "model"} else lines
        return UsageReport(
            currency=self.currency,
            first=name_of(begin),
            last=name_of(end),
            rows=tuple(_row(line, agents) for line in rows),
            budgets=tuple(
                [
                    row
                    for one in agents.values()
                    if not one.archived and agent in {None, one.id}
                    if seen is None or one.id in seen
                    for row in await self._of_day(one)
                ]
            ),
        )

    async def _of_day(self, agent: Agent) -> list[BudgetRow]:
        budgets = [one for one in budgets_of(agent) if one.per is Per.DAY]
        if not budgets:
            return []
        lines = await self._book.report(
            by=("agent",), first=self._today, last=self._today, agent=agent.id
        )
        found = []
        for budget in budgets:
            used = sum(line.amounts.of(budget.of) for line in lines)
            state = state_of(Spent(budget, used))
            found.append(
                BudgetRow(
                    agent=agent.name, budget=budget.name, used=used, most=budget.most, state=state
                )
            )
        return found

    @property
    def _today(self) -> int:
        return self._clock.now_ms() // DAY_MS


def state_of(spent: Spent) -> Literal["open", "nearly spent", "spent"]:
    """How a budget stands, in a word."""
    if spent.used >= spent.budget.most:
        return "spent"
    is_near = spent.used * 100 >= spent.budget.most * WARN_PERCENT
    return "nearly spent" if is_near else "open"


def day_of(text: str) -> int:
    """Days since 1970-01-01 of a day as 2026-01-31. Raises UserError (`INVALID`)."""
    try:
        found = dt.date.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            Code.INVALID, f"{text[:40]!r} is no day.", hint="Write it as 2026-01-31."
        ) from error
    return (found - _EPOCH).days


def name_of(day: int) -> str:
    """The day as 2026-01-31."""
    return (_EPOCH + dt.timedelta(days=day)).isoformat()


def _merged(lines: Sequence[UsageLine], *, by: By) -> list[UsageLine]:
    """Lines that were parted by agents, for those who do not see all of them, as one for each."""
    sums: dict[tuple[int, str], Amounts] = {}
    for line in lines:
        place = (line.day, line.model)
        sums[place] = sums[place].plus(line.amounts) if place in sums else line.amounts
    merged = [UsageLine("", day, "", model, amounts) for (day, model), amounts in sums.items()]
    if by == "day":
        return sorted(merged, key=lambda line: -line.day)
    return sorted(merged, key=lambda line: (-line.amounts.micros, -line.amounts.tokens))


def _row(line: UsageLine, agents: dict[AgentId, Agent]) -> UsageRow:
    owner = agents.get(AgentId(line.agent))
    return UsageRow(
        agent="" if owner is None else owner.name,
        agent_id=line.agent,
        day=name_of(line.day) if line.day else "",
        session=line.session,
        model=line.model,
        **line.amounts._asdict(),
    )
