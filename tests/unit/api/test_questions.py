"""Questions over the API and the front door: asked in the answer, answered by the next message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import openai
import pytest

from ironclaw.core.codes import Code
from ironclaw.domain.model import Role
from ironclaw.domain.questions import MAX_ANSWER_CHARS
from ironclaw.domain.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "/v1/agents/demo/chats/main/messages"
SHOWN = "Which colour?\n\n1. red\n2. blue\n\nAnswer with a number or the words of an option."


@pytest.fixture
async def client(edge: Any) -> AsyncIterator[Any]:
    async with edge.client(Scope.CHAT) as found:
        yield found


async def say(client: Any, text: str, **more: object) -> Any:
    answer = await client.post(f"{URL}?wait=5", json={"text": text} | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_whoever_waits_for_a_reply_gets_the_question_and_then_the_reply(client: Any):
    asked = await say(client, "ask")
    assert (asked["status"], asked["reply"]) == ("asked", "Which colour?")
    assert asked["options"] == ["red", "blue"]
    answered = await say(client, "2")
    assert (answered["status"], answered["reply"]) == ("answered", "chose: blue")
    assert (answered["message"], answered["reason"]) == (asked["message"], "answered_question")


async def test_sent_again_a_message_gives_the_question_while_it_is_open(client: Any):
    asked = await say(client, "ask", external_id="1")
    again = await say(client, "ask", external_id="1")
    assert (again["duplicate"], again["question"]) == (True, asked["question"])
    await say(client, "red")
    again = await say(client, "ask", external_id="1")
    assert (again["status"], again["reply"]) == ("answered", "chose: red")


async def test_a_question_is_listed_and_answered_once_by_its_id(client: Any):
    asked = await say(client, "ask")
    (listed,) = (await client.get("/v1/questions")).json()["questions"]
    assert (listed["id"], listed["message"]) == (asked["question"], asked["message"])
    assert (listed["text"], listed["options"]) == ("Which colour?", ["red", "blue"])
    target = f"/v1/questions/{listed['id']}/answer"
    for text in ("", "x" * (MAX_ANSWER_CHARS + 1), "green"):
        assert (await client.post(target, json={"text": text})).status_code == 400
    done = (await client.post(target, json={"text": "RED"})).json()
    assert (done["message"], done["question"]) == (asked["message"], listed["id"])
    late = await client.post(target, json={"text": "blue"})
    assert (late.status_code, late.json()["code"]) == (409, Code.CONFLICT)
    assert (await client.get("/v1/questions")).json() == {"questions": []}


async def test_a_question_in_somebody_elses_chat_does_not_exist(edge: Any, client: Any):
    asked = await say(client, "ask")
    minted = await edge.tokens.mint(name="guest", scopes=[Scope.CHAT], ttl_s=None)
    edge.house.give("api:guest", Role.MEMBER, await edge.house.agent("demo"))
    guest = {"Authorization": f"Bearer {minted.secret}"}
    async with edge.client(None) as other:
        listed = await other.get("/v1/questions", headers=guest)
        answer = await other.post(
            f"/v1/questions/{asked['question']}/answer", json={"text": "red"}, headers=guest
        )
    assert listed.json() == {"questions": []}
    assert answer.status_code == 404


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN, Role.OWNER])
async def test_whoever_may_look_at_a_chat_does_not_answer_in_it(edge: Any, client: Any, role: Role):
    asked = await say(client, "ask")
    minted = await edge.tokens.mint(name="boss", scopes=[Scope.ADMIN], ttl_s=None)
    about = None if role is Role.OWNER else await edge.house.agent("demo")
    edge.house.give("api:boss", role, about)
    boss = {"Authorization": f"Bearer {minted.secret}"}
    async with edge.client(None) as other:
        listed = await other.get("/v1/questions", headers=boss)
        answer = await other.post(
            f"/v1/questions/{asked['question']}/answer", json={"text": "red"}, headers=boss
        )

    assert listed.json() == {"questions": []}
    assert (answer.status_code, answer.json()["code"]) == (403, Code.FORBIDDEN)
    assert "is answered by who talks there" in answer.json()["detail"]
    assert "ironclaw session stop" in answer.json()["hint"]
    assert (await say(client, "blue"))["reply"] == "chose: blue"


@pytest.mark.parametrize("stream", [False, True])
async def test_at_the_front_door_a_question_is_the_reply(edge: Any, stream: bool):
    sdk = openai.AsyncOpenAI(
        api_key=edge.secrets[Scope.CHAT],
        base_url="http://127.0.0.1:8787/v1",
        http_client=edge.client(None),
    )

    async def complete(messages: Any) -> str:
        if not stream:
            done = await sdk.chat.completions.create(model="demo", messages=messages)
            return str(done.choices[0].message.content)
        chunks = await sdk.chat.completions.create(model="demo", messages=messages, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    first = {"role": "user", "content": "ask me"}
    async with sdk:
        asked = await complete([first])
        assert asked == SHOWN
        said = [first, {"role": "assistant", "content": asked}, {"role": "user", "content": "1"}]
        assert await complete(said) == "chose: red"
