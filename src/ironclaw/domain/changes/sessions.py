"""Conversations: forgotten for good."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.changes import base
from ironclaw.domain.changes.base import Bearing, Needs, Spec, Topic
from ironclaw.domain.changes.checking import nothing_to_do
from ironclaw.domain.model import Role, SessionState

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State


class ForgetSession(Spec, frozen=True, kw_only=True, tag="session.forget"):
    """Forget a conversation for good, and what the agent noted in it."""

    topic: ClassVar = Topic.SESSIONS
    title: ClassVar = "Forget a conversation for good"
    deciders: ClassVar = frozenset({Role.OWNER, Role.ADMIN})
    has_way_back: ClassVar = False
    labels: ClassVar = {
        "agent": "agent",
        "session": "session",
        "keep_notes": "keep what it noted",
    }

    agent: AgentId
    session: SessionId
    keep_notes: bool = False
    """Leave what the agent noted there in its memory."""

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, session=self.session)

    def check(self, live: Live) -> None:
        # Of an agent that has ended too: what people said there can still be forgotten.
        if live.session is None or live.session.agent != self.agent:
            raise UserError(
                Code.NOT_FOUND,
                "That agent has no such session.",
                hint="`ironclaw session list` shows those there are.",
            )
        if live.session.state is SessionState.FORGOTTEN and self.keep_notes:
            raise nothing_to_do("That session is forgotten already.")
        if live.session.state is SessionState.FORGOTTEN:
            raise UserError(
                Code.CONFLICT,
                "That session is forgotten already. What was noted in it may be there still.",
                hint=f"`ironclaw memory purge {self.agent} {self.session}` takes that away.",
            )

    def before(self, live: Live) -> State:
        return {"session": None if live.session is None else live.session.state.value}

    def after(self, live: Live) -> State:
        return {"session": SessionState.FORGOTTEN.value}

    def bearing(self, live: Live) -> Bearing:
        return Bearing.ALTERS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"session.forget:{self.session}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        forgotten = base.ForgetSession(self.session, self.agent)
        if self.keep_notes:
            return (forgotten,)
        return (forgotten, base.ForgetNotes(self.session, self.agent))

    def inverse(self, live: Live, change: ChangeId) -> None:
        return None
