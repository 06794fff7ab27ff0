from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.asgi import Listener

from ironclaw.api import sse
from ironclaw.core.tasks import Tasks
from ironclaw.domain.tokens import Scope

SEND = "/v1/agents/demo/chats/main/messages?wait=5"


def listen(edge: Any, chat: str, *, headers: dict[str, str] | None = None) -> Listener:
    target = f"/v1/chats/{chat}/events"
    return Listener(edge.app, target, secret=edge.secrets[Scope.READ], headers=headers)


@pytest.fixture
async def tasks():
    async with Tasks("test", on_failure=lambda _name, _error: None) as owner:
        yield owner


async def chat_of(edge: Any) -> str:
    async with edge.client() as client:
        return (await client.post(SEND, json={"text": "first"})).json()["chat"]


async def test_events_arrive_live_with_progress_in_between(edge: Any, tasks: Any):
    chat = await chat_of(edge)
    listener = listen(edge, chat)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    async with edge.client() as client:
        await client.post(SEND, json={"text": "second"})
    await listener.until(b"echo: second")
    listener.left.set()
    await task

    kinds = [(event["kind"], event["text"]) for event in listener.events()]
    assert kinds == [("message", "second"), ("progress", "echo"), ("reply", "echo: second")]
    assert listener.text.count(b"\nid: ") + listener.text.startswith(b"id: ") == 2


async def test_what_an_agent_does_is_seen_live_and_never_kept(edge: Any, tasks: Any):
    chat = await chat_of(edge)
    listener = listen(edge, chat)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    async with edge.client() as client:
        await client.post(SEND, json={"text": "use it"})
    await listener.until(b"echo: use it")
    listener.left.set()
    await task

    (doing,) = [event for event in listener.events() if event["kind"] == "doing"]
    assert (doing["id"], doing["text"]) == (0, "uses clock")


async def test_a_client_resumes_after_the_last_event_it_saw(edge: Any, tasks: Any):
    chat = await chat_of(edge)
    listener = listen(edge, chat, headers={"last-event-id": "1"})
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"echo: first")
    listener.left.set()
    await task

    assert [event["id"] for event in listener.events()] == [2]


async def test_a_silent_stream_beats_and_ends_when_its_client_leaves(edge: Any, tasks: Any):
    listener = listen(edge, await chat_of(edge))
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b": beat\n\n: beat")
    listener.left.set()

    async with asyncio.timeout(2):
        await task


async def test_text_of_an_agent_cannot_forge_an_event(edge: Any, tasks: Any):
    chat = await chat_of(edge)
    message = (await edge.house.sessions(agent=None))[0].session.id
    listener = listen(edge, chat)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    edge.house.say(chat, message, "reply", "a\n\nevent: problem\r\rdata: {}\n\n\u2028id: 99\n\n")
    await listener.until(b"id: 3")
    listener.left.set()
    await task

    fields = [line for line in listener.text.splitlines() if line and not line.startswith(b":")]
    assert [line.split(b":")[0] for line in fields] == [b"retry", b"id", b"event", b"data"]


async def test_an_unknown_chat_is_an_answer_of_its_own_not_a_broken_stream(edge: Any):
    async with edge.client() as client:
        answer = await client.get("/v1/chats/cht_nothing/events")

    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_a_token_that_may_only_chat_follows_its_own_chats(edge: Any):
    """What a stranger's chat is called is told to nobody; who may read follows every chat."""
    async with edge.client(Scope.OPERATE) as client:
        sent = await client.post("/v1/agents/demo/chats/main/messages", json={"text": "hi"})
    chat = sent.json()["chat"]

    async with edge.client(Scope.CHAT) as client:
        refused = await client.get(f"/v1/chats/{chat}/events")
        own = await client.post("/v1/agents/demo/chats/main/messages", json={"text": "hi"})

    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert own.json()["chat"] != chat


async def test_streams_are_bounded(edge: Any, tasks: Any):
    chat = await chat_of(edge)
    listeners = [listen(edge, chat) for _ in range(2)]
    running = [tasks.start(one.run(), name="listen") for one in listeners]
    for one in listeners:
        await one.until(b"retry:")

    async with edge.client() as client:
        refused = await client.get(f"/v1/chats/{chat}/events")
    for one in listeners:
        one.left.set()
    await asyncio.wait(running)

    assert refused.status_code == 429
    assert refused.json()["code"] == "rate_limited"


async def test_a_client_that_takes_nothing_is_cut_off(edge: Any, tasks: Any, monkeypatch: Any):
    monkeypatch.setattr(sse, "SEND_TIMEOUT_S", 0.05)
    chat = await chat_of(edge)
    message = (await edge.house.sessions(agent=None))[0].session.id
    listener = listen(edge, chat)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    listener.taking.clear()
    edge.house.say(chat, message, "reply", "unheard")

    async with asyncio.timeout(2):
        await task


@pytest.mark.parametrize("value", ["x", "-1", "9" * 30, "1.5", "٣"])
async def test_an_odd_resume_point_is_refused(edge: Any, value: Any):
    chat = await chat_of(edge)
    async with edge.client() as client:
        answer = await client.get(f"/v1/chats/{chat}/events", params={"after": value})

    assert answer.status_code == 400


async def test_who_may_not_look_any_more_is_told_nothing_more(edge: Any, tasks: Any):
    chat = await chat_of(edge)
    message = (await edge.house.sessions(agent=None))[0].session.id
    listener = listen(edge, chat)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    edge.house.setting.standings.clear()
    edge.house.say(chat, message, "reply", "a secret")
    async with asyncio.timeout(2):
        await task

    assert b"secret" not in listener.text
    assert b'"code":"forbidden"' in listener.text


async def test_a_token_that_is_revoked_hears_nothing_more(edge: Any, tasks: Any):
    chat = await chat_of(edge)
    message = (await edge.house.sessions(agent=None))[0].session.id
    listener = listen(edge, chat)
    task = tasks.start(listener.run(), name="listen")
    await listener.until(b"retry:")
    await edge.tokens.revoke("t-read")
    edge.house.say(chat, message, "reply", "a secret")
    async with asyncio.timeout(2):
        await task

    assert b"secret" not in listener.text
    assert b'"code":"unauthenticated"' in listener.text
