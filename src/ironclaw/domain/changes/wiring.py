"""Which chats reach which agent."""

# What the methods of a spec do is said by `Spec`; not every kind needs all that they are told.
# ruff: noqa: D102, ARG002
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChatId, WiringId
from ironclaw.domain.changes.base import (
    Bearing,
    DropWiring,
    Needs,
    PutChat,
    PutWiring,
    Spec,
    Topic,
    derived_id,
)
from ironclaw.domain.changes.checking import check_chat, existing, living
from ironclaw.domain.model import (
    Engage,
    Ignored,
    Partition,
    SenderScope,
    UnknownSender,
    Wiring,
)
from ironclaw.domain.routing import compile_pattern

if TYPE_CHECKING:
    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Live, Op, State


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

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, place=(self.channel, self.platform_id))

    def check(self, live: Live) -> None:
        check_chat(self.agent, self.channel, self.platform_id, live.house)
        compile_pattern(self.pattern)
        living(live)
        if self._known(live) is not None:
            raise UserError(
                Code.CONFLICT,
                "That chat reaches the agent already.",
                hint="To wire it otherwise, ask for that wiring to be removed first.",
            )
        if self.strangers not in {None, _strangers(live)} and live.wirings:
            # Taking this wiring back would leave the chat's other agents with another rule.
            raise UserError(
                Code.CONFLICT,
                "That chat reaches other agents, so its rule for unknown senders is not this "
                "wiring's.",
                hint="Ask for that by itself: `ironclaw wiring strangers`.",
            )

    def before(self, live: Live) -> State:
        return _state(self._known(live)) | _let_in(self._known(live), _strangers(live))

    def after(self, live: Live) -> State:
        strangers = _strangers(live) if self.strangers is None else self.strangers
        wiring = self._wiring(WiringId(""), ChatId(""))
        return _state(wiring) | _let_in(wiring, strangers)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.WIDENS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"wiring:{self.agent}:{self.channel}:{self.platform_id}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        chat = ChatId(derived_id("cht", change)) if live.chat is None else live.chat.id
        wiring = self._wiring(WiringId(derived_id("wir", change)), chat)
        return (
            PutChat(chat, self.channel, self.platform_id, self.strangers),
            PutWiring(wiring, self.channel, self.platform_id),
        )

    def inverse(self, live: Live, change: ChangeId) -> RemoveWiring:
        return RemoveWiring(agent=self.agent, wiring=WiringId(derived_id("wir", change)))

    def way_back(self, live: Live, inverse: Spec) -> Spec | None:
        # Whatever became of the chat's rule for strangers: the wiring is what was given.
        is_there = isinstance(inverse, RemoveWiring) and any(
            one.id == inverse.wiring for one in live.wirings
        )
        return inverse if is_there else None

    def _known(self, live: Live) -> Wiring | None:
        return next((one for one in live.wirings if one.agent == self.agent), None)

    def _wiring(self, wiring: WiringId, chat: ChatId) -> Wiring:
        return Wiring(
            id=wiring,
            chat=chat,
            agent=self.agent,
            engage=self.engage,
            pattern=self.pattern,
            sender_scope=self.sender_scope,
            ignored=self.ignored,
            partition=self.partition,
            priority=self.priority,
        )


class RemoveWiring(Spec, frozen=True, kw_only=True, tag="wiring.remove"):
    """Part a chat from an agent."""

    topic: ClassVar = Topic.WIRING
    title: ClassVar = "Part a chat from an agent"
    always_human: ClassVar = False
    labels: ClassVar = {
        "agent": "agent",
        "wiring": "wiring",
    }

    agent: AgentId
    wiring: WiringId

    @property
    def agent_id(self) -> AgentId:
        return self.agent

    def needs(self) -> Needs:
        return Needs(agent=self.agent, wiring=self.wiring)

    def check(self, live: Live) -> None:
        existing(live)
        if self._known(live) is None:
            raise UserError(
                Code.NOT_FOUND,
                "That agent has no such wiring.",
                hint="`ironclaw wiring list` shows those there are.",
            )

    def before(self, live: Live) -> State:
        return self._place(live) | _state(self._known(live))

    def after(self, live: Live) -> State:
        return {"channel": None, "chat": None} | _state(None)

    def bearing(self, live: Live) -> Bearing:
        return Bearing.NARROWS

    def atoms(self) -> frozenset[str]:
        return frozenset({f"wiring.remove:{self.wiring}"})

    def ops(self, live: Live, change: ChangeId) -> tuple[Op, ...]:
        return (DropWiring(self.wiring),)

    def inverse(self, live: Live, change: ChangeId) -> AddWiring | None:
        wiring = self._known(live)
        if wiring is None or live.chat is None:
            return None
        return AddWiring(
            agent=self.agent,
            channel=live.chat.channel,
            platform_id=live.chat.platform_id,
            engage=wiring.engage,
            pattern=wiring.pattern,
            sender_scope=wiring.sender_scope,
            ignored=wiring.ignored,
            partition=wiring.partition,
            priority=wiring.priority,
        )

    def _known(self, live: Live) -> Wiring | None:
        return next(
            (one for one in live.wirings if (one.id, one.agent) == (self.wiring, self.agent)), None
        )

    def _place(self, live: Live) -> State:
        if self._known(live) is None or live.chat is None:
            return {"channel": None, "chat": None}
        return {"channel": live.chat.channel, "chat": live.chat.platform_id}


def _let_in(wiring: Wiring | None, strangers: UnknownSender) -> State:
    """What happens to unknown senders; said also of a chat that let them in before."""
    are_heard = None
    if wiring is not None:
        is_open = strangers is UnknownSender.PUBLIC and wiring.sender_scope is SenderScope.ALL
        are_heard = "yes" if is_open else "no"
    return {"unknown senders": strangers.value, "unknown senders reach the agent": are_heard}


def _strangers(live: Live) -> UnknownSender:
    """What happens to unknown senders; a chat that is not there yet begins closed."""
    return UnknownSender.DROP if live.chat is None else live.chat.unknown_sender


_NAMES: Final = (
    "answers to",
    "pattern",
    "listens to",
    "what it does not answer",
    "one session for each",
    "priority",
)


def _state(wiring: Wiring | None) -> State:
    if wiring is None:
        return dict.fromkeys(_NAMES)
    values = (
        wiring.engage.value,
        wiring.pattern,
        wiring.sender_scope.value,
        wiring.ignored.value,
        wiring.partition.value,
        wiring.priority,
    )
    return dict(zip(_NAMES, values, strict=True))
