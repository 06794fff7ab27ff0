"""How much of the machine, of time and of its model an agent may use."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.box_limits import Bounds, check_bounds, check_box_limits
from ironclaw.domain.changes.base import Bearing, Needs, PutAgent, Spec, Topic
from ironclaw.domain.changes.checking import existing, living, nothing_to_do
from ironclaw.domain.disk import LEAST_BYTES, LEAST_FILES, MOST_BYTES, MOST_FILES
from ironclaw.domain.model import Agent, BoxLimits
from ironclaw.domain.spending import Of, Per

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State

Amount = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Unlimited = Literal[
    "disk_bytes",
    "disk_files",
    "turn_s",
    "turn_total_s",
    "calls_per_day",
    "tokens_per_day",
    "money_per_day",
    "calls_per_session",
    "tokens_per_session",
    "money_per_session",
]


class SetLimits(Spec, frozen=True, kw_only=True, tag="limits"):
    """Change what an agent may use."""

    topic: ClassVar = Topic.LIMITS
    title: ClassVar = "Change what an agent may use"
    by_agents: ClassVar = True
    always_human: ClassVar = False
    labels: ClassVar = {
        "agent": "agent",
        "memory_bytes": "memory",
        "cpu_millis": "processor, thousandths of a core",
        "pids": "processes",
        "files": "open files",
        "file_bytes": "largest file",
        "disk_bytes": "disk",
        "disk_files": "files on disk",
        "pool_size": "blank slots kept ready",
        "max_steps": "model calls in a turn",
        "turn_s": "seconds of a turn without progress",
        "calls_per_day": "model calls in a day",
        "tokens_per_day": "tokens in a day",
        "money_per_day": "money for its model in a day",
        "calls_per_session": "model calls in a session",
        "tokens_per_session": "tokens in a session",
        "money_per_session": "money for its model in a session",
        "turn_total_s": "seconds of a turn",
        "unlimited": "back to the house's own limit, or to none",
    }

    agent: AgentId
    memory_bytes: Amount | None = None
    cpu_millis: Amount | None = None
    pids: Amount | None = None
    files: Amount | None = None
    file_bytes: Amount | None = None
    disk_bytes: Amount | None = None
    disk_files: Amount | None = None
    pool_size: Amount | None = None
    max_steps: Amount | None = None
    turn_s: Amount | None = None
    calls_per_day: Amount | None = None
    tokens_per_day: Amount | None = None
    money_per_day: Amount | None = None
    """Millionths of the house's currency."""
    calls_per_session: Amount | None = None
    tokens_per_session: Amount | None = None
    money_per_session: Amount | None = None
    turn_total_s: Amount | None = None
    unlimited: Annotated[tuple[Unlimited, ...], msgspec.Meta(max_length=16)] = ()

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    @property
    def is_budget(self) -> bool:
        """Whether it names budgets alone, and gives each a limit."""
        return not self.unlimited and self._wanted().keys() <= BUDGETS

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        wanted = self._wanted()
        named = sum(getattr(self, name) is not None for name in _FIELDS) + len(self.unlimited)
        if named != len(wanted):
            raise UserError(
                Code.INVALID,
                "A limit is named twice.",
                hint="Give it a value, or name it under `unlimited`; once.",
            )
        agent = living(live)
        if not self._changed(live):
            raise nothing_to_do("The agent has just these limits.")
        after = _with(agent, wanted)
        check_box_limits(after.limits)
        for name, bounds in _BOUNDS.items():
            value = _value(after, name)
            if value is not None:
                check_bounds(name, value, bounds)

    def before(self, live: Live) -> State:
        agent = live.agent
        return {
            self.labels[name]: None if agent is None else _shown(name, _value(agent, name))
            for name in self._wanted()
        }

    def after(self, live: Live) -> State:
        return {self.labels[name]: _shown(name, value) for name, value in self._wanted().items()}

    def bearing(self, live: Live) -> Bearing:
        raised = any(_is_raised(name, *pair) for name, pair in self._changed(live).items())
        return Bearing.WIDENS if raised else Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset(
            f"limit:{self.agent}:{name}:{'none' if value is None else value}"
            for name, value in self._wanted().items()
        )

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutAgent(_with(existing(live), self._wanted())),)

    def inverse(self, live: Live, change: ChangeId) -> SetLimits:
        return _spec(self.agent, {name: was for name, (was, _) in self._changed(live).items()})

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # Only what was raised, and is still as this made it: lowering something beside it was no
        # gift, and another change's word about another limit stays.
        if not isinstance(inverse, SetLimits) or live.agent is None:
            return None
        mine = self._wanted()
        back = {
            name: value
            for name, value in inverse._wanted().items()  # noqa: SLF001 - of its own kind
            if _is_raised(name, value, mine[name]) and _value(live.agent, name) == mine[name]
        }
        return _spec(self.agent, back) if back else None

    def _wanted(self) -> dict[str, int | None]:
        """What each limit that is named shall be; None: the house's own, or none."""
        wanted: dict[str, int | None] = dict.fromkeys(self.unlimited)
        for name in _FIELDS:
            value: int | None = getattr(self, name)
            if value is not None:
                wanted[name] = value
        return {name: wanted[name] for name in _FIELDS if name in wanted}

    def _changed(self, live: Live) -> dict[str, tuple[int | None, int | None]]:
        """What each limit is and shall be, where that differs."""
        if live.agent is None:
            return {}
        pairs = {name: (_value(live.agent, name), value) for name, value in self._wanted().items()}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


_FIELDS: Final = tuple(
    name for name in SetLimits.__struct_fields__ if name not in {"agent", "unlimited"}
)
_OF_BOX: Final = frozenset(BoxLimits.__struct_fields__)
BUDGETS: Final = frozenset(f"{of.value}_per_{per.value}" for of in Of for per in Per)
"""Limits of what an agent's model may be used for."""
_HOUSE: Final = "as the house says"
_NO_LIMIT: Final = "no limit"
_NONE_IS: Final = {
    "disk_bytes": _HOUSE,
    "disk_files": _HOUSE,
    "turn_s": _HOUSE,
    **dict.fromkeys((*sorted(BUDGETS), "turn_total_s"), _NO_LIMIT),
}
"""What it means that an agent has none of its own."""
_BOUNDS: Final = {
    "disk_bytes": Bounds(LEAST_BYTES, MOST_BYTES),
    "disk_files": Bounds(LEAST_FILES, MOST_FILES),
    "pool_size": Bounds(0, 64),
    "max_steps": Bounds(1, 1000),
    "turn_s": Bounds(10, 86_400),
    "turn_total_s": Bounds(10, 7 * 86_400),
    **{
        f"{of.value}_per_{per.value}": Bounds(0, most)
        for per in Per
        for of, most in ((Of.CALLS, 10_000_000), (Of.TOKENS, 10**12), (Of.MONEY, 10**12))
    },
}


def raising(agent: AgentId, budget: str, most: int) -> SetLimits:
    """The spec that gives one budget another limit."""
    return _spec(agent, {budget: most})


def _value(agent: Agent, name: str) -> int | None:
    value: int | None = getattr(agent.limits if name in _OF_BOX else agent, name)
    return value


def _with(agent: Agent, wanted: dict[str, int | None]) -> Agent:
    of_box = {name: value for name, value in wanted.items() if name in _OF_BOX}
    others = {name: value for name, value in wanted.items() if name not in _OF_BOX}
    limits = msgspec.structs.replace(agent.limits, **of_box)
    return msgspec.structs.replace(agent, limits=limits, **others)


def _spec(agent: AgentId, wanted: dict[str, int | None]) -> SetLimits:
    given = {name: value for name, value in wanted.items() if value is not None}
    free = [name for name, value in wanted.items() if value is None]
    return msgspec.convert(
        {"kind": "limits", "agent": agent, **given, "unlimited": free}, SetLimits
    )


def _shown(name: str, value: int | None) -> str | int:
    return _NONE_IS.get(name, _NO_LIMIT) if value is None else value


def _is_raised(name: str, was: int | None, now: int | None) -> bool:
    """Whether a limit becomes wider. What the house says is not known here: when in doubt, yes."""
    if was == now:
        return False
    if was is None:
        return _NONE_IS[name] is _HOUSE
    return now is None or now > was
