"""One attempt at a provider: the library's stream, as pieces and one whole answer, without keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from pydantic_ai.messages import (
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)

from ironclaw.models.host.clients import none_left_open
from ironclaw.models.host.faults import failure, filtered
from ironclaw.models.host.messages import CREDIT, Ask, Failure, Piece, Show, Whole
from ironclaw.models.host.redact import Pieces, Redactor
from ironclaw.models.host.thinking import settings
from ironclaw.models.host.translate import NotTranslatable, answer, messages, parameters
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Called, Thought
from ironclaw_contract.rpc import Generated

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model, StreamedResponse

_PIECE_CHARS: Final = 16 * 1024
_MOST_CHARS: Final = 8 * 1024 * 1024
"""Of everything that one answer may hold: the library keeps all of it."""
_EVENT_CHARS: Final = 64
"""What an event counts for by itself: one that holds nothing is kept, too."""
_WHOLE: Final = frozenset({"stop", "length", "tool_call"})

Say = Callable[[Piece | Whole | Failure], Awaitable[None]]


class Call:
    """One attempt. `run` never raises for what a provider does; cancelling it ends it upstream.

    Args:
        ask: What is asked.
        say: Sends a frame to the core.
        redactor: Knows the keys.
        shown: The pictures that it names, by their files.
    """

    def __init__(
        self,
        ask: Ask,
        say: Say,
        redactor: Redactor,
        shown: Mapping[str, Show] | None = None,
    ) -> None:
        self._shown = shown or {}
        self._ask = ask
        self._say = say
        self._redactor = redactor
        self._credit = asyncio.Semaphore(CREDIT)
        self._words = Pieces(redactor)
        self._thoughts = Pieces(redactor)
        self._chars = 0
        self.is_refused_key = False
        """The provider did not take the key."""

    def more(self, events: int) -> None:
        """The core has taken so many."""
        for _ in range(events):
            self._credit.release()

    async def run(self, model: Model[Any]) -> None:
        """Ask, and say what comes."""
        if not model.profile.get("supports_image_input", True):
            self._shown = {}
        end = await self._end_of(model)
        if self._shown and isinstance(end, Failure):
            end = msgspec.structs.replace(end, had_pictures=True)
        await self._say(end)

    async def _end_of(self, model: Model[Any]) -> Whole | Failure:
        try:
            return await self._attempt(model)
        except NotTranslatable as error:
            end = self._no(WireCode.MODEL_REFUSED, "The agent asked for something impossible.")
            end = msgspec.structs.replace(end, detail=str(error))
        except Exception as error:  # noqa: BLE001 - the edge to the providers' libraries
            end = failure(
                self._ask.call, self._ask.provider, self._ask.model, error, self._redactor
            )
            self.is_refused_key = "AuthenticationError" in type(error).__name__
        return end

    async def _attempt(self, model: Model[Any]) -> Whole | Failure:
        request = self._ask.request
        talk = messages(request, model.system, self._shown)
        stream = model.request_stream(talk, settings(self._ask, model), parameters(request))
        async with none_left_open(), stream as events:
            async for event in events:
                self._chars += _EVENT_CHARS + _unshown(event)
                await self._take(event)
                if self._chars > _MOST_CHARS:
                    cut = self._no(WireCode.TOO_LARGE, "The model's answer is too large.")
                    return _paid(cut, events.get())
            await self._piece(self._thoughts.end(), is_thought=True)
            await self._piece(self._words.end())
            return self._end(events)

    async def _take(self, event: object) -> None:
        """Show the words and the thoughts of an event."""
        match event:
            case (
                PartStartEvent(part=TextPart(content=text))
                | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
            ):
                self._chars += len(text)
                await self._piece(self._thoughts.end(), is_thought=True)
                await self._piece(self._words.add(text))
            case (
                PartStartEvent(part=ThinkingPart(content=thought))
                | PartDeltaEvent(delta=ThinkingPartDelta(content_delta=str(thought)))
            ):
                self._chars += len(thought)
                await self._piece(self._thoughts.add(thought), is_thought=True)

    async def _piece(self, text: str, *, is_thought: bool = False) -> None:
        for start in range(0, len(text), _PIECE_CHARS):
            await self._credit.acquire()
            part = text[start : start + _PIECE_CHARS].encode("utf-8", "replace").decode()
            await self._say(Piece(call=self._ask.call, text=part, is_thought=is_thought))

    def _end(self, events: StreamedResponse) -> Whole | Failure:
        response: ModelResponse = events.get()
        who = f"The model provider {self._ask.provider}"
        if response.finish_reason == "content_filter":
            return _paid(self._no(WireCode.MODEL_REFUSED, filtered(who)), response)
        # Where a provider said nothing of how it ended, the library supposes that all is well.
        said_so = (response.provider_details or {}).get("finish_reason")
        if response.state != "complete" or response.finish_reason not in _WHOLE or not said_so:
            # Half an answer is none: whoever reads it would take it for the whole.
            cut = self._no(WireCode.MODEL_UNAVAILABLE, f"{who} broke off its answer.")
            return _paid(msgspec.structs.replace(cut, is_sick=True), response)
        whole = answer(self._ask.request, response, is_cut=response.finish_reason == "length")
        return Whole(
            call=self._ask.call,
            answer=self._clean(whole),
            cached_tokens=max(0, response.usage.cache_read_tokens or 0),
            written_tokens=max(0, response.usage.cache_write_tokens or 0),
        )

    def _clean(self, whole: Generated) -> Generated:
        """A provider that writes its key into an answer would give it to the box."""
        entries = tuple(map(self._clean_entry, whole.entries))
        return msgspec.structs.replace(whole, entries=entries)

    def _clean_entry(self, entry: Answered | Thought | Called) -> Answered | Thought | Called:
        clean = self._redactor.clean
        match entry:
            case Answered(text):
                return Answered(text=clean(text))
            case Thought(text, opaque):
                return Thought(text=clean(text), opaque=clean(opaque))
            case Called(call, name, arguments):
                return Called(call=clean(call), name=clean(name), arguments=clean(arguments))

    def _no(self, code: WireCode, word: str) -> Failure:
        return Failure(call=self._ask.call, code=code, word=word)


def _unshown(event: object) -> int:
    """Characters of an event that nobody is shown, and that the library keeps all the same."""
    match event:
        case PartStartEvent(part=ToolCallPart(args=arguments, tool_name=name)):
            return len(str(arguments or "")) + len(name)
        case PartDeltaEvent(delta=ToolCallPartDelta(args_delta=arguments)):
            return len(str(arguments or ""))
        case PartStartEvent(part=ThinkingPart(signature=signature)):
            return len(signature or "")
        case PartDeltaEvent(delta=ThinkingPartDelta(signature_delta=signature)):
            return len(signature or "")
        case _:
            return 0


def _paid(failure: Failure, response: ModelResponse) -> Failure:
    """What came to nothing and was counted: a box may know how to have that again and again."""
    return msgspec.structs.replace(
        failure,
        input_tokens=max(0, response.usage.input_tokens or 0),
        output_tokens=max(0, response.usage.output_tokens or 0),
    )
