"""One answer, "Hello there" and two tool calls at once, as each provider streams it.

Each is what the provider's own reference shows for such an answer; `KINDS` is the table of tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.support.model_servers import Reply, amazon, sse

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT: Final = ("Hello", " there")
CALLS: Final = (("get_weather", {"city": "Oslo"}), ("get_time", {"zone": "UTC"}))
INPUT_TOKENS: Final = 31
OUTPUT_TOKENS: Final = 17


def openai(*, finish: str = "tool_calls", text: tuple[str, ...] = TEXT) -> Reply:
    """Chat completions."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return {**_OPENAI, "choices": [choice]}

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"content": piece}) for piece in text]
    if finish == "tool_calls":
        for index, (name, arguments) in enumerate(CALLS):
            function = {"name": name, "arguments": ""}
            call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
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


def responses() -> Reply:
    """OpenAI's responses."""
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    message = {"type": "message", "id": "i0", "role": "assistant", "status": "completed"}
    part = {"type": "output_text", "text": "".join(TEXT), "annotations": []}
    empty = part | {"text": ""}
    at = {"item_id": "i0", "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress", [], None)},
        _item("added", 0, message | {"status": "in_progress", "content": []}),
        {"type": "response.content_part.added", **at, "part": empty},
        *({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []}
          for piece in TEXT),
        {"type": "response.output_text.done", **at, "text": "".join(TEXT), "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
        _item("done", 0, message | {"content": [part]}),
    ]  # fmt: skip
    output: list[dict[str, Any]] = [message | {"content": [part]}]
    for index, (name, arguments) in enumerate(CALLS, start=1):
        call = {"type": "function_call", "id": f"i{index}", "call_id": f"call_{index}"}
        call |= {"name": name, "status": "completed"}
        whole = "".join(_halves(arguments))
        of_call = {"item_id": f"i{index}", "output_index": index}
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


def anthropic() -> Reply:
    """Messages."""
    start = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "some-model",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1},
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        _block(0, {"type": "thinking", "thinking": "", "signature": ""}),
        _delta(0, {"type": "thinking_delta", "thinking": "They greet me."}),
        _delta(0, {"type": "signature_delta", "signature": "c2lnbmVk"}),
        {"type": "content_block_stop", "index": 0},
        _block(1, {"type": "text", "text": ""}),
        *(_delta(1, {"type": "text_delta", "text": piece}) for piece in TEXT),
        {"type": "content_block_stop", "index": 1},
    ]
    for index, (name, arguments) in enumerate(CALLS, start=2):
        call = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
        events.append(_block(index, call))
        events += [
            _delta(index, {"type": "input_json_delta", "partial_json": piece})
            for piece in _halves(arguments)
        ]
        events.append({"type": "content_block_stop", "index": index})
    end = {"stop_reason": "tool_use", "stop_sequence": None}
    usage = {"output_tokens": OUTPUT_TOKENS}
    events.append({"type": "message_delta", "delta": end, "usage": usage})
    events.append({"type": "message_stop"})
    return Reply(sse(*events, named=True))


def _block(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def google() -> Reply:
    """Gemini, streamGenerateContent."""

    def chunk(*parts: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
        if reason is not None:
            candidate["finishReason"] = reason
        usage = {
            "promptTokenCount": INPUT_TOKENS,
            "candidatesTokenCount": OUTPUT_TOKENS,
            "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
        }
        return {
            "candidates": [candidate],
            "usageMetadata": usage,
            "modelVersion": "some-model",
            "responseId": "r1",
        }

    calls = [{"functionCall": {"name": name, "args": args}} for name, args in CALLS]
    return Reply(
        sse(
            chunk({"text": "They greet me.", "thought": True}),
            *(chunk({"text": piece}) for piece in TEXT),
            chunk(*calls, reason="STOP"),
        )
    )


def mistral() -> Reply:
    """Mistral's chat completions: calls come whole."""

    def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "m1", "object": "chat.completion.chunk", "created": 1_750_000_000,
                "model": "some-model", "choices": [choice]}  # fmt: skip

    calls = [
        {
            "id": f"call0000{index}",
            "index": index,
            "function": {"name": name, "arguments": "".join(_halves(arguments))},
        }
        for index, (name, arguments) in enumerate(CALLS)
    ]
    last = chunk({"content": "", "tool_calls": calls}, "tool_calls")
    last["usage"] = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    first = chunk({"role": "assistant", "content": ""})
    return Reply(sse(first, *(chunk({"content": piece}) for piece in TEXT), last, done=True))


def groq() -> Reply:
    """Groq: OpenAI's, with usage in a place of its own."""
    reply = openai()
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    choice = {"index": 0, "delta": {}, "finish_reason": "tool_calls", "logprobs": None}
    last = {**_OPENAI, "choices": [choice], "x_groq": {"id": "req_1", "usage": usage}}
    return Reply((*reply.pieces[:-3], *sse(last, done=True)))


def bedrock() -> Reply:
    """Amazon Bedrock, converse-stream."""
    events: list[tuple[str, object]] = [("messageStart", {"role": "assistant"})]
    events += [
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}}) for piece in TEXT
    ]
    events.append(("contentBlockStop", {"contentBlockIndex": 0}))
    for index, (name, arguments) in enumerate(CALLS, start=1):
        start = {"toolUse": {"toolUseId": f"tooluse_{index}", "name": name}}
        events.append(("contentBlockStart", {"contentBlockIndex": index, "start": start}))
        events += [
            (
                "contentBlockDelta",
                {"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}},
            )
            for piece in _halves(arguments)
        ]
        events.append(("contentBlockStop", {"contentBlockIndex": index}))
    events.append(("messageStop", {"stopReason": "tool_use"}))
    usage = {
        "inputTokens": INPUT_TOKENS,
        "outputTokens": OUTPUT_TOKENS,
        "totalTokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    events.append(("metadata", {"usage": usage, "metrics": {"latencyMs": 5}}))
    return Reply(amazon(*events), media_type="application/vnd.amazon.eventstream")


def _halves(arguments: dict[str, str]) -> tuple[str, str]:
    ((name, value),) = arguments.items()
    return f'{{"{name}":', f'"{value}"}}'


class Kind(NamedTuple):
    """How a kind of provider is set up to be asked at a server of ours."""

    kind: str
    path: str
    """Behind the server's address, as `base_url` has it."""
    reply: Callable[[], Reply]
    more: dict[str, str] = {}  # noqa: RUF012 - never written to
    model: str = "some-model"


KINDS: Final = (
    Kind("openai", "/v1", openai),
    Kind("openai", "/v1", responses, {"api": "responses"}),
    Kind("openai-compatible", "/v1", openai),
    Kind("openrouter", "/api/v1", openai, {}, "openai/some-model"),
    Kind("azure", "/openai/v1", openai),
    Kind("anthropic", "", anthropic),
    Kind("google", "", google),
    Kind("vertex", "", google),
    Kind("mistral", "", mistral),
    Kind("groq", "", groq),
    Kind("bedrock", "", bedrock, {"region": "us-east-1", "key_id": "AKIDEXAMPLE"}),
)
