"""A real inference server of one's own, llama.cpp's, with a model that the test makes itself.

What no server of shapes can show: it streams while it thinks up the next word, it has a context
that ends, and a call that nobody waits for stops costing.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support import tiny_model
from tests.support.model_house import ask, generate, hosting, provider

from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Said
from ironclaw_contract.rpc import Delta, Generated, Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.wire

CONTEXT: Final = 32_768
"""Tokens that each of the server's two slots reads at once."""
_ROOT: Final = Path(__file__).parents[2]
MODEL: Final = "tiny"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the server is."""
    place = tmp_path_factory.mktemp("model") / "tiny.gguf"
    tiny_model.write(place, context=CONTEXT)
    assert place.stat().st_size < 1_000_000
    argv = [sys.executable, "-m", "tests.support.tiny_model", str(place), str(2 * CONTEXT)]
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.communicate()


async def get(url: str) -> bytes:
    def read() -> bytes:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - http, ours
            return bytes(answer.read())

    return await asyncio.to_thread(read)


async def busy_slots(server: str) -> int:
    slots: list[dict[str, Any]] = json.loads(await get(f"{server}/slots"))
    return sum(slot["is_processing"] for slot in slots)


def said(text: str) -> Said:
    return Said(message="msg_1", sender="Ann", text=text, at_ms=0)


async def test_it_streams_a_reply_and_tells_how_much_it_reads(server: str) -> None:
    async with hosting(home=provider("openai-compatible", f"{server}/v1", key="")) as host:
        pieces = []
        stream = host.generate(
            provider="home",
            model=MODEL,
            temperature=0.5,
            max_output_tokens=40,
            request=generate(said("Say something.")),
        )
        end = None
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, Delta):
                    pieces.append(event.text)
                elif isinstance(event, Generated):
                    end = event
        for _ in range(200):
            if host.windows:
                break
            await asyncio.sleep(0.02)

    assert isinstance(end, Generated)
    assert end.stop is Stop.LENGTH, "it never comes to an end by itself"
    (answered,) = end.entries
    assert isinstance(answered, Answered)
    assert answered.text == "".join(pieces)
    assert re.fullmatch(r"( ?(the|a|river|stone|bird|sings|falls|old|green|slowly|and|light|over"
                        r"|under))+", answered.text)  # fmt: skip
    assert len(pieces) > 10, "word by word"
    assert end.output_tokens == 40
    assert end.input_tokens > 20
    assert host.windows == {("home", MODEL): CONTEXT}


async def test_what_is_longer_than_its_context_is_said_to_be(server: str) -> None:
    async with hosting(home=provider("openai-compatible", f"{server}/v1", key="")) as host:
        _, end = await ask(host, "home", generate(said("Far too long. " * 4000)), model=MODEL)
        said_more, after = await ask(host, "home", generate(said("Short.")), model=MODEL)

    assert isinstance(end, ModelTrouble)
    assert end.code is WireCode.CONTEXT_TOO_LONG, end.detail
    assert not end.is_sick, "and it is asked again"
    assert isinstance(after, Generated)
    assert said_more


async def test_a_call_that_nobody_waits_for_stops_at_the_server(server: str) -> None:
    async with hosting(home=provider("openai-compatible", f"{server}/v1", key="")) as host:
        stream = host.generate(
            provider="home",
            model=MODEL,
            temperature=None,
            max_output_tokens=CONTEXT - 1000,
            request=generate(said("Talk for a long time.")),
        )
        async with aclosing(stream) as events:
            for _ in range(5):
                assert isinstance(await anext(events), Delta)
            assert await busy_slots(server) == 1
        async with asyncio.timeout(5):
            while await busy_slots(server):  # noqa: ASYNC110 - another process: nobody tells us
                await asyncio.sleep(0.02)

    found = re.search(rb"llamacpp:tokens_predicted_total (\d+)", await get(f"{server}/metrics"))
    assert found is not None
    assert int(found[1]) < CONTEXT // 2, "most of it was never made"


async def test_a_server_that_is_gone_is_unavailable(server: str) -> None:
    async with hosting(home=provider("openai-compatible", "http://127.0.0.1:9/v1", key="")) as host:
        _, end = await ask(host, "home", generate(said("Anybody?")), model=MODEL)

    assert isinstance(end, ModelTrouble)
    assert (end.code, end.is_sick) == (WireCode.MODEL_UNAVAILABLE, True)
