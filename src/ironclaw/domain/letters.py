"""What an agent wants to send to one of its destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ironclaw.domain.relaying import Limits

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId, SessionId


class Letter(NamedTuple):
    """One message to one destination."""

    agent: AgentId
    session: SessionId
    """The conversation that it comes from; its key seals the text."""
    turn: str
    """The message that is being answered, as the box says."""
    key: str
    """With the turn, what it is: the same one is sent once."""
    destination: str
    """A name that the agent knows the place by."""
    text: str
    files: tuple[str, ...] = ()
    """Files that the box has sent, by the ids that it gave them."""
    limits: Limits = Limits()
    """How far agents may go with each other, if it is for one."""
