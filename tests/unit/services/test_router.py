"""The router: one event in, durable messages out, every refusal with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from tests.support.past_gateway import set_unknown_sender

from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId, SessionId
from ironclaw.domain.model import (
    Agent,
    Engage,
    Event,
    Ignored,
    Partition,
    Role,
    SenderScope,
    UnknownSender,
)
from ironclaw.services.commands import LateCommands
from ironclaw.services.hub import Hub
from ironclaw.services.router import Router
from ironclaw.testing.fakes_store import CoreStore, open_core_store
from ironclaw_contract.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class Desk(NamedTuple):
    core: CoreStore
    router: Router
    hub: Hub
    woken: list[SessionId]

    async def wire(
        self,
        name: str = "helper",
        *,
        engage: Engage = Engage.PATTERN,
        pattern: str = ".",
        ignored: Ignored = Ignored.DROP,
        partition: Partition = Partition.SHARED,
        scope: SenderScope = SenderScope.KNOWN,
        priority: int = 0,
        place: str = "room",
    ) -> Agent:
        agents = {agent.name: agent for agent in await self.core.registry.agents()}
        agent = agents.get(name) or await self.core.registry.create_agent(name=name)
        chat = await self.core.registry.ensure_chat(channel="api", platform_id=place)
        await self.core.registry.create_wiring(
            chat=chat.id,
            agent=agent.id,
            engage=engage,
            pattern=pattern,
            ignored=ignored,
            partition=partition,
            sender_scope=scope,
            priority=priority,
        )
        await self.core.registry.give(PrincipalId("api:ann"), Role.MEMBER, agent.id)
        return agent

    async def reasons(self) -> list[str]:
        return [refusal.reason for refusal in await self.core.chatlog.refusals()]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_core_store(tmp_path, clock=ManualClock()) as core:
        woken: list[SessionId] = []
        hub = Hub(core.chatlog)
        router = Router(
            directory=core.registry,
            intake=core.ledger,
            refusals=core.chatlog,
            keys=core.custodian,
            hub=hub,
            wake=lambda session, message: (
                woken.append(session) if message is None or message.engage else None
            ),
            commands=LateCommands(),
        )
        yield Desk(core, router, hub, woken)


def event(
    text: str = "hello",
    *,
    handle: str = "ann",
    external_id: str = "1",
    thread: str | None = None,
    mentioned: bool = False,
    place: str = "room",
) -> Event:
    return Event(
        channel="api", platform_id=place, handle=handle, sender=handle.title(), text=text,
        external_id=external_id, thread=thread, mentioned=mentioned,
    )  # fmt: skip


async def test_a_members_message_becomes_durable_and_wakes_its_session(desk: Desk):
    agent = await desk.wire()
    (routed,) = await desk.router.hear(event())
    assert (routed.agent, routed.engaged, routed.reason) == (agent.id, True, "engaged")
    assert routed.session is not None
    assert desk.woken == [routed.session]
    (message,) = await desk.core.ledger.backlog(routed.session)
    assert (message.id, message.text, message.sender) == (routed.message, "hello", "Ann")
    assert len(desk.core.custodian.key(routed.session)) == 32


async def test_a_repeat_is_told_apart_and_still_wakes(desk: Desk):
    await desk.wire()
    (first,) = await desk.router.hear(event())
    (again,) = await desk.router.hear(event("changed"))
    assert again.duplicate
    assert again.message == first.message
    assert first.session is not None
    assert len(await desk.core.ledger.backlog(first.session)) == 1
    assert len(desk.woken) == 2


async def test_nobody_wired_is_an_empty_answer_and_one_bounded_row(desk: Desk):
    assert await desk.router.hear(event(place="nowhere")) == []
    assert await desk.router.hear(event(place="nowhere")) == []
    assert await desk.reasons() == ["not_wired"]
    assert await desk.core.registry.place("api", "nowhere") is None


async def test_strangers_are_refused_by_the_chats_rule(desk: Desk):
    await desk.wire(scope=SenderScope.ALL)
    chat = await desk.core.registry.ensure_chat(channel="api", platform_id="room")
    (routed,) = await desk.router.hear(event(handle="eve"))
    assert (routed.session, routed.reason) == (None, "unknown_sender")
    await set_unknown_sender(desk.core.registry, chat.id, UnknownSender.ASK)
    (routed,) = await desk.router.hear(event(handle="eve"))
    assert routed.reason == "pairing_needed"
    await set_unknown_sender(desk.core.registry, chat.id, UnknownSender.PUBLIC)
    (routed,) = await desk.router.hear(event(handle="eve"))
    assert routed.engaged
    assert sorted(await desk.reasons()) == ["pairing_needed", "unknown_sender"]
    assert len(desk.woken) == 1


async def test_every_wiring_decides_for_itself_by_priority(desk: Desk):
    low = await desk.wire("low")
    high = await desk.wire("high", priority=5)
    mute = await desk.wire("mute", priority=9, pattern="^never$")
    routed = await desk.router.hear(event())
    assert [(r.agent, r.engaged) for r in routed] == [
        (mute.id, False),
        (high.id, True),
        (low.id, True),
    ]
    assert len({r.session for r in routed if r.session}) == 2


async def test_what_does_not_engage_is_kept_as_context_when_asked_for(desk: Desk):
    await desk.wire(engage=Engage.MENTION, ignored=Ignored.ACCUMULATE)
    (aside,) = await desk.router.hear(event("aside", external_id="1"))
    assert (aside.engaged, aside.reason) == (False, "accumulated")
    assert desk.woken == []
    (asked,) = await desk.router.hear(event("asked", external_id="2", mentioned=True))
    assert asked.session == aside.session
    assert asked.session is not None
    backlog = await desk.core.ledger.backlog(asked.session)
    assert [(m.text, m.engage) for m in backlog] == [("aside", False), ("asked", True)]


async def test_a_mention_sticks_to_its_thread_and_to_no_other(desk: Desk):
    await desk.wire(engage=Engage.MENTION_STICKY, partition=Partition.PER_THREAD)

    async def engaged(external_id: str, thread: str | None, *, mentioned: bool = False) -> bool:
        heard = event(external_id=external_id, thread=thread, mentioned=mentioned)
        (routed,) = await desk.router.hear(heard)
        return routed.engaged

    assert not await engaged("1", "a")
    assert await engaged("2", "a", mentioned=True)
    assert await engaged("3", "a")
    assert not await engaged("4", "b")
    assert not await engaged("5", None)


async def test_sessions_follow_the_partition(desk: Desk):
    await desk.wire("shared", place="one", partition=Partition.SHARED)
    await desk.wire("threads", place="two", partition=Partition.PER_THREAD)
    await desk.wire("agent", place="three", partition=Partition.AGENT_SHARED)
    await desk.wire("agent", place="four", partition=Partition.AGENT_SHARED)

    async def session(place: str, thread: str) -> SessionId | None:
        heard = event(place=place, thread=thread, external_id=f"{place}{thread}")
        (routed,) = await desk.router.hear(heard)
        return routed.session

    assert await session("one", "a") == await session("one", "b")
    assert await session("two", "a") != await session("two", "b")
    assert await session("three", "a") == await session("four", "b")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"text": "x" * (MAX_TEXT_BYTES + 1)}, Code.TOO_LARGE),
        ({"text": "ü" * (MAX_TEXT_BYTES // 2 + 1)}, Code.TOO_LARGE),
        ({"text": "a\0b"}, Code.INVALID),
        ({"text": "\ud800"}, Code.INVALID),
        ({"text": " \n"}, Code.INVALID),
        ({"handle": ""}, Code.INVALID),
        ({"handle": "a\nb"}, Code.INVALID),
        ({"external_id": "x" * 300}, Code.INVALID),
        ({"thread": "\udfff"}, Code.INVALID),
        ({"sender": "\ud800"}, Code.INVALID),
    ],
)
async def test_bad_events_are_refused_whole(desk: Desk, change: dict[str, str], code: Code):
    await desk.wire()
    with pytest.raises(UserError) as caught:
        await desk.router.hear(msgspec.structs.replace(event(), **change))
    assert caught.value.code is code
    assert caught.value.hint
    assert (await desk.core.chatlog.counts()).sessions == 0


async def test_a_message_of_exactly_the_limit_is_taken(desk: Desk):
    await desk.wire()
    (routed,) = await desk.router.hear(event("x" * MAX_TEXT_BYTES))
    assert routed.engaged


async def test_watchers_see_the_message_at_once(desk: Desk):
    await desk.wire()
    chat = await desk.core.registry.ensure_chat(channel="api", platform_id="room")
    watch = desk.hub.watch(chat.id, after=None)
    (routed,) = await desk.router.hear(event())
    shown = await anext(watch)
    assert (shown.kind, shown.message, shown.text) == ("message", routed.message, "hello")
    await watch.aclose()
    assert desk.hub.watching == 0


# --- the host's own word --------------------------------------------------------------------------


def host_event(**fields: str) -> Event:
    return msgspec.structs.replace(event("do it", handle="task:tsk_a", external_id="\nk"), **fields)


async def test_the_host_tells_an_agent_whatever_engages_it_and_whoever_is_known(desk: Desk):
    agent = await desk.wire(engage=Engage.MENTION)
    await desk.wire("other")
    told = await desk.router.tell(host_event(), agent.id)
    assert (told.agent, told.engaged, told.reason) == (agent.id, True, "engaged")
    assert told.session is not None
    assert desk.woken == [told.session]
    (message,) = await desk.core.ledger.backlog(told.session)
    assert (message.id, message.text, message.engage) == (told.message, "do it", True)


async def test_it_tells_in_the_conversation_that_people_have_with_the_agent(desk: Desk):
    agent = await desk.wire()
    (heard,) = await desk.router.hear(event())
    assert (await desk.router.tell(host_event(), agent.id)).session == heard.session


async def test_it_tells_the_same_once_and_wakes_again(desk: Desk):
    agent = await desk.wire()
    first = await desk.router.tell(host_event(), agent.id)
    again = await desk.router.tell(host_event(text="other words"), agent.id)
    assert (again.duplicate, again.message) == (True, first.message)
    assert first.session is not None
    assert len(await desk.core.ledger.backlog(first.session)) == 1


async def test_a_chat_that_does_not_lead_to_the_agent_is_not_told(desk: Desk):
    agent = await desk.wire()
    await desk.wire("other", place="elsewhere")
    told = await desk.router.tell(host_event(platform_id="elsewhere"), agent.id)
    assert (told.session, told.message, told.reason) == (None, None, "not_wired")
    nowhere = await desk.router.tell(host_event(platform_id="nowhere"), agent.id)
    assert nowhere.session is None
    assert await desk.reasons() == ["not_wired", "not_wired"]
    assert desk.woken == []


async def test_nobody_outside_can_send_the_ids_that_the_host_gives(desk: Desk):
    await desk.wire()
    with pytest.raises(UserError) as caught:
        await desk.router.hear(event(external_id="\nk"))
    assert caught.value.code is Code.INVALID
