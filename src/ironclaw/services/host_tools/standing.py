"""`my_rights`: what an agent may do and use now, and what became of what it asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from ironclaw.domain.change import OPEN, Status
from ironclaw.domain.model import BoxLimits
from ironclaw.domain.spending import Of
from ironclaw.domain.taint import ordered
from ironclaw.services.host_tools.tasking import ShownTask, shown_task
from ironclaw.services.host_tools.tool import Arguments, principal_of, read

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import AgentId, PrincipalId, SessionId
    from ironclaw.domain.change import Row
    from ironclaw.domain.model import Agent
    from ironclaw.domain.schedules import KeptTask
    from ironclaw.domain.spending import Spent
    from ironclaw.services.host_tools.tool import Call, Taints

MAX_LISTED: Final = 100
MAX_REQUESTS: Final = 30


class Nothing(Arguments, frozen=True, kw_only=True):
    """Arguments of `my_rights`: none."""


class _Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what is shown. What is left out is not limited, or as the house says."""


class ShownRequest(_Shown, frozen=True):
    """Something that the agent asked for."""

    change: str
    kind: str
    status: str
    words: str = ""
    """What the person who decided said to it."""


class ShownBudget(_Shown, frozen=True):
    """What is left of a budget. Of money no amount: that would tell what the model costs."""

    name: str
    left_percent: int
    used: int | None = None
    most: int | None = None


class ShownLimits(_Shown, frozen=True):
    """What the agent may use."""

    box: BoxLimits
    max_steps: int
    turn_s: int | None = None
    turn_total_s: int | None = None
    budgets: tuple[ShownBudget, ...] = ()
    """What its model may be used for: in a UTC day, and in this session from its beginning on."""


class Rights(_Shown, frozen=True):
    """All of it."""

    name: str
    model: str
    tools: tuple[str, ...]
    destinations: tuple[str, ...]
    """Names for `send_message`."""
    mounts: tuple[str, ...]
    """Directories in the sandbox."""
    skills: tuple[str, ...]
    """Names: `/shared/skills/<name>`."""
    tasks: tuple[ShownTask, ...]
    limits: ShownLimits
    requests: tuple[ShownRequest, ...]
    """Open ones, and the newest of those that are over."""
    foreign: tuple[str, ...] = ()
    """What this turn has before it that is not from the agent's people: what it asks for needs a
    person, and what it sends elsewhere says so."""


class Requests(Protocol):
    """What was asked for: `ironclaw.store.change_rows.ChangeRows`."""

    async def rows(
        self,
        *,
        agents: frozenset[AgentId] | None,
        statuses: frozenset[Status] | None,
        asker: PrincipalId | None = None,
        limit: int,
    ) -> list[Row]:
        """Changes about these agents or of this asker, newest first. Raises HostError."""
        ...


class Tasks(Protocol):
    """The agents' tasks: `ironclaw.store.task_rows.TaskRows`."""

    async def tasks(self, *, agent: AgentId | None = None) -> Sequence[KeptTask]:
        """Tasks of one agent. Raises HostError."""
        ...


class Usages(Protocol):
    """How budgets stand: `ironclaw.services.usage.UsageDesk`."""

    async def standing(self, agent: Agent, session: SessionId) -> Sequence[Spent]:
        """How each budget of an agent stands in a conversation. Raises HostError."""
        ...


class Standing:
    """The tool."""

    def __init__(self, *, requests: Requests, tasks: Tasks, usages: Usages, taints: Taints) -> None:
        self._taints = taints
        self._requests = requests
        self._tasks = tasks
        self._usages = usages

    async def tell(self, call: Call) -> str:
        """Tell it, as JSON text. Of its own session, agent and requests alone."""
        read(call.arguments or "{}", Nothing)
        agent = call.agent
        tasks = await self._tasks.tasks(agent=agent.id)
        shown = Rights(
            name=agent.name,
            model=agent.model,
            tools=agent.tools,
            destinations=tuple(one.name for one in agent.destinations[:MAX_LISTED]),
            mounts=tuple(f"/shared/{one.name}" for one in agent.mounts[:MAX_LISTED]),
            skills=tuple(one.name for one in agent.skills),
            tasks=tuple(map(shown_task, tasks[:MAX_LISTED])),
            limits=await self._limits(call),
            requests=await self._asked(agent.id),
            foreign=ordered(await self._taints.taint_of(call.session, call.turn)),
        )
        return msgspec.json.format(msgspec.json.encode(shown), indent=1).decode()

    async def _limits(self, call: Call) -> ShownLimits:
        agent = call.agent
        standing = await self._usages.standing(agent, call.session)
        return ShownLimits(
            box=agent.limits,
            max_steps=agent.max_steps,
            turn_s=agent.turn_s,
            turn_total_s=agent.turn_total_s,
            budgets=tuple(map(_budget, standing)),
        )

    async def _asked(self, agent: AgentId) -> tuple[ShownRequest, ...]:
        nobody: frozenset[AgentId] = frozenset()
        rows = [
            row
            for statuses in (OPEN, frozenset(Status) - OPEN)
            for row in await self._requests.rows(
                agents=nobody, statuses=statuses, asker=principal_of(agent), limit=MAX_REQUESTS
            )
        ]
        return tuple(map(_request, rows[:MAX_REQUESTS]))


def _budget(spent: Spent) -> ShownBudget:
    of, _, most = spent.budget
    is_money = of is Of.MONEY
    return ShownBudget(
        name=spent.budget.name,
        left_percent=max(0, most - spent.used) * 100 // most if most else 0,
        used=None if is_money else spent.used,
        most=None if is_money else most,
    )


def _request(row: Row) -> ShownRequest:
    return ShownRequest(
        change=row.change.id,
        kind=str(row.change.spec.__struct_config__.tag),
        status=row.status,
        words=next((one.words for one in row.decisions if not one.approved), ""),
    )
