"""How much a model of one's own server reads at once, from what each server tells."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.model_answers import openai
from tests.support.model_house import KEY, ask, hosting, provider
from tests.support.model_servers import Asked, ModelServer, Reply, failed

from ironclaw.models.host.windows import ask_server

SERVERS: dict[str, dict[str, Any]] = {
    "llama.cpp": {"/props": {"default_generation_settings": {"n_ctx": 777}}},
    "ollama, loaded": {"/api/ps": {"models": [{"name": "tiny", "context_length": 777}]}},
    "ollama, set": {
        "/api/show": {
            "parameters": "stop x\nnum_ctx 777",
            "model_info": {"llama.context_length": 9},
        }
    },
    "ollama, made for": {"/api/show": {"model_info": {"llama.context_length": 777}}},
    "lm studio": {"/api/v0/models/tiny": {"loaded_context_length": 777, "max_context_length": 9}},
    "vllm": {"/v1/models": {"data": [{"id": "other"}, {"id": "tiny", "max_model_len": 777}]}},
}


class Telling(ModelServer):
    """Answers by path, 404 for the rest."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(Reply(()))
        self._said = said

    def reply_to(self, asked: Asked) -> Reply:
        if asked.path not in self._said:
            return failed(404, {"error": "no"})
        return failed(200, self._said[asked.path])


@pytest.mark.parametrize("name", SERVERS)
async def test_each_server_is_understood(name: str) -> None:
    async with Telling(SERVERS[name]) as server:
        there = provider("openai-compatible", f"{server.url}/v1")

        assert await ask_server(there, KEY, "tiny") == 777


@pytest.mark.parametrize(
    "nonsense",
    [None, [], "777", {"n_ctx": "777"}, {"n_ctx": -1}, {"n_ctx": 10**12}, {"n_ctx": True}],
)
async def test_nonsense_is_no_number(nonsense: object) -> None:
    async with Telling(
        {"/props": {"default_generation_settings": nonsense}, "/v1/models": nonsense}
    ) as server:
        there = provider("openai-compatible", f"{server.url}/v1")

        assert await ask_server(there, "", "tiny") is None


async def test_a_server_that_is_not_there_tells_nothing() -> None:
    assert await ask_server(provider("openai-compatible", "http://127.0.0.1:9/v1"), "", "m") is None


async def test_the_host_tells_the_core_what_a_model_reads_once_it_was_asked() -> None:
    class Both(Telling):
        def reply_to(self, asked: Asked) -> Reply:
            return openai() if asked.path.endswith("completions") else super().reply_to(asked)

    async with Both(SERVERS["vllm"]) as server:
        there = provider("openai-compatible", f"{server.url}/v1")
        async with hosting(one=there) as host:
            told: list[tuple[str, int]] = []
            host._on_window = lambda *news: told.append(news)
            await ask(host, "one", model="tiny")
            for _ in range(3):
                await ask(host, "one", model="tiny")
            assert host.windows == {("one", "tiny"): 777}
            assert told == [("one/tiny", 777)]
