"""A model host with providers at servers of ours, and calls to put to it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from ironclaw.config.providers import ProviderSettings
from ironclaw.core.tasks import Tasks
from ironclaw.models.host.starter import ModelHost
from ironclaw.models.trouble import ModelTrouble
from ironclaw_contract.entries import Answered, Called, Entry, Returned, Said
from ironclaw_contract.rpc import Delta, Generate, Generated, ToolSpec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

KEY = "sk-canary-0123456789abcdef"
TOOLS = tuple(
    ToolSpec(
        name=name,
        description=f"Tells the {word}.",
        parameters=f'{{"type":"object","properties":{{"{field}":{{"type":"string"}}}}}}',
    )
    for name, word, field in (("get_weather", "weather", "city"), ("get_time", "time", "zone"))
)
TALK: tuple[Entry, ...] = (
    Said(message="msg_0", sender="Ann", text="What time is it?", at_ms=0),
    Answered(text="I look."),
    Called(call="call00001", name="get_time", arguments='{"zone":"UTC"}'),
    Returned(call="call00001", text="12:00"),
    Said(message="msg_1", sender="Ann", text="And the weather?", at_ms=1),
)


def provider(kind: str, url: str, **more: Any) -> ProviderSettings:
    """Settings of a provider at a server, its key in the variable `K`."""
    settings = {"kind": kind, "key": "env:K", "base_url": url, **more}
    return msgspec.convert(settings, ProviderSettings)


def generate(*entries: Entry, system: str = "Be kind.") -> Generate:
    """A call of a box."""
    return Generate(
        call=3,
        turn="msg_1",
        system=system,
        entries=entries or TALK,
        tools=TOOLS,
        max_output_tokens=100,
    )


@asynccontextmanager
async def hosting(
    environ: Mapping[str, str] | None = None, /, **providers: ProviderSettings
) -> AsyncIterator[ModelHost]:
    """A model host that is gone afterwards. No task of it may fail."""
    failures: list[BaseException] = []
    async with Tasks("test", on_failure=lambda _name, error: failures.append(error)) as tasks:
        there = {"K": KEY, "OTHER": "not for the host", **(environ or {})}
        host = ModelHost(providers, there, tasks)
        try:
            yield host
        finally:
            await host.close()
    assert failures == []


async def ask(
    host: ModelHost, name: str, request: Generate | None = None, *, model: str = "some-model"
) -> tuple[str, Generated | ModelTrouble]:
    """One attempt: the text of its pieces, and how it ended."""
    said = ""
    stream = host.generate(
        provider=name,
        model=model,
        temperature=0.5,
        max_output_tokens=50,
        request=request or generate(),
    )
    try:
        async for event in stream:
            if isinstance(event, Delta):
                said += "" if event.is_thought else event.text
            elif isinstance(event, Generated):
                return said, event
    except ModelTrouble as trouble:
        return said, trouble
    raise AssertionError("it did not end")
