"""Pictures at wire level: every protocol carries them; a model that takes none is asked without."""

from __future__ import annotations

import base64
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import TypeAdapter
from tests.support.model_answers import KINDS, TEXT, Wanted, openai
from tests.support.model_house import generate, hosting, provider
from tests.support.model_servers import ModelServer, failed

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent
from ironclaw.domain.providers import Picture
from ironclaw.domain.spending import NoMeter, Refusal
from ironclaw.models.host.provider import HostedProvider
from ironclaw.models.provider import Registry
from ironclaw.models.service import ModelService
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import File, Said
from ironclaw_contract.rpc import Failed, Generated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.model_servers import Asked

    from ironclaw.models.host.starter import ModelHost
    from ironclaw_contract.rpc import Generate, ModelTell

pytestmark = pytest.mark.wire

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
DATA = base64.b64encode(PNG).decode()
FILE = File(id="fil_1", name="a.png", media_type="image/png", size=len(PNG))
OTHER = File(id="fil_2", name="b.png", media_type="image/png", size=9)


def call() -> Generate:
    said = Said(message="msg_1", sender="Ann", text="What is it?", at_ms=0, files=(FILE, OTHER))
    return generate(said)


async def shown(host: ModelHost, name: str, *, model: str) -> Generated:
    stream = host.generate(
        provider=name,
        model=model,
        temperature=None,
        max_output_tokens=50,
        request=call(),
        pictures=[Picture("fil_1", "image/png", PNG)],
    )
    return [event async for event in stream if isinstance(event, Generated)][-1]


def posted(server: ModelServer) -> list[Asked]:
    return [one for one in server.asked if one.method == "POST" and "show" not in one.path]


async def test_every_protocol_carries_a_picture() -> None:
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
            await shown(host, name, model=kind.model)
            (asked,) = posted(server)
            text = asked.body.decode().replace("-", "+").replace("_", "/")
            assert DATA.rstrip("=") in text, (kind.name, text[:2000])
            assert "image/png" in asked.body.decode().replace("\\/", "/") or kind.kind == "bedrock"
            # The one whose bytes the host did not give is named in words.
            assert "Not shown to you: 1 of the pictures" in asked.body.decode(), kind.name
            judge(kind.name, asked.json)


def judge(name: str, body: Any) -> None:
    """What the official libraries would have sent."""
    if name == "anthropic":
        from anthropic.types import MessageParam

        TypeAdapter(MessageParam).validate_python(body["messages"][-1])
        kinds = [part["type"] for part in body["messages"][-1]["content"]]
        assert "image" in kinds, kinds
    elif name == "responses":
        from openai.types.responses import EasyInputMessageParam

        TypeAdapter(EasyInputMessageParam).validate_python(body["input"][-1])
        assert "input_image" in [part["type"] for part in body["input"][-1]["content"]]
    elif name in {"openai", "azure", "openai-compatible", "openrouter", "groq"}:
        from openai.types.chat import ChatCompletionUserMessageParam

        TypeAdapter(ChatCompletionUserMessageParam).validate_python(body["messages"][-1])
        assert "image_url" in [part["type"] for part in body["messages"][-1]["content"]]


class Album:
    async def of(self, _session: SessionId, _request: Generate) -> Sequence[Picture]:
        return [Picture("fil_1", "image/png", PNG)]


class Counting(NoMeter):
    """Has so many calls, and counts them."""

    def __init__(self, most: int = 9) -> None:
        self.most, self.calls, self._is_new = most, 0, True

    async def begin(self, model: str, output: int) -> int | Refusal:
        del model
        if self._is_new and self.calls >= self.most:
            return Refusal(WireCode.BUDGET_SPENT, "It is used up.", "Used up.")
        self.calls += self._is_new
        self._is_new = False
        return output

    def another(self) -> None:
        self._is_new = True


async def answered(models: ModelService, meter: Counting) -> ModelTell:
    meter.another()
    agent = Agent(id=AgentId("agt_a"), lane=1, name="a", model="p/blind")
    stream = models.generate(agent, SessionId("ses_a"), call(), meter)
    return [event async for event in stream][-1]


@pytest.mark.parametrize("most", [1, 2])
async def test_without_a_call_for_it_it_is_not_asked_once_more(most: int) -> None:
    no = failed(400, {"error": {"message": "this model does not support images", "code": 400}})
    async with (
        ModelServer(no, no) as server,
        hosting(p=provider("openai", server.url + "/v1")) as host,
    ):
        models = ModelService(Registry({"p": HostedProvider("p", host, Album())}))
        end = await answered(models, Counting(most))
        # Refused again, it is not asked a third time.
        assert len(posted(server)) == most
    assert isinstance(end, Failed)
    assert end.code is (WireCode.BUDGET_SPENT if most == 1 else WireCode.MODEL_REFUSED)


async def test_a_model_that_takes_no_pictures_is_asked_once_more_without() -> None:
    no = failed(400, {"error": {"message": "this model does not support images", "code": 400}})
    yes = openai(Wanted())
    async with (
        ModelServer(no, yes) as server,
        hosting(p=provider("openai", server.url + "/v1")) as host,
    ):
        meter = Counting()
        models = ModelService(Registry({"p": HostedProvider("p", host, Album())}))
        first, second = [await answered(models, meter) for _ in range(2)]
        asked = [one.body.decode() for one in posted(server)]
    assert [DATA in body for body in asked] == [True, False, False]
    assert "Not shown to you: 2 of the pictures" in json.loads(asked[1])["messages"][-1]["content"]
    # The one without is a call of its own.
    assert meter.calls == 3
    for answer in (first, second):
        assert isinstance(answer, Generated)
        assert answer.entries[0].text == "".join(TEXT)  # type: ignore[union-attr] # words come first
