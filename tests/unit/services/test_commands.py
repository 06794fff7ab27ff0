"""Commands in a chat: done once whatever dies when, answered by the host, unseen by the agent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.cores import Core, until
from tests.support.past_gateway import set_unknown_sender
from tests.support.usage import usage_desk

from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import PrincipalId, SessionId, TaskId, new_id
from ironclaw.core.tasks import Tasks
from ironclaw.domain.acting import act_as
from ironclaw.domain.audit import AuditEvent, By, Via
from ironclaw.domain.commands import Word, parse
from ironclaw.domain.model import Event, Partition, Role, SenderScope, Task, UnknownSender
from ironclaw.domain.rights import Actor, Right
from ironclaw.domain.schedules import KeptTask
from ironclaw.domain.spending import Budget, Of, Per, Spent
from ironclaw.services.commands import Commands, LateCommands, Parts
from ironclaw.services.gateway import service as gateway
from ironclaw.services.hub import Hub
from ironclaw.services.router import Router
from ironclaw.store.task_rows import TaskRows
from ironclaw.testing.fake_trail import FakeTrail
from ironclaw.testing.fakes_running import MemoryLooks, MemoryReach, MemoryTell
from ironclaw_contract.limits import MAX_TEXT_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.domain.model import Agent, Chat
    from ironclaw.services.house import ChatEvent, Routed

ANN = PrincipalId("api:ann")


class Killed(BaseException):
    """Where the core ends in a test."""


class Mortal:
    """A part of which one method ends the core, before or after it has done its work."""

    def __init__(self, part: object, method: str, *, after: bool) -> None:
        self._part, self._method, self._after = part, method, after
        self.is_deadly = True

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._part, name)
        if name != self._method or not self.is_deadly:
            return found

        async def deadly(*args: Any, **named: Any) -> Any:
            if self._after:
                await found(*args, **named)
            raise Killed

        return deadly


class Desk(NamedTuple):
    core: Core
    agent: Agent
    chat: Chat
    parts: Parts
    hub: Hub
    trail: FakeTrail

    def router(self, parts: Parts | None = None) -> Router:
        store = self.core.store
        return Router(
            directory=store.registry,
            intake=store.ledger,
            refusals=store.chatlog,
            keys=store.custodian,
            hub=self.hub,
            wake=self.core.sessions.wake,
            commands=Commands(parts or self.parts),
        )

    async def say(self, text: str, parts: Parts | None = None, **named: Any) -> Routed:
        actor = named.pop("actor", None)
        (routed,) = await self.router(parts).hear(event(text, **named), actor=actor)
        return routed

    async def events(self) -> list[tuple[str, str, str]]:
        """Who said what in the chat: sender, kind, text."""
        kept = await self.core.store.chatlog.chat_events(self.chat.id, after=0)
        return [(one.sender, one.kind, one.text) for one in kept]

    async def said(self, count: int) -> list[str]:
        """Wait until so many things were said, but by people."""
        async with asyncio.timeout(10):
            while True:
                self.core.announced.bell.clear()
                if len(found := await self.core.replies(self.chat.id)) >= count:
                    return found
                await self.core.announced.bell.wait()

    async def working(self, text: str = "!hang") -> Routed:
        """Have the agent work on something that has no end."""
        routed = await self.say(text)
        assert routed.session is not None
        session = routed.session
        await until(lambda: self.core.sessions.box_state(session) == "busy")
        return routed


def event(
    text: str,
    *,
    handle: str = "ann",
    external_id: str | None = None,
    thread: str | None = None,
    mentioned: bool = True,
) -> Event:
    return Event(
        channel="api", platform_id="desk", handle=handle, sender=handle.title(), text=text,
        external_id=external_id or new_id("ext"), thread=thread, mentioned=mentioned,
    )  # fmt: skip


async def opened(core: Core, tasks: Tasks) -> Desk:
    store = core.store
    clock = SystemClock()
    agent = await store.registry.create_agent(name="helper", tools=("clock",))
    chat = await store.registry.ensure_chat(channel="api", platform_id="desk")
    await store.registry.create_wiring(chat=chat.id, agent=agent.id, partition=Partition.PER_THREAD)
    await store.registry.give(ANN, Role.MEMBER, agent.id)
    hub, trail = Hub(store.chatlog), FakeTrail()
    asked = gateway.GatewayService(
        gateway.Parts(
            store=store.registry,
            reach=MemoryReach(),
            tell=MemoryTell(),
            looks=MemoryLooks(clock),
            names=store.registry,
            record=trail.append,
            clock=clock,
            tasks=tasks,
        )
    )
    parts = Parts(
        ledger=store.ledger,
        directory=store.registry,
        sessions=core.sessions,
        gateway=asked,
        usages=usage_desk(store),
        tasks=TaskRows(store.store),
        record=trail.append,
        announce=core.announced,
        hub=hub,
    )
    return Desk(core, agent, chat, parts, hub, trail)


@pytest.fixture
async def desk(core: Core) -> AsyncIterator[Desk]:
    async with Tasks("desk", on_failure=lambda *_: None) as tasks:
        yield await opened(core, tasks)


# --- what a command is to the chat and to the agent -----------------------------------------------


async def test_a_command_is_answered_by_the_host_and_no_box_starts_for_it(desk: Desk):
    watch = desk.hub.watch(desk.chat.id, after=None)
    routed = await desk.say("/help")
    assert (routed.reason, routed.engaged, routed.duplicate) == ("handled", False, False)
    assert routed.answer is not None
    assert await desk.events() == [
        ("Ann", "message", "/help"),
        ("ironclaw", "reply", routed.answer),
    ]
    live: ChatEvent = await anext(watch)
    assert (live.id, live.text, live.message) == (routed.event, "/help", routed.message)
    (delivery,) = desk.core.announced.deliveries
    due = await desk.core.store.ledger.due(now_ms=delivery.at_ms, limit=9)
    assert due == [delivery]
    assert (delivery.said_by, delivery.is_error, delivery.code) == ("ironclaw", False, "")
    assert routed.session is not None
    assert desk.core.sessions.box_state(routed.session) == "none"
    await watch.aclose()


async def test_the_agent_never_sees_a_command(desk: Desk):
    await desk.say("one")
    await desk.said(1)
    await desk.say("/status")
    await desk.say("two")
    said = await desk.said(3)
    assert 'I remember 1 earlier message: the first was "one", the last was "one".' in said[2]
    routed = await desk.say("!recall")
    assert routed.session is not None
    # A fresh box, which is told everything from the ledger, does not either.
    await desk.core.sessions.stop(routed.session)
    await desk.say("!recall")
    assert "/status" not in (await desk.said(5))[-1]


async def test_the_same_message_twice_is_one_command(desk: Desk):
    first = await desk.say("/help", external_id="7")
    again = await desk.say("/help", external_id="7")
    assert again == first._replace(duplicate=True)
    assert len(await desk.events()) == 2


async def test_the_same_message_at_once_is_one_command(desk: Desk):
    found = await asyncio.gather(*(desk.say("/new", external_id="7") for _ in range(5)))
    assert sorted(one.duplicate for one in found) == [False, True, True, True, True]
    assert len({one.message for one in found}) == 1
    assert len(await desk.events()) == 2


async def test_a_forgotten_command_is_a_new_one(desk: Desk):
    first = await desk.say("/help", external_id="7")
    await desk.core.store.store.write(
        lambda db: db.execute("UPDATE session SET state = 'forgotten', place = NULL")
    )
    desk.core.store.registry.look_again()
    again = await desk.say("/help", external_id="7")
    assert not again.duplicate
    assert again.session != first.session


async def test_strangers_give_no_commands(desk: Desk):
    await desk.working()
    routed = await desk.say("/stop", handle="eve")
    assert (routed.session, routed.reason, routed.answer) == (None, "unknown_sender", None)
    assert len(await desk.events()) == 1
    (refusal,) = await desk.core.store.chatlog.refusals()
    assert refusal.handle == "eve"


async def test_strangers_of_a_public_chat_may_talk_and_so_give_commands(desk: Desk):
    registry = desk.core.store.registry
    await set_unknown_sender(registry, desk.chat.id, UnknownSender.PUBLIC)
    await registry.create_wiring(
        chat=desk.chat.id,
        agent=(await registry.create_agent(name="other")).id,
        sender_scope=SenderScope.ALL,
    )
    known, public = await desk.router().hear(event("/help", handle="eve"))
    assert sorted([known.reason, public.reason]) == ["handled", "not_a_member"]


async def test_until_somebody_is_there_a_command_may_be_sent_again(desk: Desk):
    late = LateCommands()
    router = desk.router()
    router._commands = late
    with pytest.raises(HostError) as failed:
        await router.hear(event("/help", external_id="7"))
    assert failed.value.code is Code.UNAVAILABLE
    late.real = Commands(desk.parts)
    (routed,) = await router.hear(event("/help", external_id="7"))
    assert not routed.duplicate


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(max_size=40).map("/{}".format) | st.text(min_size=1, max_size=40))
async def test_any_other_text_reaches_the_agent_untouched(desk: Desk, text: str):
    if parse(text, mentioned=True) is not None or not text.strip() or "\0" in text:
        return
    if any("\ud800" <= char <= "\udfff" for char in text) or len(text) > MAX_TEXT_BYTES:
        return
    woken: list[str] = []
    router = desk.router()
    router._wake = lambda _, message: woken.append("" if message is None else message.text)
    (routed,) = await router.hear(event(text))
    assert routed.engaged
    assert woken == [text]
    assert routed.session is not None
    waiting = await desk.core.store.ledger.backlog(routed.session)
    assert waiting[-1].text == text


# --- /stop ----------------------------------------------------------------------------------------


async def test_stop_ends_the_turn_and_what_waited_is_answered_next(desk: Desk):
    running = await desk.working()
    await desk.say("after that")
    routed = await desk.say("/stop")
    assert routed.answer == "The agent has stopped. The message that waited is answered next."
    said = await desk.said(3)
    assert said[:2] == ["Stopped.", routed.answer]
    assert said[2].startswith('helper heard "after that".')
    events = await desk.events()
    assert {kind for _, kind, _ in events} == {"message", "reply"}
    assert [sender for sender, kind, _ in events if kind == "reply"] == [
        "ironclaw", "ironclaw", "helper",
    ]  # fmt: skip
    stopped = next(one for one in desk.core.announced.deliveries if one.text == "Stopped.")
    assert (stopped.message, stopped.is_error) == (running.message, False)


async def test_stop_says_so_when_nothing_runs_and_leaves_an_idle_box_alone(desk: Desk):
    routed = await desk.say("/stop")
    assert routed.answer == "Nothing is running."
    talked = await desk.say("hello")
    await desk.said(2)
    session = talked.session
    assert session is not None
    await until(lambda: desk.core.sessions.box_state(session) == "ready")
    assert (await desk.say("/stop")).answer == "Nothing is running."
    assert desk.core.sessions.box_state(session) == "ready"
    assert desk.trail.records == []


async def test_a_stop_while_the_box_is_being_made_ends_the_message_too(desk: Desk):
    await desk.say("!hang")
    routed = await desk.say("/stop")
    assert routed.answer == "The agent has stopped."
    assert await desk.said(2) == ["Stopped.", "The agent has stopped."]


async def test_the_audit_has_who_stopped_it(desk: Desk):
    running = await desk.working()
    await desk.say("/stop")
    (record,) = desk.trail.records
    assert (record.event, record.session) == (AuditEvent.SESSION_STOPPED, running.session)
    assert (record.actor, record.via) == (ANN, Via.CHAT)
    await desk.working()
    with act_as(By("api:ann", Via.CLI)):
        await desk.say("/stop")
    assert desk.trail.records[-1].via is Via.CLI


async def test_nobody_works_on_a_session_while_it_is_interrupted(desk: Desk):
    running = await desk.working()
    session = running.session
    assert session is not None
    seen: list[str] = []

    async def work() -> None:
        await desk.say("meanwhile")
        await asyncio.sleep(0.01)
        seen.append(desk.core.sessions.box_state(session))
        seen.append(str(len(desk.core.isolator.launches)))

    await desk.core.sessions.interrupt(session, work)
    assert seen == ["none", "1"]
    # It was not stopped, only interrupted: it goes on, and so does what came meanwhile.
    await until(lambda: desk.core.sessions.box_state(session) == "busy")
    assert len(desk.core.isolator.launches) == 2
    assert desk.core.sessions._holds == {}


async def test_two_stops_at_once_end_one_turn_each(desk: Desk):
    await desk.working()
    await desk.say("!hang 2")
    one, two = await asyncio.gather(desk.say("/stop"), desk.say("/stop", handle="ann"))
    assert {one.answer, two.answer} == {
        "The agent has stopped. The message that waited is answered next.",
        "The agent has stopped.",
    }
    assert (await desk.core.store.ledger.waits(one.session or SessionId(""))) == 0


# --- /new -----------------------------------------------------------------------------------------


async def test_new_begins_afresh_and_the_old_one_can_still_be_read(desk: Desk):
    old = await desk.say("my name is Ann")
    await desk.said(1)
    routed = await desk.say("/new")
    assert routed.session == old.session
    assert routed.answer is not None
    assert routed.answer.startswith("Your next message begins a new conversation.")
    new = await desk.say("hello")
    assert new.session != old.session
    assert "This is the first message I remember." in (await desk.said(3))[-1]
    assert old.session is not None
    kept = await desk.core.store.chatlog.transcript(old.session, limit=9)
    assert [one.text for one in kept][0::2] == ["my name is Ann", "/new"]


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_what_is_handed_over_once_more_after_new_is_not_said_again(desk: Desk, before: int):
    """As a channel does whose core ended before it could say that it has the message."""
    for number in range(before):
        await desk.say(f"earlier {number}", thread="t")
        await desk.say("/new", thread="t")
    one = await desk.say("one", external_id="1", thread="t")
    await desk.say("/new", external_id="2", thread="t")
    assert (await desk.say("two", thread="t")).session != one.session
    again = await desk.say("one", external_id="1", thread="t")
    assert again == one._replace(duplicate=True)
    assert (await desk.say("/new", external_id="2", thread="t")).duplicate
    # It is known in its own thread alone.
    assert not (await desk.say("one", external_id="1", thread="other")).duplicate


async def test_new_in_a_new_conversation_leaves_nothing_behind(desk: Desk):
    first, again = await desk.say("/new"), await desk.say("/new")
    assert first.answer == again.answer == "This conversation is new already."
    assert first.session == again.session


async def test_new_is_for_the_thread_that_it_is_said_in(desk: Desk):
    here, there = await desk.say("a", thread="1"), await desk.say("b", thread="2")
    await desk.say("/new", thread="1")
    assert (await desk.say("c", thread="1")).session != here.session
    assert (await desk.say("d", thread="2")).session == there.session


async def test_what_runs_in_the_old_conversation_is_answered_still(desk: Desk):
    await desk.say("!slow 50\n!say done after all")
    routed = await desk.say("/new")
    assert routed.answer is not None
    assert routed.answer.endswith("What waits in the old one is still answered.")
    assert (await desk.said(2))[-1] == "done after all"


# --- /status and /model ---------------------------------------------------------------------------


async def test_status_tells_what_waits_and_only_the_changes_that_one_may_see(desk: Desk):
    await desk.working()
    await desk.say("one more")
    boss = PrincipalId("api:boss")
    await desk.core.store.registry.give(boss, Role.OWNER, None)
    asked = await desk.say("/model other/one", handle="boss")
    mine = await desk.say("/status")
    theirs = await desk.say("/status", handle="boss")
    assert mine.answer is not None
    assert mine.answer.splitlines()[0] == "Agent: helper, model scripted"
    assert mine.answer.splitlines()[1].endswith(", box busy, 2 waiting")
    assert "chg_" not in mine.answer
    assert theirs.answer is not None
    assert asked.answer is not None
    assert theirs.answer.splitlines()[2].removeprefix("Changes that wait: ") in asked.answer


async def test_strangers_are_not_told_what_an_agent_costs_or_does_elsewhere(desk: Desk):
    class Told:
        currency = "USD"

        async def standing(self, agent: Agent, session: SessionId) -> tuple[Spent, ...]:
            del agent, session
            return (Spent(Budget(Of.MONEY, Per.DAY, 5_000_000), 1_250_000),)

        async def tasks(self, *, agent: str | None = None) -> list[KeptTask]:
            del agent
            task = Task(
                id=TaskId("tsk_1"), agent=desk.agent.id, name="fire-the-boss", channel="api",
                platform_id="x", prompt="p", every_s=60,
            )  # fmt: skip
            return [KeptTask(task, next_ms=None, ran_ms=None)]

    registry = desk.core.store.registry
    await set_unknown_sender(registry, desk.chat.id, UnknownSender.PUBLIC)
    other = await registry.create_agent(name="other")
    await registry.create_wiring(chat=desk.chat.id, agent=other.id, sender_scope=SenderScope.ALL)
    await registry.give(ANN, Role.MEMBER, other.id)
    router = desk.router(desk.parts._replace(usages=Told(), tasks=Told()))

    async def status(handle: str) -> str:
        heard = await router.hear(event("/status", handle=handle))
        return next(one.answer or "" for one in heard if one.agent == other.id)

    mine, theirs = await status("ann"), await status("eve")
    for secret in ("1.25", "fire-the-boss"):
        assert secret in mine
        assert secret not in theirs
    assert theirs.startswith("Agent: other")


async def test_model_alone_tells_it(desk: Desk):
    assert (await desk.say("/model")).answer == (
        "helper answers with the model scripted. Ask for another: /model NAME"
    )


async def test_model_with_a_name_asks_for_a_change_in_ones_own_name(desk: Desk):
    await desk.core.store.registry.give(ANN, Role.OPERATOR, desk.agent.id)
    routed = await desk.say("/model other/one")
    (view,) = await desk.parts.gateway.changes(actor=Actor(ANN), agent="helper")
    change = view.row.change
    assert (change.asker.principal, change.asker.agent) == (ANN, None)
    assert routed.answer is not None
    assert change.id in routed.answer
    assert view.link in routed.answer
    assert (await desk.core.store.registry.agent("helper")).model == "scripted"


@pytest.mark.parametrize(
    ("role", "limit", "name", "words"),
    [
        (Role.MEMBER, frozenset(Right), "other/one", "may not"),
        (Role.OPERATOR, frozenset({Right.TALK}), "other/one", "may not"),
        (Role.OPERATOR, frozenset(Right), "scripted", "just that model"),
        (Role.OPERATOR, frozenset(Right), "nothing-like-it", "nothing-like-it"),
    ],
)
async def test_a_model_that_cannot_be_asked_for_is_answered_with_why(
    desk: Desk, role: Role, limit: frozenset[Right], name: str, words: str
):
    await desk.core.store.registry.give(ANN, role, desk.agent.id)
    routed = await desk.say(f"/model {name}", actor=Actor(ANN, limit))
    assert routed.reason == "handled"
    assert routed.answer is not None
    assert words in routed.answer, routed.answer
    boss = Actor(PrincipalId("api:boss"))
    await desk.core.store.registry.give(boss.principal, Role.OWNER, None)
    assert await desk.parts.gateway.changes(actor=boss) == []


# --- a core that ends in between ------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("text", "part", "method"),
    [
        *((f"/{word}", "ledger", "handle") for word in Word),
        ("/model other/one", "ledger", "handle"),
        ("/model other/one", "gateway", "submit"),
        ("/stop", "sessions", "interrupt"),
        ("/stop", "record", "__call__"),
        ("/status", "usages", "standing"),
    ],
)
async def test_a_command_that_was_cut_off_is_done_once(
    desk: Desk, text: str, part: str, method: str, after: bool
):
    await desk.core.store.registry.give(ANN, Role.OPERATOR, desk.agent.id)
    running = await desk.working()
    waiting = await desk.say("!say next please")
    mortal: Any = Mortal(getattr(desk.parts, part), method, after=after)
    if method == "__call__":
        mortal = mortal.__getattr__("__call__")
    dying = desk.parts._replace(**{part: mortal})
    with pytest.raises(Killed):
        await desk.say(text, dying, external_id="7")

    first = await desk.say(text, external_id="7")
    again = await desk.say(text, external_id="7")

    assert again == first._replace(duplicate=True)
    events = [one for one in await desk.events() if one[:2] == ("Ann", "message")]
    assert [one[2] for one in events] == ["!hang", "!say next please", text]
    answers = [one for one in await desk.events() if one[2] == first.answer]
    assert len(answers) == 1
    session = running.session
    assert session is not None
    if text == "/stop":
        said = await desk.said(3)
        assert sorted(said) == sorted(["Stopped.", first.answer, "next please"])
    else:
        await until(lambda: desk.core.sessions.box_state(session) == "busy")
        assert "Stopped." not in await desk.core.replies(desk.chat.id)
    open_changes = await desk.parts.gateway.changes(actor=Actor(ANN), agent="helper")
    assert len(open_changes) == (text == "/model other/one")
    later = await desk.say("later")
    assert (later.session == waiting.session) == (text != "/new")
