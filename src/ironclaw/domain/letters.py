"""What an agent wants to send to one of its destinations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ironclaw.domain.relaying import Limits
from ironclaw.domain.taint import NONE

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId, SessionId
    from ironclaw.domain.taint import Taints


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
    taint: Taints = NONE
    """What foreign content its agent had before it."""
    limits: Limits = Limits()
    """How far agents may go with each other, if it is for one."""
