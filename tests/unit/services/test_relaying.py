"""Agents that write to each other: there and back, once, apart by conversation, and with an end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest
from tests.support.past_gateway import archive_agent

from ironclaw.channels.agent_channel import AgentChannel
from ironclaw.core.clock import ManualClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.core.ids import SessionId, new_id
from ironclaw.domain.changes.base import ForgetSession, PutAgent
from ironclaw.domain.letters import Letter
from ironclaw.domain.model import Destination, Partition
from ironclaw.domain.relaying import Limits, pair_of
from ironclaw.domain.routing import Seat
from ironclaw.services.commands import LateCommands
from ironclaw.services.house import SentTo
from ironclaw.services.hub import Hub
from ironclaw.services.relaying import LateRelay, Relay
from ironclaw.services.router import Router
from ironclaw.services.telling import Telling
from ironclaw.store.change_ops import Cause, execute
from ironclaw.store.relay_rows import MOST_BACK
from ironclaw.testing.fakes_store import Conversation, CoreStore, open_core_store, outbound
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Called, File, Returned
from ironclaw_contract.limits import MAX_TEXT_BYTES
from ironclaw_contract.records import Say, Step, TurnEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.core.ids import MessageId
    from ironclaw.domain.model import Agent, Delivery, Message

LIMITS = Limits(max_hops=4, per_hour=5)


class Two(NamedTuple):
    """Two agents, each with people of its own; the first may write to the second."""

    core: CoreStore
    clock: ManualClock
    ann: Conversation
    bob: Agent
    relay: Relay
    woken: list[SessionId]
    hub: Hub

    async def asks(
        self,
        text: str,
        *,
        turn: MessageId | None = None,
        talk: Conversation | None = None,
        to: str = "bob",
        key: str = "k",
    ) -> Delivery:
        """What the first agent sends in a turn."""
        talk = talk or self.ann
        turn = turn or (await talk.hear("ask bob", thread="t1")).message.id
        letter = Letter(talk.agent.id, talk.session, turn, key, to, text, limits=LIMITS)
        delivery = await self.core.ledger.send(letter)
        assert delivery is not None
        return delivery

    async def carried(self, delivery: Delivery) -> None:
        await self.relay.carry(delivery)
        await self.core.ledger.delivered(delivery.id, platform_id="x")

    async def asked(self, text: str, **fields: object) -> Message:
        """The same, as the second agent has it."""
        await self.carried(await self.asks(text, **fields))  # type: ignore[arg-type]
        (session,) = await self.bobs()
        return (await self.core.ledger.backlog(session))[-1]

    async def bobs(self) -> list[SessionId]:
        found = await self.core.registry.sessions(agent=self.bob.id)
        return [one.session.id for one in found]

    async def says(
        self, message: Message, text: str, *, failed: WireCode | None = None
    ) -> list[Delivery]:
        """End the turn that a message began."""
        ledger, registry = self.core.ledger, self.core.registry
        session = await registry.session(message.session)
        if not session.epoch:
            session = await ledger.begin_epoch(session.id, workspace=f"w{session.id}")
        says = (Say(text=text, reply_to=message.id),) if text else ()
        end = TurnEnd(turn=message.id, index=0, entries=(), says=says, failed=failed)
        out = outbound(session.out_seq + 1, end)
        return list((await ledger.commit(session.id, session.epoch, out)).deliveries)

    async def back(self) -> Message:
        """The newest that waits for the first agent."""
        return (await self.core.ledger.backlog(self.ann.session))[-1]

    async def may(self, agent: Agent, name: str, to: Agent) -> None:
        """Let an agent write to another one."""
        place = Destination(name=name, channel="agent", platform_id=to.id)
        agent = await self.core.registry.agent(agent.id)
        agent = msgspec.structs.replace(
            agent, tools=("send_message",), destinations=(*agent.destinations, place)
        )
        await self.core.store.write(lambda db: execute(db, PutAgent(agent), Cause(at_ms=1)))


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    clock = ManualClock()
    async with open_core_store(tmp_path, clock=clock) as core:
        ann = await core.begin(name="ann")
        bob = await core.registry.create_agent(name="bob")
        hub = Hub(core.chatlog)
        woken: list[SessionId] = []
        router = Router(
            directory=core.registry,
            intake=core.ledger,
            refusals=core.chatlog,
            keys=core.custodian,
            hub=hub,
            wake=lambda session, _: woken.append(session),
            commands=LateCommands(),
        )
        telling = Telling(ledger=core.ledger, hub=hub, wake=lambda *_: None)
        relay = Relay(book=core.ledger, agents=core.registry, ways=router, tells=telling, hub=hub)
        found = Two(core, clock, ann, bob, relay, woken, hub)
        await found.may(ann.agent, "bob", bob)
        yield found


async def test_what_an_agent_asks_begins_a_turn_of_the_other_and_the_answer_comes_back(two: Two):
    asked = await two.asked("What is the time?")
    assert (asked.sender, asked.text, asked.engage) == ("agent ann", "What is the time?", True)
    assert asked.session in two.woken
    (reply,) = await two.says(asked, "It is noon.")
    assert reply.channel == "agent"
    await two.carried(reply)
    back = await two.back()
    assert (back.sender, back.text, back.engage) == ("agent bob", "It is noon.", True)
    # Where it was asked: the chat and thread of the person.
    assert (back.chat, back.thread) == (two.ann.chat.id, "t1")
    assert two.woken[-1] == two.ann.session


async def test_people_see_each_thing_once_on_both_sides(two: Two):
    asked = await two.asked("What is the time?")
    (reply,) = await two.says(asked, "It is noon.")
    await two.carried(reply)
    pair = await two.core.chatlog.chat_events(asked.chat, after=0)
    assert [(one.sender, one.text) for one in pair] == [
        ("agent ann", "What is the time?"),
        ("bob", "It is noon."),
    ]
    theirs = await two.core.chatlog.transcript(asked.session, limit=9)
    assert [one.text for one in theirs] == [one.text for one in pair]
    mine = await two.core.chatlog.transcript(two.ann.session, limit=9)
    assert {(one.sender, one.kind, one.text) for one in mine} == {
        ("Ann", "message", "ask bob"),
        ("ann", "reply", "What is the time?"),
        ("agent bob", "message", "It is noon."),
    }
    bob = SentTo(name="bob", channel="agent", platform_id=two.bob.id)
    assert [one.sent_to for one in mine if one.kind == "reply"] == [bob]
    assert {one.sent_to for one in [*mine, *theirs] if one.kind == "message"} == {None}
    assert theirs[-1].sent_to is None
    own = await two.core.chatlog.chat_events(two.ann.chat.id, after=0)
    assert [(one.sender, one.text) for one in own] == [
        ("Ann", "ask bob"),
        ("agent bob", "It is noon."),
    ]


async def test_whoever_watches_the_chat_of_the_two_sees_it_as_it_happens(two: Two):
    asked = await two.asked("one")
    watch = two.hub.watch(asked.chat, after=0)
    assert (await anext(watch)).text == "one"
    (reply,) = await two.says(asked, "two")
    await two.carried(reply)
    assert (await anext(watch)).text == "two"
    turn = (await two.ann.hear("ask bob again")).message.id
    await two.asked("three", turn=turn, key="again")
    assert (await anext(watch)).text == "three"
    await watch.aclose()


async def test_a_repeat_after_a_crash_changes_nothing(two: Two):
    delivery = await two.asks("What is the time?")
    for _ in range(3):
        await two.relay.carry(delivery)
    (session,) = await two.bobs()
    (asked,) = await two.core.ledger.backlog(session)
    (reply,) = await two.says(asked, "It is noon.")
    for _ in range(3):
        await two.relay.carry(reply)
    waiting = await two.core.ledger.backlog(two.ann.session)
    assert [one.text for one in waiting] == ["ask bob", "It is noon."]


async def test_conversations_of_one_agent_stay_apart_at_the_other(two: Two):
    session = SessionId(new_id("ses"))
    await two.core.custodian.create(session)
    seat = Seat(two.ann.agent.id, Partition.PER_THREAD, two.ann.chat.id, "elsewhere")
    await two.core.registry.add_session(session, seat)
    second = two.ann._replace(session=session)
    await two.carried(await two.asks("from the first"))
    await two.carried(await two.asks("from the second", talk=second))
    heard = [[one.text for one in await two.core.ledger.backlog(one)] for one in await two.bobs()]
    assert sorted(heard) == [["from the first"], ["from the second"]]
    # And each answer finds its own way.
    for one in await two.bobs():
        (asked,) = await two.core.ledger.backlog(one)
        (reply,) = await two.says(asked, f"answer {asked.text}")
        await two.carried(reply)
    assert (await two.back()).text == "answer from the first"
    assert (await two.core.ledger.backlog(session))[-1].text == "answer from the second"


async def test_it_has_come_through_each_agent_and_is_marked(two: Two):
    asked = await two.asked("one")
    (reply,) = await two.says(asked, "two")
    await two.carried(reply)
    rows = await two.core.store.read(
        lambda db: list(db.execute("SELECT hops, taint FROM message ORDER BY n"))
    )
    assert rows == [(0, ""), (1, "agent"), (2, "agent")]


async def test_two_agents_that_answer_each_other_for_ever_come_to_an_end(two: Two):
    """Each begins anew with the other whatever it hears; nobody stops them but the count."""
    await two.may(two.bob, "ann", two.ann.agent)
    turn = (await two.ann.hear("ask bob")).message
    for sent in range(LIMITS.max_hops // 2):
        asked = await two.asked("ping", turn=turn.id, key=f"k{sent}")
        (reply,) = await two.says(asked, "pong")
        await two.carried(reply)
        await two.core.ledger.fail_message(turn.id, text="x", code=Code.STOPPED)
        turn = await two.back()
    with pytest.raises(PolicyError) as refused:
        await two.asks("ping", turn=turn.id, key="more")
    assert refused.value.code is Code.FORBIDDEN
    assert "agents already" in refused.value.message


async def test_how_much_an_agent_may_begin_in_an_hour_has_an_end(two: Two):
    turn = (await two.ann.hear("ask bob")).message.id
    for number in range(LIMITS.per_hour):
        delivery = await two.asks(f"{number}", turn=turn, key=f"k{number}")
        if number % 2:  # also what is on its way counts
            await two.carried(delivery)
    with pytest.raises(PolicyError) as refused:
        await two.asks("one more", turn=turn, key="more")
    assert refused.value.code is Code.RATE_LIMITED
    for due in await two.core.ledger.due(now_ms=two.clock.now_ms(), limit=9):
        await two.carried(due)
    two.clock.advance(3601)
    for due in await two.core.ledger.due(now_ms=two.clock.now_ms(), limit=9):
        await two.carried(due)
    two.clock.advance(3601)
    await two.asks("later", turn=turn, key="later")


async def test_the_answer_needs_no_destination_and_a_question_does(two: Two):
    asked = await two.asked("hello")
    letter = Letter(two.bob.id, asked.session, asked.id, "k", "ann", "hello", limits=LIMITS)
    with pytest.raises(PolicyError):
        await two.core.ledger.send(letter)
    (reply,) = await two.says(asked, "hello yourself")
    await two.carried(reply)
    assert (await two.back()).text == "hello yourself"


async def test_an_agent_that_fails_is_an_answer_too(two: Two):
    asked = await two.asked("hello")
    (failed,) = await two.says(asked, "", failed=WireCode.MODEL_REFUSED)
    await two.carried(failed)
    back = await two.back()
    assert back.text.startswith("(No answer. The model refused")
    assert back.sender == "agent bob"


async def test_one_that_has_ended_is_not_written_to(two: Two):
    delivery = await two.asks("hello")
    await archive_agent(two.core.registry, "bob")
    with pytest.raises(UserError):
        await two.relay.carry(delivery)
    told = await two.back()
    assert told.text == "Your message to the agent bob did not reach it: The agent bob has ended."
    assert not told.engage
    with pytest.raises(UserError) as refused:
        await two.asks("hello again", key="again")
    assert refused.value.code is Code.NOT_FOUND


async def test_an_answer_to_what_was_forgotten_reaches_nobody(two: Two):
    asked = await two.asked("hello")
    forget = ForgetSession(two.ann.session, two.ann.agent.id)
    await two.core.store.write(lambda db: execute(db, forget, Cause(at_ms=1)))
    await two.core.custodian.forget(two.ann.session)
    (reply,) = await two.says(asked, "It was a secret.")
    await two.relay.carry(reply)
    assert await two.core.ledger.backlog(two.ann.session) == []


async def test_nobody_answers_a_question_of_people_for_them(two: Two):
    """An answer comes under an id with a newline, which is nobody's word."""
    asked = await two.asked("hello")
    (reply,) = await two.says(asked, "1")
    await two.carried(reply)
    rows = await two.core.store.read(
        lambda db: list(db.execute("SELECT external_id FROM message ORDER BY n"))
    )
    assert [row[0][:7] for row in rows[1:]] == ["relay:d", "\nreply:"]


async def test_the_channel_waits_until_there_is_somebody(two: Two):
    late = LateRelay()
    channel = AgentChannel(late.carry)
    delivery = await two.asks("hello")
    with pytest.raises(HostError):
        await channel.deliver(delivery)
    late.real = two.relay
    assert await channel.deliver(delivery) == delivery.id
    assert len(await two.bobs()) == 1


def test_a_chat_of_a_pair_says_whose_it_is():
    assert pair_of("agt_a/agt_b") == ("agt_a", "agt_b")
    assert pair_of("room") is None
    assert pair_of("/agt_b") is None


async def test_files_stay_where_they_are_and_the_other_agent_hears_of_that(two: Two):
    asked = await two.asked("Draw it.")
    (reply,) = await two.says(asked, "Here it is.")
    drawing = File(id="f1", name="a.png", media_type="image/png", size=3)
    await two.relay.carry(msgspec.structs.replace(reply, files=(drawing,)))
    assert (await two.back()).text == "Here it is.\n(Files that are not passed on: 1.)"


async def test_what_is_said_at_work_begins_no_turn_of_the_one_that_asked(two: Two):
    asked = await two.asked("Draw it.")
    session = await two.core.ledger.begin_epoch(asked.session, workspace="w")
    entries = (Called("c", "tell", "{}"), Returned("c", "said"))
    before = len(await two.core.ledger.backlog(two.ann.session))
    for index in range(MOST_BACK + 1):
        said = (Say(text="Still at it.", reply_to=asked.id),)
        step = Step(turn=asked.id, index=index, entries=entries, says=said)
        done = await two.core.ledger.commit(session.id, session.epoch, outbound(index + 1, step))
        await two.carried(done.deliveries[0])
    assert len(await two.core.ledger.backlog(two.ann.session)) == before
    # Nor does it count as one of the answers that come back.
    end = TurnEnd(
        turn=asked.id, index=MOST_BACK + 1, entries=(), says=(Say(text="So.", reply_to=asked.id),)
    )
    out = outbound(MOST_BACK + 2, end)
    done = await two.core.ledger.commit(session.id, session.epoch, out)
    await two.carried(done.deliveries[0])
    assert (await two.back()).text == "So."


async def test_an_answer_that_is_too_long_for_a_message_is_cut(two: Two):
    asked = await two.asked("Tell me everything.")
    (reply,) = await two.says(asked, "é" * 200_000)
    await two.carried(reply)
    text = (await two.back()).text
    assert len(text.encode()) <= MAX_TEXT_BYTES
    assert text.endswith("é\n(The rest is left out: it is too long for one message.)")
