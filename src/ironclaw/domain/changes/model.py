"""Which model answers for an agent."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId
from ironclaw.domain.changes.base import Bearing, Needs, PutAgent, Spec, Topic
from ironclaw.domain.changes.checking import check_model, existing, living, nothing_to_do
from ironclaw.domain.model import Thinking

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State
    from ironclaw.domain.model import Agent

ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Default = Literal["temperature_hundredths", "max_output_tokens", "thinking"]
MAX_FALLBACKS: Final = 4
_PARAMETERS: Final[tuple[Default, ...]] = (
    "temperature_hundredths",
    "max_output_tokens",
    "thinking",
)


class SetModel(Spec, frozen=True, kw_only=True, tag="model"):
    """Change which model answers, which ones stand in for it, and how it is asked."""

    topic: ClassVar = Topic.MODEL
    title: ClassVar = "Change which model answers"
    by_agents: ClassVar = True
    is_whole: ClassVar = True
    labels: ClassVar = {
        "agent": "agent",
        "model": "model",
        "fallbacks": "asked when it cannot answer, in this order",
        "temperature_hundredths": "temperature, in hundredths",
        "max_output_tokens": "tokens of one answer",
        "thinking": "how long it thinks before it answers",
        "default": "back to the provider's own",
    }

    agent: AgentId
    model: ModelName
    fallbacks: Annotated[tuple[ModelName, ...], msgspec.Meta(max_length=MAX_FALLBACKS)] | None = (
        None
    )
    """None: those there are stay."""
    temperature_hundredths: Annotated[int, msgspec.Meta(ge=0, le=200)] | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    thinking: Thinking | None = None
    """Where the model can think; what it thinks costs tokens beside those of the answer."""
    default: Annotated[tuple[Default, ...], msgspec.Meta(max_length=8)] = ()
    """Parameters that are to be the provider's own again; a parameter that is not named stays."""

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent)

    def check(self, live: Live) -> None:
        for name in (self.model, *(self.fallbacks or ())):
            check_model(name, live.house)
        named = [name for name in _PARAMETERS if getattr(self, name) is not None]
        if len({*named, *self.default}) != len(named) + len(self.default):
            raise UserError(
                Code.INVALID,
                "A parameter is named twice.",
                hint="Give it a value, or name it under `default`; once.",
            )
        agent = living(live)
        wanted = self._with(agent)
        if len({wanted.model, *wanted.fallbacks}) != 1 + len(wanted.fallbacks):
            raise UserError(
                Code.INVALID,
                "A model would stand in for itself.",
                hint="Name each model once: as the model or among its fallbacks.",
            )
        if wanted == agent:
            raise nothing_to_do("The agent has just that model.")

    def before(self, live: Live) -> State:
        agent = live.agent
        return {
            self.labels[name]: None if agent is None else _shown(getattr(agent, name))
            for name in self._wanted()
        }

    def after(self, live: Live) -> State:
        return {self.labels[name]: _shown(value) for name, value in self._wanted().items()}

    def bearing(self, live: Live) -> Bearing:
        return Bearing.ALTERS

    def atoms(self) -> frozenset[str]:
        models = (self.model, *(self.fallbacks or ()))
        asked = {f"model:{self.agent}:{name}" for name in models}
        named = {name: getattr(self, name) for name in _PARAMETERS}
        return frozenset(
            asked
            | {
                f"model.{name}:{self.agent}:{value}"
                for name, value in named.items()
                if value is not None
            }
        )

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (PutAgent(self._with(existing(live))),)

    def inverse(self, live: Live, change: ChangeId) -> SetModel:
        agent = existing(live)
        touched = [name for name in _PARAMETERS if name in self._wanted()]
        former = {name: getattr(agent, name) for name in touched}
        return SetModel(
            agent=self.agent,
            model=agent.model,
            fallbacks=None if self.fallbacks is None else agent.fallbacks,
            temperature_hundredths=former.get("temperature_hundredths"),
            max_output_tokens=former.get("max_output_tokens"),
            thinking=former.get("thinking"),
            default=tuple(name for name in touched if former[name] is None),
        )

    def _with(self, agent: Agent) -> Agent:
        """The agent as it is to be."""
        return msgspec.structs.replace(agent, **self._wanted())

    def _wanted(self) -> dict[str, Any]:
        """What this names, as fields of an agent."""
        named: dict[str, Any] = {"model": self.model}
        if self.fallbacks is not None:
            named["fallbacks"] = self.fallbacks
        for name in _PARAMETERS:
            if name in self.default or getattr(self, name) is not None:
                named[name] = getattr(self, name)
        return named


def _shown(value: Any) -> str | int | list[str] | None:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, Thinking):
        return value.value
    return "the provider's own" if value is None else value
