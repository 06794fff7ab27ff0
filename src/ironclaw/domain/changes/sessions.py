"""Conversations: forgotten for good."""

from __future__ import annotations

from typing import ClassVar

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.changes.base import Spec, Topic


class ForgetSession(Spec, frozen=True, kw_only=True, tag="session.forget"):
    """Forget a conversation for good."""

    topic: ClassVar = Topic.SESSIONS
    title: ClassVar = "Forget a conversation for good"
    labels: ClassVar = {
        "agent": "agent",
        "session": "session",
    }

    agent: AgentId
    session: SessionId
