"""One answer, "Hello there" and two tool calls at once, as each provider streams it.

Each is what the provider's own reference shows for such an answer; `KINDS` is the table of tests.
Other words, calls and thoughts are said with a `Wanted`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.support.model_servers import Reply, amazon, sse

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT: Final = ("Hello", " there")
CALLS: Final = (("get_weather", {"city": "Oslo"}), ("get_time", {"zone": "UTC"}))
INPUT_TOKENS: Final = 31
OUTPUT_TOKENS: Final = 17
CACHED_TOKENS: Final = 24
"""Of the input, read from the provider's cache, where it tells."""
SIGNATURE: Final = "c2lnbmVk"


class Wanted(NamedTuple):
    """What an answer is to hold."""

    text: tuple[str, ...] = TEXT
    calls: tuple[tuple[str, dict[str, str]], ...] = CALLS
    thought: str = "They greet me."
    """Where the protocol has a place for it."""
    mark: str = ""
    """In the ids of calls and items: no two answers of a talk share one."""


_USUAL: Final = Wanted()


def openai(
    wanted: Wanted = _USUAL,
    *,
    finish: str = "",
    text: tuple[str, ...] = (),
    thinks_in: str = "",
) -> Reply:
    """Chat completions; `thinks_in` names the field that servers of one's own think in."""
    finish = finish or ("tool_calls" if wanted.calls else "stop")

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {**_OPENAI, "choices": [choice]}

    events = [chunk({"role": "assistant", "content": ""})]
    if thinks_in:
        events += [chunk({thinks_in: piece}) for piece in _pieces(wanted.thought)]
    events += [chunk({"content": piece}) for piece in text or wanted.text]
    if finish == "tool_calls":
        for index, (name, arguments) in enumerate(wanted.calls):
            function = {"name": name, "arguments": ""}
            ident = f"call_{wanted.mark}{index}"
            call = {"index": index, "id": ident, "type": "function", "function": function}
            events.append(chunk({"tool_calls": [call]}))
            for piece in _halves(arguments):
                later = {"index": index, "function": {"arguments": piece}}
                events.append(chunk({"tool_calls": [later]}))
    events.append(chunk({}, finish))
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    events.append({**_OPENAI, "choices": [], "usage": usage})
    return Reply(sse(*events, done=True))


_OPENAI: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_750_000_000,
    "model": "some-model",
}


def thinking_openai(wanted: Wanted = _USUAL) -> Reply:
    """The same, of a server of one's own whose model thinks."""
    return openai(wanted, thinks_in="reasoning_content")


def responses(wanted: Wanted = _USUAL) -> Reply:
    """OpenAI's responses."""
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": CACHED_TOKENS, "cache_write_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    text = "".join(wanted.text)
    ident = f"msg_{wanted.mark}"
    message = {"type": "message", "id": ident, "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": text, "annotations": []}
    empty = part | {"text": ""}
    at = {"item_id": ident, "output_index": 1, "content_index": 0}
    thought, events = _thought_item(wanted)
    events = [
        {"type": "response.created", "response": _response("in_progress", [], None)},
        *events,
        _item("added", 1, message | {"status": "in_progress", "content": []}),
        {"type": "response.content_part.added", **at, "part": empty},
        *({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
          for piece in wanted.text),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        _item("done", 1, message | {"content": [part]}),
    ]  # fmt: skip
    output: list[dict[str, Any]] = [thought, message | {"content": [part]}]
    for index, (name, arguments) in enumerate(wanted.calls, start=2):
        call = {
            "type": "function_call",
            "id": f"fc_{wanted.mark}{index}",
            "call_id": f"call_{wanted.mark}{index}",
        }
        call |= {"name": name, "status": "completed"}
        whole = "".join(_halves(arguments))
        of_call = {"item_id": call["id"], "output_index": index}
        events.append(_item("added", index, call | {"arguments": ""}))
        events += [
            {"type": "response.function_call_arguments.delta", **of_call, "delta": piece}
            for piece in _halves(arguments)
        ]
        done = {"type": "response.function_call_arguments.done", **of_call}
        events.append(done | {"name": name, "arguments": whole})
        events.append(_item("done", index, call | {"arguments": whole}))
        output.append(call | {"arguments": whole})
    completed = _response("completed", output, usage)
    events.append({"type": "response.completed", "response": completed})
    numbered = [event | {"sequence_number": number} for number, event in enumerate(events)]
    return Reply(sse(*numbered, named=True))


def _thought_item(wanted: Wanted) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    ident = f"rs_{wanted.mark}"
    part = {"type": "summary_text", "text": wanted.thought}
    at = {"item_id": ident, "output_index": 0, "summary_index": 0}
    item: dict[str, Any] = {"type": "reasoning", "id": ident, "summary": []}
    whole = item | {"summary": [part], "encrypted_content": SIGNATURE}
    what = "response.reasoning_summary"
    return whole, [
        _item("added", 0, item),
        {"type": f"{what}_part.added", **at, "part": part | {"text": ""}},
        *({"type": f"{what}_text.delta", **at, "delta": one} for one in _pieces(wanted.thought)),
        {"type": f"{what}_text.done", **at, "text": wanted.thought},
        {"type": f"{what}_part.done", **at, "part": part},
        _item("done", 0, whole),
    ]


def _item(what: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"response.output_item.{what}", "output_index": index, "item": item}


def _response(status: str, output: list[dict[str, Any]], usage: object) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_750_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "some-model",
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def anthropic(wanted: Wanted = _USUAL) -> Reply:
    """Messages. Of the input, what was read from the cache is counted apart."""
    start = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "some-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT_TOKENS - CACHED_TOKENS,
            "cache_read_input_tokens": CACHED_TOKENS,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        },
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        _block(0, {"type": "thinking", "thinking": "", "signature": ""}),
        *(_delta(0, {"type": "thinking_delta", "thinking": piece})
          for piece in _pieces(wanted.thought)),
        _delta(0, {"type": "signature_delta", "signature": SIGNATURE}),
        {"type": "content_block_stop", "index": 0},
        _block(1, {"type": "text", "text": ""}),
        *(_delta(1, {"type": "text_delta", "text": piece}) for piece in wanted.text),
        {"type": "content_block_stop", "index": 1},
    ]  # fmt: skip
    for index, (name, arguments) in enumerate(wanted.calls, start=2):
        ident = f"toolu_{wanted.mark}{index}"
        call = {"type": "tool_use", "id": ident, "name": name, "input": {}}
        events.append(_block(index, call))
        events += [
            _delta(index, {"type": "input_json_delta", "partial_json": piece})
            for piece in _halves(arguments)
        ]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": "tool_use" if wanted.calls else "end_turn", "stop_sequence": None}
    usage = {"output_tokens": OUTPUT_TOKENS}
    events.append({"type": "message_delta", "delta": end, "usage": usage})
    events.append({"type": "message_stop"})
    return Reply(sse(*events, named=True))


def _block(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def google(wanted: Wanted = _USUAL) -> Reply:
    """Gemini, streamGenerateContent."""

    def chunk(*parts: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
        if reason is not None:
            candidate["finishReason"] = reason
        usage = {
            "promptTokenCount": INPUT_TOKENS,
            "cachedContentTokenCount": CACHED_TOKENS,
            "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "some-model",
            "responseId": "r1",
        }

    calls: list[dict[str, Any]] = [
        {"functionCall": {"name": name, "args": args}} for name, args in wanted.calls
    ]
    if calls:
        # The first call of an answer is signed: the model wants it back as it was.
        calls[0]["thoughtSignature"] = SIGNATURE
    return Reply(
        sse(
            *(chunk({"text": piece, "thought": True}) for piece in _pieces(wanted.thought)),
            *(chunk({"text": piece}) for piece in wanted.text),
            chunk(*calls, reason="STOP"),
        )
    )


def mistral(wanted: Wanted = _USUAL) -> Reply:
    """Mistral's chat completions: calls come whole, thoughts as content of their own type."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "m1", "object": "chat.completion.chunk", "created": 1_750_000_000,
                "model": "some-model", "choices": [choice]}  # fmt: skip

    reason = "tool_calls" if wanted.calls else "stop"
    calls = [
        {
            "id": f"call{wanted.mark:0>4}{index}",
            "index": index,
            "function": {"name": name, "arguments": "".join(_halves(arguments))},
        }
        for index, (name, arguments) in enumerate(wanted.calls)
    ]
    last = chunk({"content": "", **({"tool_calls": calls} if calls else {})}, reason)
    last["usage"] = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    first = chunk({"role": "assistant", "content": ""})
    thoughts = [
        chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]})
        for piece in _pieces(wanted.thought)
    ]
    words = [chunk({"content": piece}) for piece in wanted.text]
    return Reply(sse(first, *thoughts, *words, last, done=True))


def groq(wanted: Wanted = _USUAL) -> Reply:
    """Groq: OpenAI's, with usage in a place of its own."""
    reply = openai(wanted, thinks_in="reasoning")
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    reason = "tool_calls" if wanted.calls else "stop"
    choice = {"index": 0, "delta": {}, "finish_reason": reason, "logprobs": None}
    last = {**_OPENAI, "choices": [choice], "x_groq": {"id": "req_1", "usage": usage}}
    return Reply((*reply.pieces[:-3], *sse(last, done=True)))


def bedrock(wanted: Wanted = _USUAL) -> Reply:
    """Amazon Bedrock, converse-stream."""
    events: list[tuple[str, object]] = [("messageStart", {"role": "assistant"})]
    deltas: list[tuple[int, dict[str, Any]]] = [
        *((0, {"reasoningContent": {"text": piece}}) for piece in _pieces(wanted.thought)),
        (0, {"reasoningContent": {"signature": SIGNATURE}}),
        *((1, {"text": piece}) for piece in wanted.text),
    ]
    events += [
        ("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
        for index, delta in deltas
    ]
    events += [("contentBlockStop", {"contentBlockIndex": index}) for index in (0, 1)]
    for index, (name, arguments) in enumerate(wanted.calls, start=2):
        start = {"toolUse": {"toolUseId": f"tooluse_{wanted.mark}{index}", "name": name}}
        events.append(("contentBlockStart", {"contentBlockIndex": index, "start": start}))
        events += [
            (
                "contentBlockDelta",
                {"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}},
            )
            for piece in _halves(arguments)
        ]
        events.append(("contentBlockStop", {"contentBlockIndex": index}))
    reason = "tool_use" if wanted.calls else "end_turn"
    events.append(("messageStop", {"stopReason": reason}))
    usage = {
        "inputTokens": INPUT_TOKENS - CACHED_TOKENS,
        "cacheReadInputTokens": CACHED_TOKENS,
        "cacheWriteInputTokens": 0,
        "outputTokens": OUTPUT_TOKENS,
        "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    events.append(("metadata", {"usage": usage, "metrics": {"latencyMs": 5}}))
    return Reply(amazon(*events), media_type="application/vnd.amazon.eventstream")


def _pieces(text: str) -> tuple[str, ...]:
    """A text in two pieces; none of an empty one."""
    return tuple(piece for piece in (text[:3], text[3:]) if piece)


def _halves(arguments: dict[str, str]) -> tuple[str, str]:
    text = json.dumps(arguments, separators=(",", ":"))
    return text[: len(text) // 2], text[len(text) // 2 :]


class Kind(NamedTuple):
    """How a kind of provider is set up to be asked at a server of ours."""

    kind: str
    path: str
    """Behind the server's address, as `base_url` has it."""
    reply: Callable[[Wanted], Reply]
    more: dict[str, str] = {}  # noqa: RUF012 - never written to
    model: str = "some-model"
    thinker: str = ""
    """A model of its that thinks when it is told to."""

    @property
    def name(self) -> str:
        """Which protocol it is, for people."""
        return "responses" if self.more.get("api") else self.kind


KINDS: Final = (
    Kind("openai", "/v1", openai),
    Kind("openai", "/v1", responses, {"api": "responses"}, thinker="gpt-5.1"),
    Kind("openai-compatible", "/v1", thinking_openai, thinker="some-thinker"),
    Kind("openrouter", "/api/v1", openai, {}, "openai/some-model", "openai/gpt-5.1"),
    Kind("azure", "/openai/v1", openai),
    Kind("anthropic", "", anthropic, thinker="claude-sonnet-4-5"),
    Kind("google", "", google, thinker="gemini-2.5-flash"),
    Kind("vertex", "", google, thinker="gemini-2.5-flash"),
    Kind("mistral", "", mistral, thinker="mistral-small-latest"),
    Kind("groq", "", groq, thinker="qwen/qwen3-32b"),
    Kind(
        "bedrock",
        "",
        bedrock,
        {"region": "us-east-1", "key_id": "AKIDEXAMPLE"},
        thinker="us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
)
