"""How much a model of a server of one's own reads at once: asked from the server, where it tells.

llama.cpp   GET  /props       what one slot has, whatever the model could do
Ollama      GET  /api/ps      what the loaded model was given; POST /api/show what it would be given
LM Studio   GET  /api/v0/models/MODEL
vLLM, any   GET  /v1/models   `max_model_len`, `context_length`
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import httpx2
import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.config.providers import ProviderSettings

_TIMEOUT_S: Final = 5.0
_MOST_BYTES: Final = 4 * 1024 * 1024
_MOST_TOKENS: Final = 100_000_000
_NUM_CTX: Final = re.compile(r"^num_ctx\s+(\d{1,9})\s*$", re.MULTILINE)


class _Server:
    """One server that is asked."""

    def __init__(self, client: httpx2.AsyncClient, settings: ProviderSettings, model: str) -> None:
        self._client = client
        self._base = settings.base_url.rstrip("/")
        self._root = self._base.removesuffix("/v1")
        self._model = model

    async def llama_cpp(self) -> object:
        """The context of one slot."""
        found = await self._get(f"{self._root}/props")
        return _at(found, "default_generation_settings", "n_ctx")

    async def ollama_loaded(self) -> object:
        """What the model has been loaded with."""
        found = _at(await self._get(f"{self._root}/api/ps"), "models")
        return _of_model(found, self._model, "context_length")

    async def ollama(self) -> object:
        """What the model says that it is to be loaded with, else what it was made for."""
        found = await self._get(f"{self._root}/api/show", {"model": self._model})
        given = _at(found, "parameters")
        if isinstance(given, str) and (said := _NUM_CTX.search(given)):
            return int(said[1])
        info = _at(found, "model_info")
        sizes = info.items() if isinstance(info, dict) else ()
        return next((size for name, size in sizes if name.endswith(".context_length")), None)

    async def lm_studio(self) -> object:
        """What the loaded model was given, else what it could have."""
        found = await self._get(f"{self._root}/api/v0/models/{self._model}")
        return _at(found, "loaded_context_length") or _at(found, "max_context_length")

    async def listed(self) -> object:
        """What the list of models says of it."""
        found = _at(await self._get(f"{self._base}/models"), "data")
        return _of_model(found, self._model, "max_model_len", "context_length", "context_window")

    async def _get(self, url: str, body: dict[str, str] | None = None) -> object:
        method = "GET" if body is None else "POST"
        async with self._client.stream(method, url, json=body) as response:
            if response.status_code != 200:  # noqa: PLR2004 - HTTP
                return None
            raw = bytearray()
            # As it comes: what is compressed, though that was not wanted, is no JSON.
            async for part in response.aiter_raw():
                raw += part
                if len(raw) > _MOST_BYTES:
                    return None
        return msgspec.json.decode(bytes(raw))


async def ask_server(settings: ProviderSettings, key: str, model: str) -> int | None:
    """Ask a server of one's own how many tokens a model reads at once; None when it does not tell.

    Trust:
        Whatever the server answers is read with a bound on time and size, and used as a number.
    """
    headers = {
        "Accept-Encoding": "identity",
        **settings.headers,
        **({"Authorization": f"Bearer {key}"} if key else {}),
    }
    async with httpx2.AsyncClient(timeout=_TIMEOUT_S, headers=headers) as client:
        server = _Server(client, settings, model)
        questions: tuple[Callable[[], Awaitable[object]], ...] = (
            server.llama_cpp,
            server.ollama_loaded,
            server.ollama,
            server.lm_studio,
            server.listed,
        )
        for question in questions:
            try:
                found = await question()
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RecursionError):
                continue
            if type(found) is int and 0 < found <= _MOST_TOKENS:
                return found
    return None


def _at(value: object, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _of_model(models: object, model: str, *names: str) -> object:
    for one in models if isinstance(models, list) else ():
        if isinstance(one, dict) and model in {one.get("id"), one.get("name"), one.get("model")}:
            return next((one[name] for name in names if one.get(name)), None)
    return None
