"""What all host tools have in common: the call, how its arguments are read, how it is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import msgspec

from ironclaw.core.ids import AgentId, PrincipalId, SessionId
from ironclaw.domain.change import Asker

if TYPE_CHECKING:
    from ironclaw.domain.model import Agent
    from ironclaw.domain.taint import Taint

_ArgumentsT = TypeVar("_ArgumentsT", bound="Arguments")
_PROBLEM_CHARS: Final = 300


class Call(NamedTuple):
    """One use of a tool by an agent that holds it."""

    agent: Agent
    """As it is now."""
    session: SessionId
    turn: str
    """As the box says."""
    key: str
    """As the box says; with the turn, the same for the same use put again."""
    arguments: str
    """JSON text, as a model wrote it."""

    @property
    def asker(self) -> Asker:
        """Who asks, if it asks for a change."""
        return Asker(
            principal=principal_of(self.agent.id), agent=self.agent.id, session=self.session
        )


class Taints(Protocol):
    """Who knows what foreign content a turn has before it: `services.taints.TaintDesk`."""

    async def taint_of(self, session: SessionId, turn: str) -> frozenset[Taint]:
        """What there is; empty when it is clean. Raises HostError.

        Args:
            session: Whose turn.
            turn: As the box says: what is under way counts whatever it says.
        """
        ...


Tool = Callable[[Call], Awaitable[str]]
"""Does it and says what came of it. Raises NotDoneError and IronClawErrors, nothing else."""


class NotDoneError(Exception):
    """It was not done. The text is for the agent, and says what it can do about that."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the arguments of a tool. Every text and list has a bound in its type."""


def principal_of(agent: AgentId) -> PrincipalId:
    """As whom an agent asks."""
    return PrincipalId(f"agent:{agent}")


def read(text: str, type_: type[_ArgumentsT]) -> _ArgumentsT:
    """Read arguments strictly.

    Raises:
        NotDoneError: They are not what the tool takes; it says where.

    Trust:
        Foreign text. Its length was checked when its frame was read.
    """
    try:
        return msgspec.json.decode(text.encode(), type=type_)
    except (ValueError, RecursionError) as error:
        raise malformed(error) from error


def malformed(error: Exception) -> NotDoneError:
    """The arguments are not right: where, in the words of the decoder, on one line."""
    problem = " ".join(str(error).split())[:_PROBLEM_CHARS]
    return NotDoneError(f"the arguments are not right: {problem}")
