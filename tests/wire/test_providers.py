"""Providers at wire level: the official SDKs judge the shapes of our servers; the host reads them.

What is asked, what comes of it, how it is ended, what is said of failures: in the real process.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.support import model_answers
from tests.support.model_answers import (
    CACHED_TOKENS,
    CALLS,
    INPUT_TOKENS,
    KINDS,
    OUTPUT_TOKENS,
    TEXT,
    Kind,
    Wanted,
    openai,
)
from tests.support.model_house import KEY, ask, generate, hosting, provider
from tests.support.model_servers import ModelServer, Reply, failed, sse

from ironclaw.domain.spending import Counted
from ironclaw.models.host import link
from ironclaw.models.host.messages import decode_from_host
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Thought
from ironclaw_contract.rpc import Delta, Generated, Stop

pytestmark = pytest.mark.wire

Heard = tuple[str, list[tuple[str, Any]]]


async def with_openai(url: str) -> Heard:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)
    text, calls = "", {}
    async with client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                for call in choice.delta.tool_calls or ():
                    assert call.function is not None
                    name, arguments = calls.get(call.index, ("", ""))
                    calls[call.index] = (
                        name or call.function.name or "",
                        arguments + (call.function.arguments or ""),
                    )
    return text, list(calls.values())


async def with_responses(url: str) -> Heard:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)
    async with client, client.responses.stream(model="m", input="hi") as stream:
        text = ""
        async for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
        response = await stream.get_final_response()
    calls = [one for one in response.output if one.type == "function_call"]
    return text, [(one.name, one.arguments) for one in calls]


async def with_anthropic(url: str) -> Heard:
    from anthropic import AsyncAnthropic

    async with (
        AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0) as client,
        client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream,
    ):
        message = await stream.get_final_message()
    text = "".join(block.text for block in message.content if block.type == "text")
    return text, [(one.name, one.input) for one in message.content if one.type == "tool_use"]


async def with_google(url: str) -> Heard:
    from google.genai import Client
    from google.genai.types import HttpOptions

    client = Client(api_key=KEY, http_options=HttpOptions(base_url=url))
    text, calls = "", []
    async for chunk in await client.aio.models.generate_content_stream(model="m", contents="hi"):
        assert chunk.candidates is not None
        content = chunk.candidates[0].content
        assert content is not None
        for part in content.parts or ():
            text += (part.text or "") if not part.thought else ""
            if part.function_call is not None:
                calls.append((str(part.function_call.name), part.function_call.args))
    await client.aio.aclose()
    return text, calls


async def with_mistral(url: str) -> Heard:
    from mistralai.client import Mistral

    text, calls = "", []
    async with Mistral(api_key=KEY, server_url=url) as client:
        stream = await client.chat.stream_async(
            model="m", messages=[{"role": "user", "content": "hi"}]
        )
        async for event in stream:
            delta = event.data.choices[0].delta
            text += delta.content if isinstance(delta.content, str) else ""
            calls += [
                (call.function.name, call.function.arguments) for call in delta.tool_calls or ()
            ]
    return text, calls


async def with_groq(url: str) -> Heard:
    from groq import AsyncGroq

    text, calls = "", {}
    async with AsyncGroq(api_key=KEY, base_url=url, max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}], stream=True
        )
        async for chunk in stream:
            delta = chunk.choices[0].delta
            text += delta.content or ""
            for call in delta.tool_calls or ():
                assert call.function is not None
                name, arguments = calls.get(call.index, ("", ""))
                calls[call.index] = (
                    name or call.function.name or "",
                    arguments + (call.function.arguments or ""),
                )
    return text, list(calls.values())


async def with_bedrock(url: str) -> Heard:
    return await asyncio.to_thread(_with_boto3, url)


def _with_boto3(url: str) -> Heard:
    import boto3

    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key=KEY,
    )
    text, calls = "", {}
    reply = client.converse_stream(
        modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}]
    )
    for event in reply["stream"]:
        if "contentBlockStart" in event:
            start = event["contentBlockStart"]
            calls[start["contentBlockIndex"]] = (start["start"]["toolUse"]["name"], "")
        if "contentBlockDelta" in event:
            block = event["contentBlockDelta"]
            text += block["delta"].get("text", "")
            if "toolUse" in block["delta"]:
                name, arguments = calls[block["contentBlockIndex"]]
                more = block["delta"]["toolUse"]["input"]
                calls[block["contentBlockIndex"]] = (name, arguments + more)
    client.close()
    return text, list(calls.values())


JUDGES: dict[str, Callable[[str], Any]] = {
    "openai": with_openai,
    "responses": with_responses,
    "anthropic": with_anthropic,
    "google": with_google,
    "mistral": with_mistral,
    "groq": with_groq,
    "bedrock": with_bedrock,
}


@pytest.mark.parametrize("name", JUDGES)
@pytest.mark.filterwarnings("default")  # the SDKs' own: unclosed clients, deprecations
async def test_the_official_sdk_reads_the_shape(name: str) -> None:
    import json

    reply = getattr(model_answers, name)()
    async with ModelServer(reply) as server:
        text, calls = await JUDGES[name](server.url)

    assert text == "".join(TEXT)
    heard = [(name, json.loads(one) if isinstance(one, str) else one) for name, one in calls]
    assert tuple(heard) == CALLS


async def test_an_answer_comes_as_the_contract_has_it_whoever_gives_it() -> None:
    """Also: one host serves every kind at once, each with its own library."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(ModelServer(kind.reply(Wanted()))) for kind in KINDS
        ]
        pairs = list(zip(KINDS, servers, strict=True))
        there = {
            f"p{number}": provider(kind.kind, server.url + kind.path, **kind.more)
            for number, (kind, server) in enumerate(pairs)
        }
        host = await stack.enter_async_context(hosting(**there))
        for name, (kind, server) in zip(there, pairs, strict=True):
            said, end = await ask(host, name, model=kind.model)
            check_answer(kind, said, end)
            check_request(kind, server)


def check_answer(kind: Kind, said: str, end: Generated | ModelTrouble) -> None:
    assert said == "".join(TEXT), (kind.kind, end)
    assert isinstance(end, Generated), (kind.kind, end.detail)
    assert end.call == 3
    assert end.stop is Stop.TOOL
    assert (end.input_tokens, end.output_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS), kind.kind
    text, *calls = [entry for entry in end.entries if not isinstance(entry, Thought)]
    assert text == Answered(text="".join(TEXT)), "and no word of its thinking"
    thoughts = [one.text for one in end.entries if isinstance(one, Thought) and one.text]
    assert thoughts in ([], [Wanted().thought]), kind.kind
    assert [call.name for call in calls if isinstance(call, Called)] == [name for name, _ in CALLS]


def check_request(kind: Kind, server: ModelServer) -> None:
    (asked,) = [one for one in server.asked if one.method == "POST" and "show" not in one.path]
    body = asked.body.decode()
    for word in (
        "Be kind.",
        "Ann: What time is it?",
        "[data that get_time",
        "12:00",
        "get_weather",
        "0.5",
        "50",
    ):
        assert word in body, (kind.kind, word)
    if kind.kind == "openai-compatible":
        assert asked.json["max_tokens"] == 50
    if kind.kind == "anthropic":
        assert "cache_control" in body
    if kind.kind != "bedrock":  # signs with it
        assert any(KEY in value for value in asked.headers.values()), kind.kind


async def test_what_a_provider_had_in_its_cache_is_counted_apart() -> None:
    """Those that want marks get them; those that tell are believed."""
    telling = {"anthropic", "bedrock", "google", "responses"}
    async with AsyncExitStack() as stack:
        there, servers = {}, {}
        for kind in (one for one in KINDS if one.name in telling):
            server = await stack.enter_async_context(ModelServer(kind.reply(Wanted())))
            servers[kind.name] = (kind, server)
            there[kind.name] = provider(kind.kind, server.url + kind.path, **kind.more)
        host = await stack.enter_async_context(hosting(**there))
        for name, (kind, server) in servers.items():
            stream = host.generate(
                provider=name,
                model=kind.thinker,
                temperature=None,
                max_output_tokens=5,
                request=generate(),
            )
            async with aclosing(stream) as events:
                counted = [event async for event in events if isinstance(event, Counted)]
            assert counted == [Counted(INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS)], name
            mark = {"anthropic": b'"cache_control"', "bedrock": b'"cachePoint"'}.get(name, b"")
            assert mark in server.asked[-1].body


async def test_a_call_that_is_dropped_is_closed_upstream() -> None:
    async with AsyncExitStack() as stack:
        there, servers = {}, {}
        for number, kind in enumerate(KINDS):
            if kind.kind not in JUDGES:
                continue
            reply = kind.reply(Wanted())
            half = reply._replace(pieces=reply.pieces[: len(reply.pieces) // 2], hangs=True)
            server = await stack.enter_async_context(ModelServer(half))
            servers[f"p{number}"] = (kind, server)
            there[f"p{number}"] = provider(kind.kind, server.url + kind.path, **kind.more)
        host = await stack.enter_async_context(hosting(**there))
        for name, (kind, server) in servers.items():
            stream = host.generate(
                provider=name,
                model=kind.model,
                temperature=None,
                max_output_tokens=5,
                request=generate(),
            )
            async with aclosing(stream):
                assert isinstance(await anext(stream), Delta)
                assert not server.left.is_set()
            async with asyncio.timeout(20):
                await server.left.wait()


def refused(message: str, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": f"{message} {KEY}", "type": "some_error", "code": code}}


FAULTS: dict[str, tuple[Reply, WireCode, str, float | None, bool]] = {
    "key": (failed(401, refused("bad key")), WireCode.MODEL_REFUSED, "accept its key", None, False),
    "right": (failed(403, refused("no")), WireCode.MODEL_REFUSED, "let its key use", None, False),
    "model": (failed(404, refused("none")), WireCode.MODEL_REFUSED, "has no model", None, False),
    "wrong": (failed(400, refused("what?")), WireCode.MODEL_REFUSED, "as wrong", None, False),
    "odd": (failed(418, refused("teapot")), WireCode.MODEL_REFUSED, "HTTP 418", None, False),
    "money": (
        failed(429, refused("pay", "insufficient_quota")),
        WireCode.MODEL_REFUSED,
        "used up",
        None,
        False,
    ),
    "long": (
        failed(400, refused("too long", "context_length_exceeded")),
        WireCode.CONTEXT_TOO_LONG,
        "too long",
        None,
        False,
    ),
    "often": (
        failed(429, refused("slow"), ("Retry-After", "7")),
        WireCode.BUSY,
        "too often",
        7.0,
        True,
    ),
    "down": (failed(500, refused("oh")), WireCode.MODEL_UNAVAILABLE, "HTTP 500", None, True),
    "full": (
        failed(503, refused("full"), ("Retry-After", "3")),
        WireCode.MODEL_UNAVAILABLE,
        "HTTP 503",
        3.0,
        True,
    ),
    "cut": (
        openai()._replace(pieces=openai().pieces[:4], breaks=True),
        WireCode.MODEL_UNAVAILABLE,
        "",
        None,
        True,
    ),
    "ended": (
        Reply(openai().pieces[:4]),
        WireCode.MODEL_UNAVAILABLE,
        "broke off",
        None,
        True,
    ),
    "noise": (
        Reply((b"data: {not json\n\n",)),
        WireCode.MODEL_UNAVAILABLE,
        "",
        None,
        True,
    ),
    "filter": (
        openai(finish="content_filter"),
        WireCode.MODEL_REFUSED,
        "content filter",
        None,
        False,
    ),
}


async def test_each_failure_is_judged_and_told_without_the_key(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[bytes] = []

    def seen(body: bytes) -> Any:
        frames.append(body)
        return decode_from_host(body)

    monkeypatch.setattr(link, "decode_from_host", seen)
    async with AsyncExitStack() as stack:
        there = {}
        for name, (reply, *_) in FAULTS.items():
            server = await stack.enter_async_context(ModelServer(reply))
            there[name] = provider("openai", f"{server.url}/v1")
        there["nobody"] = provider("openai", "http://127.0.0.1:9/v1")
        host = await stack.enter_async_context(hosting(**there))
        found = {name: (await ask(host, name))[1] for name in there}

    for name, (_, code, words, after, is_sick) in FAULTS.items():
        trouble = found[name]
        assert isinstance(trouble, ModelTrouble), (name, trouble)
        assert (trouble.code, trouble.retry_after_s, trouble.is_sick) == (code, after, is_sick), (
            name,
            trouble.detail,
        )
        assert words in trouble.word, name
        assert name in trouble.word, "it says which provider"
        assert KEY not in trouble.word + trouble.detail
    nobody = found["nobody"]
    assert isinstance(nobody, ModelTrouble)
    assert (nobody.code, nobody.is_sick) == (WireCode.MODEL_UNAVAILABLE, True)
    assert "cannot be reached" in nobody.word
    assert KEY not in "".join(capfd.readouterr())
    assert len(frames) > len(FAULTS)
    assert not [body for body in frames if KEY.encode() in body]


async def test_a_provider_that_writes_its_key_into_an_answer_gives_it_to_nobody() -> None:
    reply = openai(finish="stop", text=("It is ", KEY[:9], KEY[9:20], KEY[20:], ", that one."))
    async with (
        ModelServer(reply) as server,
        hosting(one=provider("openai", f"{server.url}/v1")) as host,
    ):
        said, end = await ask(host, "one")

    assert said == "It is [redacted], that one."
    assert isinstance(end, Generated)
    assert end.entries == (Answered(text=said),)


async def test_a_key_follows_no_redirect() -> None:
    async with ModelServer(openai()) as elsewhere:
        away = Reply((), 307, (("Location", f"{elsewhere.url}/v1/chat/completions"),))
        async with (
            ModelServer(away) as server,
            hosting(one=provider("openai", f"{server.url}/v1")) as host,
        ):
            _, end = await ask(host, "one")

    assert isinstance(end, ModelTrouble)
    assert elsewhere.asked == []


async def test_a_host_that_dies_fails_its_calls_and_is_started_again() -> None:
    hanging = openai()._replace(pieces=openai().pieces[:2], hangs=True)
    async with (
        ModelServer(hanging, openai()) as server,
        hosting(one=provider("openai", f"{server.url}/v1")) as host,
    ):
        first = asyncio.get_running_loop().create_task(ask(host, "one"))
        async with asyncio.timeout(10):
            await server.busy.wait()
        former = host.pid
        os.kill(former, signal.SIGKILL)
        _, end = await first
        assert isinstance(end, ModelTrouble)
        assert end.code is WireCode.MODEL_UNAVAILABLE

        said, end = await ask(host, "one")

        assert said == "".join(TEXT)
        assert host.pid != former


async def test_whoever_reads_slowly_holds_up_the_provider() -> None:
    """Nothing grows: neither the link nor the host takes in more than its credit and one buffer."""
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    words = "x" * 30_000
    choice = {"index": 0, "delta": {"content": words}, "finish_reason": None}
    piece = sse({**chunk, "choices": [choice]})
    sent = 0

    class Counting(ModelServer):
        async def _answer(self, reply: Reply, reader: Any, writer: Any) -> None:
            del reply, reader
            nonlocal sent
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            for _ in range(2000):
                writer.write(piece[0])
                await writer.drain()
                sent += 1

    async with (
        Counting(Reply(())) as server,
        hosting(one=provider("openai", f"{server.url}/v1")) as host,
    ):
        stream = host.generate(
            provider="one",
            model="m",
            temperature=None,
            max_output_tokens=5,
            request=generate(),
        )
        async with aclosing(stream):
            assert isinstance(await anext(stream), Delta)
            former = -1
            async with asyncio.timeout(10):
                while former != sent:  # until it stands still
                    former = sent
                    await asyncio.sleep(0.1)
            assert sent < 1000


async def test_the_host_has_nothing_of_the_core_but_what_its_keys_need() -> None:
    async with (
        ModelServer(openai()) as server,
        hosting(one=provider("openai", f"{server.url}/v1")) as host,
    ):
        await ask(host, "one")
        of_host = Path("/proc", str(host.pid))
        arguments = (of_host / "cmdline").read_bytes()
        lines = (of_host / "status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    assert KEY.encode() not in arguments
    assert status["NoNewPrivs"] == "1"
