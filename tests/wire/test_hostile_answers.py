"""A provider that answers with nonsense: its own call ends, nobody else's, and nothing fills up.

Each answer here is one that a provider's service, or somebody in its place, may send any time.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.model_answers import openai
from tests.support.model_house import ask, hosting, provider
from tests.support.model_servers import ModelServer, Reply, sse

from ironclaw.models.host.translate import NO_TOOL
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Called
from ironclaw_contract.rpc import Generated

if TYPE_CHECKING:
    from ironclaw.models.host.starter import ModelHost

pytestmark = pytest.mark.wire

OPENAI: Final = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "some-model"}
MEGABYTE: Final = 1024 * 1024


def chunk(delta: dict[str, Any], reason: str | None = None, **more: object) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
    return {**OPENAI, "choices": [choice], **more}


def calling(name: str, arguments: str) -> tuple[dict[str, Any], ...]:
    function = {"name": name, "arguments": arguments}
    call = {"index": 0, "id": "call_0", "type": "function", "function": function}
    return (chunk({"role": "assistant", "tool_calls": [call]}), chunk({}, "tool_calls"))


def used(tokens: int) -> tuple[dict[str, Any], ...]:
    usage = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens}
    return (chunk({"content": "hi"}), chunk({}, "stop"), {**OPENAI, "choices": [], "usage": usage})


REFUSED: Final = {
    "long arguments": calling("get_time", json.dumps({"zone": "x" * MEGABYTE})),
    "a long text": (chunk({"content": "x" * MEGABYTE}), chunk({}, "stop")),
    "more tokens than a number holds": used(2**70),
    "half a character": (chunk({"content": "\ud800"}), chunk({}, "stop")),
}


async def test_a_tool_of_an_impossible_name_is_one_that_there_is_not() -> None:
    names = ("Get Time", "functions.get_time", "x" * 5000, "\n")
    replies = [Reply(sse(*calling(name, "{}"), done=True)) for name in names]
    async with ModelServer(*replies) as server:
        server.reply_to = scripted(server, replies)  # type: ignore[method-assign]
        async with hosting(some=provider("openai-compatible", server.url)) as host:
            ends = [(await ask(host, "some"))[1] for _ in names]
    called = [one for end in ends if isinstance(end, Generated) for one in end.entries]
    assert [one.name for one in called if isinstance(one, Called)] == [NO_TOOL] * len(names)


async def test_an_answer_that_breaks_the_rules_ends_nobody_elses_call() -> None:
    whole = openai()
    slow = whole._replace(pieces=whole.pieces[:1], hangs=True)
    replies = [Reply(sse(*events, done=True)) for events in REFUSED.values()]
    async with ModelServer(slow) as patient, ModelServer(*replies) as odd:
        there = {
            "patient": provider("openai-compatible", patient.url),
            "odd": provider("openai-compatible", odd.url),
        }
        odd.reply_to = scripted(odd, replies)  # type: ignore[method-assign]
        patient.reply_to = lambda asked: slow if asked.method == "POST" else Reply((), 404)  # type: ignore[method-assign]
        async with hosting(**there) as host:
            waiting = asyncio.create_task(ask(host, "patient"))
            ends = [(await ask(host, "odd"))[1] for _ in replies]
            assert not waiting.done()
            waiting.cancel()
    codes = [None if isinstance(one, Generated) else one.code for one in ends]
    assert set(codes) <= {WireCode.TOO_LARGE, WireCode.INTERNAL, WireCode.MODEL_UNAVAILABLE, None}
    assert codes[:2] == [WireCode.TOO_LARGE] * 2


def scripted(server: ModelServer, replies: list[Reply]) -> Any:
    """The next reply to each that asks a model, and nothing to whoever asks for its window."""

    def reply_to(asked: Any) -> Reply:
        if "chat/completions" not in asked.path:
            return Reply((), 404)
        return replies[sum("chat/completions" in one.path for one in server.asked)]

    return reply_to


async def test_a_call_whose_arguments_never_end_is_ended() -> None:
    reply = Reply(sse(*[calling("get_time", "x" * MEGABYTE)[0]] * 10), hangs=True)
    async with ModelServer(reply) as server:
        server.reply_to = scripted(server, [reply])  # type: ignore[method-assign]
        async with hosting(some=provider("openai-compatible", server.url)) as host:
            async with asyncio.timeout(30):
                _, end = await ask(host, "some")
            assert not isinstance(end, Generated)
            assert end.code is WireCode.TOO_LARGE
            await asyncio.wait_for(server.left.wait(), 10)


def packed(size: int) -> bytes:
    """Many bytes of no use, as few."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(b"data: " + b"x" * size) + packer.flush()


GZIP: Final = (("Content-Encoding", "gzip"),)
BOMBS: Final = {
    "a compressed answer": Reply((packed(64 * MEGABYTE),), 200, GZIP, hangs=True),
    "a compressed error": Reply((packed(64 * MEGABYTE),), 500, GZIP, "application/json"),
    "an error without an end": Reply((b"x" * MEGABYTE,) * 3, 500, hangs=True),
    "a line without an end": Reply((b"data: ", *(b"x" * MEGABYTE,) * 130), hangs=True),
}


async def test_what_grows_without_an_end_is_not_read_to_it() -> None:
    replies = list(BOMBS.values())
    async with ModelServer(*replies) as server:
        server.reply_to = scripted(server, replies)  # type: ignore[method-assign]
        there = {kind: provider(kind, server.url) for kind in ("openai-compatible", "groq")}
        async with hosting(**there) as host, asyncio.timeout(40):
            ends = [(await ask(host, "openai-compatible"))[1] for _ in replies]
            replies.append(BOMBS["a compressed error"])
            ends.append((await ask(host, "groq"))[1])
            grown = peak_of(host)
    codes = [None if isinstance(one, Generated) else one.code for one in ends]
    assert codes == [WireCode.MODEL_UNAVAILABLE] * 5
    # What the libraries take, and one answer of the longest.
    assert grown < 1024


def peak_of(host: ModelHost) -> int:
    """Megabytes of memory that its process has had at most."""
    lines = Path(f"/proc/{host.pid}/status").read_text().splitlines()
    (most,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(most.split()[1]) // 1024
