from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.tokens import Scope, limit_of

if TYPE_CHECKING:
    from ironclaw.domain.model import Event

URL = "/v1/agents/demo/chats/main/messages"


async def test_a_message_is_accepted_with_its_ids(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(URL, json={"text": "hello"})

    assert answer.status_code == 202
    body = answer.json()
    assert body["status"] == "pending"
    assert body["message"].startswith("msg_")
    assert body["session"].startswith("ses_")


async def test_with_wait_the_reply_is_in_the_answer(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"{URL}?wait=5", json={"text": "hello"})

    assert answer.status_code == 200
    assert answer.json()["reply"] == "echo: hello"
    assert answer.json()["status"] == "answered"


async def test_a_failed_turn_says_so_in_the_hosts_words(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"{URL}?wait=5", json={"text": "fail now"})

    assert answer.json()["status"] == "failed"
    assert answer.json()["reply"] == "The model refused."
    assert answer.json()["code"] == Code.MODEL_FAILED


@pytest.mark.parametrize("query", ["", "?wait=5"])
async def test_a_command_is_answered_at_once_by_the_host(edge: Any, query: str):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"{URL}{query}", json={"text": "/help"})

    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["reason"]) == ("handled", "handled")
    assert body["reply"] == "handled: help"
    assert body["message"].startswith("msg_")
    # What the token lets through of its owner's rights goes with the command.
    assert edge.house.acted[-1].limit == limit_of(frozenset({Scope.CHAT}))


@pytest.mark.parametrize("taken", ["token", "role"])
async def test_a_reply_is_not_for_who_may_not_hear_it_any_more(
    edge: Any, monkeypatch: pytest.MonkeyPatch, taken: str
):
    """It comes as late as the client wants to wait: minutes after a token was revoked."""
    hear = edge.house.hear

    async def heard(event: Event, **more: Any) -> Any:
        (routed,) = await hear(event, **more)
        if taken == "token":
            await edge.tokens.revoke("t-chat")
        else:
            held = Standing(principal=PrincipalId("api:t-chat"), role=Role.OWNER)
            edge.house.setting.standings.remove(held)
        chat = (await edge.house.sessions(agent=None))[0].session.chat
        edge.house.say(chat, routed.message, "reply", "for nobody else")
        return [routed]

    monkeypatch.setattr(edge.house, "hear", heard)
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"{URL}?wait=5", json={"text": "silent"})

    assert (answer.status_code, answer.json()["reply"]) == (202, None)


async def test_waiting_ends_with_the_ids_when_no_reply_comes(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"{URL}?wait=0.05", json={"text": "silent"})

    assert answer.status_code == 202
    assert answer.json()["status"] == "pending"


async def test_the_same_idempotency_key_is_taken_once_and_answers_again(edge: Any):
    headers = {"idempotency-key": "k1"}
    async with edge.client(Scope.CHAT) as client:
        first = await client.post(f"{URL}?wait=5", json={"text": "hello"}, headers=headers)
        again = await client.post(f"{URL}?wait=5", json={"text": "hello"}, headers=headers)

    assert again.json()["message"] == first.json()["message"]
    assert again.json()["duplicate"] is True
    assert again.json()["reply"] == "echo: hello"


async def test_two_tokens_with_the_same_key_do_not_shadow_each_other(edge: Any):
    headers = {"idempotency-key": "k1"}
    async with edge.client(Scope.CHAT) as one, edge.client(Scope.ADMIN) as other:
        first = await one.post(URL, json={"text": "hello"}, headers=headers)
        second = await other.post(URL, json={"text": "hello"}, headers=headers)

    assert first.json()["message"] != second.json()["message"]


async def test_who_speaks_is_the_token_and_not_what_a_client_writes(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        await client.post(URL, json={"text": "hello"})
        forged = await client.post(URL, json={"text": "hello", "sender": "owner"})

    assert forged.status_code == 400
    assert [event.handle for event in edge.house.heard] == ["t-chat"]


async def test_two_tokens_of_one_principal_speak_with_one_voice_in_one_chat(edge: Any):
    minted = await edge.tokens.mint(
        name="phone", scopes=[Scope.CHAT], ttl_s=None, principal="api:t-chat"
    )
    async with edge.client(Scope.CHAT) as desk, edge.client(None) as phone:
        phone.headers["authorization"] = f"Bearer {minted.secret}"
        one = await desk.post(URL, json={"text": "hello"})
        other = await phone.post(URL, json={"text": "hello again"})

    assert one.json()["chat"] == other.json()["chat"]
    assert {event.handle for event in edge.house.heard} == {"t-chat"}


async def test_speaking_gives_nobody_a_right(edge: Any):
    before = await edge.house.standings()
    minted = await edge.tokens.mint(name="stranger", scopes=[Scope.ADMIN], ttl_s=None)
    async with edge.client(None) as client:
        client.headers["authorization"] = f"Bearer {minted.secret}"
        answer = await client.post(URL, json={"text": "hello"})

    assert answer.status_code == 404
    assert edge.house.heard == []
    assert await edge.house.standings() == before


async def test_an_unknown_agent_is_not_found_with_a_next_step(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post("/v1/agents/nobody/chats/main/messages", json={"text": "x"})

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert "ironclaw me" in answer.json()["hint"]


@pytest.mark.parametrize("name", ["a b", "%00", "..", "x" * 65, "-x", "%E2%80%AE"])
async def test_odd_chat_names_are_refused(edge: Any, name: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"/v1/agents/demo/chats/{name}/messages", json={"text": "x"})

    assert answer.status_code in {400, 404}
    assert edge.house.heard == []


@pytest.mark.parametrize("wait", ["-1", "1e9", "nan", "x"])
async def test_odd_waits_are_refused(edge: Any, wait: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(f"{URL}?wait={wait}", json={"text": "x"})

    assert answer.status_code == 400
    assert "wait" in answer.json()["detail"]


async def test_a_text_over_the_limit_of_a_message_is_too_large(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(URL, json={"text": "é" * 200_000})

    assert answer.status_code == 413
    assert edge.house.heard == []
