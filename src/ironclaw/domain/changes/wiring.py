"""Which chats reach which agent."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from ironclaw.core.ids import AgentId, WiringId
from ironclaw.domain.changes.base import Spec, Topic
from ironclaw.domain.model import Engage, Ignored, Partition, SenderScope, UnknownSender


class AddWiring(Spec, frozen=True, kw_only=True, tag="wiring.add"):
    """Let a chat reach an agent."""

    topic: ClassVar = Topic.WIRING
    title: ClassVar = "Let a chat reach an agent"
    labels: ClassVar = {
        "agent": "agent",
        "channel": "channel",
        "platform_id": "chat",
        "engage": "answers to",
        "pattern": "pattern",
        "sender_scope": "listens to",
        "ignored": "what it does not answer",
        "partition": "one session for each",
        "priority": "priority",
        "strangers": "unknown senders of the chat",
    }

    agent: AgentId
    channel: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    platform_id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    engage: Engage = Engage.PATTERN
    pattern: Annotated[str, msgspec.Meta(max_length=1000)] = "."
    sender_scope: SenderScope = SenderScope.KNOWN
    ignored: Ignored = Ignored.DROP
    partition: Partition = Partition.SHARED
    priority: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0
    strangers: UnknownSender | None = None


class RemoveWiring(Spec, frozen=True, kw_only=True, tag="wiring.remove"):
    """Part a chat from an agent."""

    topic: ClassVar = Topic.WIRING
    title: ClassVar = "Part a chat from an agent"
    labels: ClassVar = {
        "agent": "agent",
        "wiring": "wiring",
    }

    agent: AgentId
    wiring: WiringId
