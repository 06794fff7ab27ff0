"""The front door with OpenAI's own library as the judge of every shape."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from tests.support.asgi import Listener

from ironclaw.api.openai_bodies import IGNORED, ChatRequest, ResponsesRequest
from ironclaw.config.settings import ApiSettings, Settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHAT = "/v1/chat/completions"
HI: Any = [{"role": "user", "content": "hi"}]
ORDER = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.fixture
async def sdk(edge: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(edge) as client:
        yield client


def client_of(edge: Any, scope: Scope | None = Scope.CHAT, key: str = "") -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=key or edge.secrets[scope],
        base_url="http://127.0.0.1:8787/v1",
        http_client=edge.client(None),
        # What it validates is what it was sent: nothing is guessed for it.
        _strict_response_validation=True,
    )


async def test_models_are_the_agents_that_one_may_talk_to(edge: Any, sdk: Any):
    other = edge.house.add_agent("other")
    minted = await edge.tokens.mint(name="guest", scopes=[Scope.CHAT], ttl_s=None)
    edge.house.give("api:guest", Role.MEMBER, other)
    edge.house.give("api:guest", Role.VIEWER, await edge.house.agent("demo"))

    assert [one.id for one in (await sdk.models.list()).data] == ["demo", "other"]
    assert (await sdk.models.retrieve("demo")).object == "model"
    async with client_of(edge, key=minted.secret) as guest:
        assert [one.id for one in (await guest.models.list()).data] == ["other"]


async def test_a_completion_is_the_agents_reply(sdk: Any):
    raw = await sdk.chat.completions.with_raw_response.create(model="demo", messages=HI)
    answer = raw.parse()

    assert answer.choices[0].message.content == "echo: hi"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.model, answer.object, answer.usage) == ("demo", "chat.completion", None)
    assert raw.headers["x-ironclaw-chat"].startswith("auto.")
    assert "x-ironclaw-ignored" not in raw.headers


async def test_a_streamed_completion_has_its_chunks_in_order(sdk: Any):
    stream = await sdk.chat.completions.create(
        model="demo", messages=HI, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    assert [chunk.choices[0].delta.role for chunk in chunks][:2] == ["assistant", None]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "echo: hi"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert len({chunk.id for chunk in chunks}) == 1


async def test_what_is_said_at_work_is_streamed_above_the_reply_and_is_none(sdk: Any):
    messages = [{"role": "user", "content": "work hard"}]
    whole = await sdk.chat.completions.create(model="demo", messages=messages)
    assert whole.choices[0].message.content == "echo: work hard"

    stream = await sdk.chat.completions.create(model="demo", messages=messages, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "I am still at it.\n\necho: work hard"


async def test_a_stream_of_completions_ends_with_done(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(CHAT, json={"model": "demo", "messages": HI, "stream": True})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith(
        '"finish_reason":"stop","index":0,"logprobs":null}],'
        '"object":"chat.completion.chunk"}\n\ndata: [DONE]\n\n'
    )


async def test_a_response_is_the_agents_reply_and_goes_on_by_its_id(edge: Any, sdk: Any):
    first = await sdk.responses.create(model="demo", input="hi", metadata={"a": "b"})
    again = await sdk.responses.create(model="demo", input="more", previous_response_id=first.id)

    assert (first.output_text, again.output_text) == ("echo: hi", "echo: more")
    assert (first.status, first.metadata, first.usage) == ("completed", {"a": "b"}, None)
    assert again.previous_response_id == first.id
    assert again.conversation == first.conversation
    assert len({event.platform_id for event in edge.house.heard}) == 1


async def test_a_streamed_response_has_its_events_in_the_documented_order(sdk: Any):
    stream = await sdk.responses.create(model="demo", input=HI, stream=True)
    events = [event async for event in stream]

    assert [event.type for event in events] == ORDER
    assert [event.sequence_number for event in events] == list(range(len(ORDER)))
    assert "".join(event.delta for event in events[4:6]) == events[6].text == "echo: hi"
    assert events[-1].response.output_text == "echo: hi"
    assert {event.item_id for event in events[3:8]} == {events[2].item.id}


async def test_the_librarys_own_helper_reads_the_stream(sdk: Any):
    async with sdk.responses.stream(model="demo", input="hi") as stream:
        final = await stream.get_final_response()
    async with sdk.chat.completions.stream(model="demo", messages=HI) as stream:
        whole = await stream.get_final_completion()

    assert final.output_text == "echo: hi"
    assert whole.choices[0].message.content == "echo: hi"


async def test_parts_of_text_and_pictures_are_taken(edge: Any, sdk: Any):
    text = {"type": "text", "text": "hello"}
    picture = {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}}
    answer = await sdk.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": [text, text, picture]}]
    )

    assert answer.choices[0].message.content == "echo: hello\nhello"
    (event,) = edge.house.heard
    assert [(one.name, one.data) for one in event.files] == [("image.gif", b"GIF89a")]


async def test_rules_of_the_client_are_left_out_and_the_answer_says_so(edge: Any, sdk: Any):
    rules = {"role": "system", "content": "You are a pirate."}
    raw = await sdk.chat.completions.with_raw_response.create(model="demo", messages=[rules, *HI])
    other = await sdk.responses.with_raw_response.create(
        model="demo", input="hi", instructions="You are a pirate."
    )

    assert [event.text for event in edge.house.heard] == ["hi", "hi"]
    assert raw.headers["x-ironclaw-ignored"] == other.headers["x-ironclaw-ignored"] == "system"


TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"tools": [TOOL]}, "tools of its own"),
        ({"functions": [{"name": "f"}]}, "tools of its own"),
        ({"web_search_options": {}}, "tools of its own"),
        ({"n": 2}, "`n` is over 1"),
        ({"logprobs": True}, "probabilities"),
        ({"modalities": ["text", "audio"]}, "audio"),
        ({"response_format": {"type": "json_object"}}, "answers in text"),
        ({"messages": [*HI, {"role": "assistant", "content": "He"}]}, "not the user's"),
        ({"messages": [{"role": "system", "content": "x"}]}, "not the user's"),
        ({"messages": [*HI, {"role": "tool", "content": "1", "tool_call_id": "c"}]}, "not the us"),
        ({"messages": [{"role": "user", "content": "  "}]}, "no text"),
        ({"metadata": {"chat": "no such name!"}}, "A chat's name"),
    ],
)
async def test_what_an_agent_cannot_be_asked_for_is_refused_in_words(
    edge: Any, sdk: Any, extra: Any, told: Any
):
    with pytest.raises(openai.BadRequestError, match=told) as refused:
        await sdk.chat.completions.create(**({"model": "demo", "messages": HI} | extra))

    assert refused.value.code == "invalid"
    assert refused.value.type == "invalid_request_error"
    assert edge.house.heard == []


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools of its own"),
        ({"background": True}, "`background`"),
        ({"prompt": {"id": "p"}}, "template"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}, "in text"),
        ({"previous_response_id": "resp_a", "conversation": "main"}, "both there"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "1"}]}, "not the u"),
        ({"input": []}, "not the user's"),
        ({"input": [{"type": "reasoning", "role": "user", "content": "x"}]}, "not the user's"),
    ],
)
async def test_what_a_response_cannot_be_is_refused_in_words(
    edge: Any, sdk: Any, extra: Any, told: Any
):
    with pytest.raises(openai.BadRequestError, match=told):
        await sdk.responses.create(**({"model": "demo", "input": "hi"} | extra))

    assert edge.house.heard == []


async def test_nothing_that_the_library_can_send_is_unknown_here():
    """A field that is new in it has to be given a meaning, or listed as one that has none."""
    for params, body in (
        (completion_create_params, ChatRequest),
        (response_create_params, ResponsesRequest),
    ):
        base: Any = getattr(
            params, next(name for name in dir(params) if name.endswith("ParamsBase"))
        )
        known = set(body.__struct_fields__) | IGNORED | {"messages", "input"}
        assert set(base.__annotations__) - known == set()
        assert not IGNORED & set(body.__struct_fields__)


async def test_what_is_not_theirs_does_not_exist_whoever_asks(edge: Any):
    edge.house.add_agent("secret")
    minted = await edge.tokens.mint(name="guest", scopes=[Scope.CHAT], ttl_s=None)
    edge.house.give("api:guest", Role.MEMBER, await edge.house.agent("demo"))
    told = set()
    async with client_of(edge, key=minted.secret) as guest:
        for name in ("secret", "absent"):
            with pytest.raises(openai.NotFoundError) as refused:
                await guest.chat.completions.create(model=name, messages=HI)
            told.add(refused.value.body["message"].replace(name, "…"))
            with pytest.raises(openai.NotFoundError):
                await guest.responses.create(model=name, input="hi", stream=True)
            with pytest.raises(openai.NotFoundError):
                await guest.models.retrieve(name)

    assert len(told) == 1
    assert edge.house.heard == []


async def test_without_the_check_of_its_handler_the_door_would_answer_for_every_agent(
    edge: Any, monkeypatch: Any
):
    """The weakened twin: the door itself asks only whether one may talk to anybody."""

    async def anybodys(house: Any, _actor: object, ref: str) -> Any:
        return await house.agent(ref)

    edge.house.add_agent("secret")
    minted = await edge.tokens.mint(name="guest", scopes=[Scope.CHAT], ttl_s=None)
    edge.house.give("api:guest", Role.MEMBER, await edge.house.agent("demo"))
    monkeypatch.setattr("ironclaw.api.openai_turn.talked_agent", anybodys)
    async with edge.client(None, authorization=f"Bearer {minted.secret}") as guest:
        body = {"model": "secret", "messages": HI, "stream": True}
        answer = await guest.post(CHAT, json=body)

    assert answer.status_code == 200
    assert [event.text for event in edge.house.heard] == ["hi"]


async def test_a_bad_token_and_a_scope_that_may_only_look_are_refused(edge: Any):
    async with client_of(edge, key="icl_nonsense") as nobody:
        with pytest.raises(openai.AuthenticationError):
            await nobody.models.list()
    async with client_of(edge, Scope.READ) as reader:
        with pytest.raises(openai.PermissionDeniedError, match="lacks the scope"):
            await reader.chat.completions.create(model="demo", messages=HI)


async def test_a_failed_turn_is_an_error_that_no_library_sends_again(edge: Any, sdk: Any):
    messages: Any = [{"role": "user", "content": "fail now"}]
    with pytest.raises(openai.InternalServerError, match="The model refused") as failed:
        await sdk.chat.completions.create(model="demo", messages=messages)
    assert failed.value.code == Code.MODEL_FAILED
    assert len(edge.house.heard) == 1

    with pytest.raises(openai.APIError, match="The model refused"):
        async for _ in await sdk.chat.completions.create(
            model="demo", messages=messages, stream=True
        ):
            pass
    stream = await sdk.responses.create(model="demo", input="fail now", stream=True)
    *_, last = [event async for event in stream]

    assert last.type == "response.failed"
    assert last.response.error.ironclaw_code == Code.MODEL_FAILED


async def test_the_same_idempotency_key_is_taken_once_and_answers_again(edge: Any, sdk: Any):
    headers = {"idempotency-key": "k1"}
    answers = [
        await sdk.chat.completions.create(model="demo", messages=HI, extra_headers=headers)
        for _ in range(2)
    ]

    assert answers[0].id == answers[1].id
    assert answers[1].choices[0].message.content == "echo: hi"


async def test_a_turn_that_takes_too_long_is_said_so_and_goes_on(edge: Any, monkeypatch: Any):
    app = edge.app
    parts = app._parts
    quick = Settings(api=ApiSettings(reply_s=0.1))
    for route in app._app.routes:
        door = route.app
        monkeypatch.setattr(door, "_parts", parts._replace(settings=quick))
    async with client_of(edge) as sdk:
        with pytest.raises(openai.InternalServerError, match="not answered within") as late:
            await sdk.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": "silent"}]
            )

    assert late.value.code == Code.UNAVAILABLE
    assert len(edge.house.heard) == 1


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_client_that_leaves_ends_the_watching_and_not_the_turn(edge: Any, is_streamed: Any):
    body = {
        "model": "demo",
        "messages": [{"role": "user", "content": "silent"}],
        "stream": is_streamed,
        "metadata": {"chat": "main"},
    }
    listener = Listener(edge.app, CHAT, secret=edge.secrets[Scope.CHAT], body=body)
    async with Tasks("test", on_failure=lambda _name, _error: None) as tasks:
        task = tasks.start(listener.run(), name="listen")
        if is_streamed:
            await listener.until(b": beat")
        else:
            await edge.house.hearing.wait()
        listener.left.set()
        await task

    assert edge.house.watchers == 0
    assert edge.house.stopped == []


async def test_pieces_reach_the_client_as_they_are_made(edge: Any):
    body = {
        "model": "demo",
        "messages": [{"role": "user", "content": "silent"}],
        "stream": True,
        "metadata": {"chat": "main"},
    }
    listener = Listener(edge.app, CHAT, secret=edge.secrets[Scope.CHAT], body=body)
    async with Tasks("test", on_failure=lambda _name, _error: None) as tasks:
        task = tasks.start(listener.run(), name="listen")
        await listener.until(b'"role":"assistant"')
        (chat,) = edge.house.setting.chats.values()
        (routed,) = edge.house.talk.seen.values()
        edge.house.say(chat.id, routed.message, "progress", "Let me see.")
        await listener.until(b"Let me see.")
        assert b"DONE" not in listener.text
        edge.house.say(chat.id, routed.message, "reply", "It is 42.")
        await task

    assert b'"content":"\\n\\nIt is 42."' in listener.text
    assert listener.text.endswith(b"data: [DONE]\n\n")


async def test_a_command_is_answered_by_the_host_in_both_interfaces(edge: Any, sdk: Any):
    command: Any = [{"role": "user", "content": "/help"}]
    answer = await sdk.chat.completions.create(model="demo", messages=command)
    stream = await sdk.responses.create(model="demo", input="/help", stream=True)
    *_, last = [event async for event in stream]

    assert answer.choices[0].message.content == "handled: help"
    assert last.response.output_text == "handled: help"
    assert [actor.principal for actor in edge.house.acted] == ["api:t-chat"] * 2


async def test_a_revoked_token_hears_no_more(edge: Any):
    body = {
        "model": "demo",
        "messages": [{"role": "user", "content": "silent"}],
        "stream": True,
    }
    listener = Listener(edge.app, CHAT, secret=edge.secrets[Scope.CHAT], body=body)
    async with Tasks("test", on_failure=lambda _name, _error: None) as tasks:
        task = tasks.start(listener.run(), name="listen")
        await listener.until(b'"role":"assistant"')
        await edge.tokens.revoke("t-chat")
        (chat,) = edge.house.setting.chats.values()
        (routed,) = edge.house.talk.seen.values()
        edge.house.say(chat.id, routed.message, "reply", "a secret")
        await task

    assert b"a secret" not in listener.text
    assert b"unauthenticated" in listener.text


async def test_a_fault_of_ours_shows_nothing_of_the_inside(edge: Any):
    edge.house.boom = RuntimeError("password=hunter2")
    async with edge.client(Scope.CHAT) as client:
        answer = await client.get("/v1/models")
        edge.house.boom = HostError(Code.DISK_FULL, "Full.", hint="Free space.", detail="/secret")
        full = await client.get("/v1/models")

    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert json.loads(full.text)["error"]["hint"] == "Free space."
    assert "/secret" not in full.text


async def test_too_large_a_body_is_refused_in_their_shape(edge: Any):
    async with edge.client(Scope.CHAT) as client:
        answer = await client.post(CHAT, content=b"x" * 50_000_000)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
