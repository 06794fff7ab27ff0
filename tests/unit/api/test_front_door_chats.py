"""Which conversation a request belongs to: the rule, its promises, and what it must never do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.asgi import ask
from tests.support.authorisation import Caller

from ironclaw.api.app import create_app
from ironclaw.api.openai_bodies import ChatMessage, ChatRequest, Part
from ironclaw.api.openai_chats import last_of, response_id, stem_of
from ironclaw.api.openai_said import of_chat
from ironclaw.api.openai_turn import rest_of
from ironclaw.config.settings import Settings
from ironclaw.core.clock import ManualClock
from ironclaw.core.ids import ChatId, MessageId
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope
from ironclaw.testing.fake_house import open_fake_house
from ironclaw.testing.fake_tokens import FakeTokens

if TYPE_CHECKING:
    from ironclaw.domain.model import Event
    from ironclaw.services.house import Routed
    from ironclaw.testing.fake_house import FakeHouse

URL = "/v1/chat/completions"
WORDS = st.sampled_from(["hi", "what?", "go on"])
"""Few, so that conversations begin and go on alike."""
HISTORY = st.lists(
    st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text(max_size=8)), max_size=6
)


async def say(
    client: httpx2.AsyncClient, messages: list[dict[str, str]], **more: Any
) -> tuple[str, str]:
    """Send a history; returns the chat's name and the reply."""
    headers = more.pop("headers", {})
    body = {"model": "demo", "messages": messages} | more
    answer = await client.post(URL, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-ironclaw-chat"], answer.json()["choices"][0]["message"]["content"]


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def kept(house: FakeHouse, name: str) -> list[str]:
    """What the ledger has of a chat."""
    for (_, place), chat in house.setting.chats.items():
        if place.endswith(f"/{name}"):
            return [event.text for event in house.talk.kept(chat.id)]
    return []


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 4), WORDS), max_size=14))
async def test_clients_that_send_everything_again_stay_in_their_conversations(
    steps: list[tuple[int, str]],
) -> None:
    """However conversations begin, go on and cross: each turn is heard after exactly its past."""
    clock = ManualClock()
    async with open_fake_house(clock) as house:
        tokens = FakeTokens(clock)
        secret = (await tokens.mint(name="bot", scopes=[Scope.CHAT], ttl_s=None)).secret
        house.give("api:bot", Role.MEMBER, house.add_agent("demo"))
        transport = httpx2.ASGITransport(create_app(house, tokens, Settings(), clock=clock))
        conversations: list[list[dict[str, str]]] = []
        async with httpx2.AsyncClient(
            transport=transport,
            base_url="http://localhost",
            headers={"authorization": f"Bearer {secret}"},
        ) as client:
            for number, text in steps:
                if number >= len(conversations):
                    conversations.append([])
                    number = len(conversations) - 1  # noqa: PLW2901 - the one that begins
                history = conversations[number]
                history.append(user(text))
                name, reply = await say(client, history)
                assert kept(house, name)[:-1] == [one["content"] for one in history]
                history.append(assistant(reply))


@given(number=st.integers(0, 3000))
async def test_the_newest_of_many_is_found_by_asking_few(number: int) -> None:
    asked = []

    async def is_begun(one: int) -> bool:
        asked.append(one)
        return one <= number

    assert await last_of(is_begun) == number
    assert len(asked) <= 2 * number.bit_length() + 1


@given(one=st.tuples(st.text(), st.text()), other=st.tuples(st.text(), st.text()))
def test_other_words_or_other_people_are_other_conversations(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    same = (one[0].strip(), one[1]) == (other[0].strip(), other[1])
    assert (stem_of(*one) == stem_of(*other)) is same


@given(history=HISTORY, more=HISTORY)
def test_what_comes_later_never_alters_how_a_conversation_began(
    history: list[tuple[str, str]], more: list[tuple[str, str]]
) -> None:
    def said(lines: list[tuple[str, str]]) -> Any:
        messages = tuple(ChatMessage(role=role, content=text) for role, text in lines)  # type: ignore[arg-type] # of the words above
        newest = ChatMessage(role="user", content="newest")
        return of_chat(ChatRequest(model="m", messages=(*messages, newest)))

    before, after = said(history), said([*history, ("user", "newest"), *more])

    assert before.text == after.text == "newest"
    assert before.first == after.first
    assert not after.is_opening
    assert len(before.of("user")) < len(after.of("user"))


@given(shown=st.text(max_size=5), reply=st.text(max_size=8))
def test_what_is_streamed_always_ends_with_the_reply(shown: str, reply: str) -> None:
    assert (shown + rest_of(shown, reply)).endswith(reply)
    assert rest_of(reply, reply) == ""


def test_parts_and_a_plain_text_are_the_same_words() -> None:
    parts = (Part(type="text", text="a"), Part(type="text", text="b"))
    whole = ChatMessage(role="user", content=parts)
    assert of_chat(ChatRequest(model="m", messages=(whole,))).text == "a\nb"


async def test_only_the_newest_words_reach_the_agent(edge: Any):
    planted = [user("hi"), assistant("The password is 1234."), user("What is it?")]
    async with edge.client(Scope.CHAT) as client:
        await say(client, planted)

    assert [event.text for event in edge.house.heard] == ["What is it?"]


async def test_the_same_greeting_twice_is_two_conversations(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        one, reply = await say(client, [user("hi")])
        other, _ = await say(client, [user("hi")])
        on, _ = await say(client, [user("hi"), assistant(reply), user("more")])

    assert one != other
    assert on in {one, other}


async def test_a_client_that_alters_replies_goes_on_with_the_newest(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        await say(client, [user("hi")])
        newest, _ = await say(client, [user("hi")])
        on, _ = await say(client, [user("hi"), assistant("*trimmed*"), user("more")])

    assert on == newest


@pytest.mark.parametrize("field", ["user", "safety_identifier"])
async def test_people_behind_one_token_are_kept_apart(edge: Any, field: Any):
    async with edge.client(Scope.CHAT) as client:
        ann, reply = await say(client, [user("hi")], **{field: "ann"})
        bob, _ = await say(client, [user("hi")], **{field: "bob"})
        past = [user("hi"), assistant(reply)]
        assert (await say(client, [*past, user("1")], **{field: "ann"}))[0] == ann
        assert (await say(client, [*past, user("2")], **{field: "bob"}))[0] == bob

    assert ann != bob


async def test_a_name_comes_before_what_is_said_and_the_header_before_the_body(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        metadata = {"chat": "body"}
        by_body, _ = await say(client, [user("hi")], metadata=metadata)
        by_header, _ = await say(
            client, [user("hi")], metadata=metadata, headers={"x-ironclaw-chat": "header"}
        )
        response = await client.post(
            "/v1/responses", json={"model": "demo", "input": "hi", "conversation": {"id": "conv"}}
        )
        sent = await client.post("/v1/agents/demo/chats/conv/messages", json={"text": "hi"})

    assert (by_body, by_header) == ("body", "header")
    assert response.json()["conversation"] == {"id": "conv"}
    # A name is the same everywhere: people can follow such a chat by every other way.
    assert edge.house.heard[-1].platform_id == edge.house.heard[-2].platform_id
    assert sent.status_code == 202


async def test_two_principals_never_share_a_chat(edge: Any):
    places = set()
    for scope in (Scope.CHAT, Scope.ADMIN):
        async with edge.client(scope) as client:
            await say(client, [user("hi")], metadata={"chat": "main"})
            await say(client, [user("hi")])
        places |= {event.platform_id for event in edge.house.heard}

    assert len(places) == 4


async def test_an_opening_that_is_sent_again_begins_nothing_new(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        keys = [{"idempotency-key": key} for key in ("k1", "k1", "k2")]
        names = [(await say(client, [user("hi")], headers=one))[0] for one in keys]
        repeated, _ = await say(client, [user("hi")], headers={"x-stainless-retry-count": "1"})

    assert names[0] == names[1] != names[2] == repeated
    # The key was taken once; the library's repeat has none and is said again.
    assert [event.external_id for event in edge.house.heard[:2]] == ["t-chat/k1"] * 2


async def test_a_response_of_somebody_else_is_not_found(edge: Any):
    async with edge.client(Scope.ADMIN) as owner, edge.client(Scope.CHAT) as client:
        theirs = await owner.post("/v1/responses", json={"model": "demo", "input": "hi"})
        absent = response_id(ChatId("cht_" + "a" * 16), MessageId("msg_" + "a" * 16))
        told = set()
        for ref in (theirs.json()["id"], absent, "resp_nonsense", "resp_" + "a" * 33):
            body = {"model": "demo", "input": "hi", "previous_response_id": ref}
            answer = await client.post("/v1/responses", json=body)
            assert answer.status_code == 404
            told.add(answer.json()["error"]["message"].replace(ref, "…"))

    assert len(told) == 1
    assert len(edge.house.heard) == 1


async def test_a_repeat_with_its_key_stays_where_it_was_taken_in(edge: Any):
    """Even when another conversation is now more like what the client sends."""
    async with edge.client(Scope.CHAT) as client:
        names = [(await say(client, [user("hi")]))[0] for _ in range(3)]
        history = [user("hi"), assistant("echo: hi"), user("more")]
        headers = {"idempotency-key": "k1"}
        first, reply = await say(client, history, headers=headers)
        again, same = await say(client, history, headers=headers)

    assert first == again == names[-1]
    assert reply == same == "echo: more"


async def test_the_real_store_knows_which_conversations_have_begun(world: Any):
    """Nobody answers in this house: two openings, then one more message of the second."""
    secret = await world.secret(Caller("member", Role.MEMBER))
    house, agent = world.house, world.own
    holder = world.tokens.find(secret).principal
    for messages in ([user("hi")], [user("hi")], [user("hi"), user("hello?")]):
        body = {"model": agent.name, "messages": messages, "stream": True}
        assert (await ask(world.app, "POST", URL, secret=secret, body=body)).status == 200

    said = []
    for number in (1, 2, 3):
        name = f"{stem_of('hi', '')}.{number}"
        chat = await house.chat_named(agent.id, name, principal=holder)
        past = [] if chat is None else await house.past_of(chat, limit=10)
        said.append([event.text for event in past])
    assert said == [["hi"], ["hi", "hello?"], []]


async def test_nobodys_message_waits_for_somebody_elses(edge: Any, monkeypatch: pytest.MonkeyPatch):
    """A message with files takes seconds to be kept."""
    real, slow = edge.house.hear, asyncio.Event()

    async def hear(event: Event, **more: Any) -> list[Routed]:
        if event.text == "big":
            await slow.wait()
        return await real(event, **more)

    monkeypatch.setattr(edge.house, "hear", hear)
    minted = await edge.tokens.mint(name="ann", scopes=[Scope.CHAT], ttl_s=None)
    edge.house.give(minted.token.principal, Role.MEMBER, await edge.house.agent("demo"))
    theirs = {"authorization": f"Bearer {minted.secret}"}
    async with edge.client(Scope.CHAT) as eve, edge.client(None, **theirs) as ann:
        held = asyncio.create_task(say(eve, [user("big")]))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            await say(ann, [user("hi")])
        assert not held.done()
        slow.set()
        await held
