"""Ten turns with each protocol: tools, thoughts, an image, trouble, a killed box, a stop.

The real turn machine asks the real model service, which asks the real host process; only the wall
and the provider are stand-ins. What goes to the provider is judged by the official SDKs' own types.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest
from tests.support.model_answers import CALLS, KINDS, SIGNATURE, Kind, Wanted
from tests.support.model_house import TOOLS, hosting, provider
from tests.support.model_judges import is_call, judge
from tests.support.model_servers import Asked, ModelServer, Reply, failed
from tests.support.talking_box import TalkingBox

from ironclaw.core.ids import AgentId, SessionId
from ironclaw.domain.model import Agent, Thinking
from ironclaw.domain.providers import Picture
from ironclaw.models.host.provider import HostedProvider
from ironclaw.models.provider import Registry
from ironclaw.models.service import ModelLimits, ModelService
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import File, Said
from ironclaw_contract.rpc import Generate

pytestmark = pytest.mark.wire

THOUGHT: Final = "I should look outside."
RESULTS: Final = {"get_weather": "It rains.", "get_time": "It is noon."}
PICTURE: Final = b"\x89PNG\r\n\x1a\n" + b"a heron" * 9
HERON: Final = File(id="fil_1", name="heron.png", media_type="image/png", size=len(PICTURE))
LIMITS: Final = ModelLimits(first_delay_s=0.01, longest_delay_s=0.05)


class Scripted(ModelServer):
    """Says its script to those who ask a model, and nothing of itself to others."""

    def reply_to(self, asked: Asked) -> Reply:
        if not is_call(asked):
            return failed(404, {"error": {"message": "what?"}})
        return self._replies[sum(map(is_call, self.asked))]


class Album:
    """Every session's pictures."""

    async def of(self, _session: SessionId, request: Generate) -> list[Picture]:
        said = (entry for entry in request.entries if isinstance(entry, Said))
        return [Picture(file.id, file.media_type, PICTURE) for one in said for file in one.files]


class Talk:
    """One conversation, and the server that it is held with."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.server = Scripted(*self._replies())
        self.wrong: Exception | None = None

    def _replies(self) -> Iterator[Reply]:
        answered = self._answer
        yield answered("one", "I am glad to meet you.")
        yield answered("two", "I look.", CALLS[:1])
        yield answered("twob", "It rains there.")
        yield answered("three", "I look twice.", CALLS, THOUGHT)
        yield answered("threeb", "It is noon, and it rains.", (), "So it is both.")
        yield failed(429, {"error": {"message": "slow down"}}, ("Retry-After", "1"))
        yield answered("four", "Here I am again.")
        whole = answered("five", "This is the whole of it.")
        yield whole._replace(pieces=whole.pieces[:-1], breaks=True)
        yield whole
        yield answered("six", "I remember all of it.")
        whole = answered("seven", "This never ends. " * 9)
        yield whole._replace(pieces=whole.pieces[: -len(whole.pieces) // 3], hangs=True)
        yield answered("eight", "I stopped.")
        yield answered("nine", "Nine.")
        yield answered("ten", "Ten.")

    def _answer(
        self,
        mark: str,
        text: str,
        calls: tuple[tuple[str, dict[str, str]], ...] = (),
        thought: str = "",
    ) -> Reply:
        words = text.split(" ")
        pieces = (*(f"{word} " for word in words[:-1]), words[-1])
        marks = {"two": "2", "twob": "22", "three": "3", "threeb": "33"}
        wanted = Wanted(pieces, calls, thought or "Hm.", marks.get(mark, mark))
        return self.kind.reply(wanted)

    @property
    def asked(self) -> list[Asked]:
        """Requests to models."""
        return [one for one in self.server.asked if is_call(one)]

    def body(self, number: int) -> str:
        """A request's body, as text."""
        return self.asked[number].body.decode()

    async def attempt(self, box: TalkingBox) -> None:
        """All of it; what goes wrong does not end the other conversations."""
        try:
            await self.hold(box)
            for asked in self.asked:
                judge(self.kind, asked)
        except Exception as error:  # noqa: BLE001 - the others go on; it is raised at the end
            error.add_note(f"with {self.kind.name}, at request {len(self.asked)}")
            self.wrong = error

    async def hold(self, box: TalkingBox) -> None:
        """All ten turns."""
        assert (await box.say("I am Ann, and I like herons.")).words == "I am glad to meet you."
        await self.use_tools(box)
        assert (await box.say("Still there?")).words == "Here I am again."
        assert len(self.asked) == 7, "tried again after the rest that it wanted"
        cut = await box.say("Tell me everything.")
        assert (cut.failed, cut.words) == (None, "This is the whole of it.")
        box.kill()
        assert (await box.say("What do you remember?")).words == "I remember all of it."
        for words in ("I like herons", "It rains.", "It is noon, and it rains.", "whole of it"):
            assert words in self.body(9), words
        stopped = await box.say("Talk for ever.", stop_after=2)
        assert stopped.failed is WireCode.CANCELLED
        async with asyncio.timeout(20):
            await self.server.left.wait()
        assert (await box.say("Is this one?", files=(HERON,))).words == "I stopped."
        assert base64.b64encode(PICTURE).decode() in self.body(-1).replace("\\/", "/")
        assert (await box.say("Nine?")).words == "Nine."
        assert (await box.say("Ten?")).words == "Ten."
        assert "I like herons" in self.body(-1)
        assert THOUGHT not in self.body(-1)

    async def use_tools(self, box: TalkingBox) -> None:
        """A tool, then two at once behind a thought."""
        one = await box.say("How is Oslo?")
        assert (one.words, len(one.calls)) == ("It rains there.", 1)
        assert "It rains." in self.body(2)
        two = await box.say("And the time?")
        assert [call.name for call in two.calls] == [name for name, _ in CALLS]
        assert two.words == "It is noon, and it rains."
        assert all(result in self.body(4) for result in RESULTS.values())
        assert THOUGHT not in two.shown
        if self.kind.kind not in {"openai", "azure", "openrouter"} or self.kind.more:
            assert THOUGHT in two.thought
        self.check_thoughts(self.asked[4])

    def check_thoughts(self, asked: Asked) -> None:
        """What the model thought before its calls comes back as it was."""
        body = asked.json
        match self.kind.name:
            case "anthropic":
                assert body["thinking"] == {"type": "enabled", "budget_tokens": 10_000}
                assert body["max_tokens"] > 10_000
                thought = {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}
                assert body["messages"][-2]["content"][0] == thought
                assert "cache_control" in self.body(4)
            case "bedrock":
                fields = body["additionalModelRequestFields"]
                assert fields["thinking"] == {"type": "enabled", "budget_tokens": 10_000}
                text = {"text": THOUGHT, "signature": SIGNATURE}
                said = body["messages"][-2]["content"]
                assert said[0] == {"reasoningContent": {"reasoningText": text}}
                assert "cachePoint" in self.body(4)
            case "responses":
                assert body["reasoning"]["effort"] == "medium"
                assert body["store"] is False
                assert "reasoning.encrypted_content" in body["include"]
                (item,) = [one for one in body["input"] if one.get("id") == "rs_3"]
                assert item["encrypted_content"] == SIGNATURE
                assert item["summary"] == [{"type": "summary_text", "text": THOUGHT}]
                after = body["input"][body["input"].index(item) + 1 :]
                assert [one["id"] for one in after if one.get("id")][:2] == ["msg_3", "fc_32"]
            case "google" | "vertex":
                thinking = {"include_thoughts": True, "thinking_budget": 8192}
                assert body["generationConfig"]["thinkingConfig"] == thinking
                calls = [
                    part
                    for content in body["contents"][-2:]
                    for part in content["parts"]
                    if "functionCall" in part
                ]
                assert calls[0]["thoughtSignature"] == SIGNATURE
            case "mistral":
                assert body["reasoning_effort"] == "high"
                assert THOUGHT in self.body(4)
            case "groq":
                assert body["reasoning_format"] == "parsed"
            case "openrouter":
                assert body["reasoning"]["effort"] == "medium"
            case "openai-compatible":
                assert body["reasoning_effort"] == "medium"
                assert body["messages"][-3]["reasoning_content"] == THOUGHT


async def test_ten_turns_with_each_protocol() -> None:
    talks = [Talk(kind) for kind in KINDS]
    async with AsyncExitStack() as stack:
        names = [f"p{number}" for number in range(len(talks))]
        for talk in talks:
            await stack.enter_async_context(talk.server)
        there = {
            name: provider(talk.kind.kind, talk.server.url + talk.kind.path, **talk.kind.more)
            for name, talk in zip(names, talks, strict=True)
        }
        host = await stack.enter_async_context(hosting(**there))
        models = ModelService(
            Registry({name: HostedProvider(name, host, Album()) for name in names}),
            limits=LIMITS,
        )
        async with asyncio.TaskGroup() as group:
            for name, talk in zip(names, talks, strict=True):
                agent = Agent(
                    id=AgentId(f"agt_{name}"),
                    name="helper",
                    model=f"{name}/{talk.kind.thinker or talk.kind.model}",
                    thinking=Thinking.MEDIUM,
                )
                box = TalkingBox(
                    models, agent, SessionId(f"ses_{name}"), specs=TOOLS, results=RESULTS
                )
                group.create_task(talk.attempt(box), name=talk.kind.name)
    if wrong := [talk.wrong for talk in talks if talk.wrong is not None]:
        raise ExceptionGroup("conversations that went wrong", wrong)
