"""What a request to a provider has to look like: the official SDKs' own types say."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter

if TYPE_CHECKING:
    from tests.support.model_answers import Kind
    from tests.support.model_servers import Asked


def is_call(asked: Asked) -> bool:
    """Whether it asks a model, and not about one."""
    return asked.method == "POST" and "show" not in asked.path


def judge(kind: Kind, asked: Asked) -> None:
    """The SDK's own type of a request: what it sends itself is nothing else."""
    if (adapter := _judge(kind.name)) is not None:
        body = asked.json
        if kind.name in {"google", "vertex"}:
            body = {"contents": body["contents"]}
        if kind.name == "mistral":
            check_calls(body["messages"])
        force(adapter.validate_python(body))


def check_calls(messages: list[dict[str, Any]]) -> None:
    """Refuse what Mistral's own service refuses, and its SDK does not know of."""
    for message in messages:
        calls = [call["id"] for call in message.get("tool_calls") or ()]
        for call in (*calls, *filter(None, [message.get("tool_call_id")])):
            assert re.fullmatch(r"[A-Za-z0-9]{9}", call), call


@functools.cache
def _judge(name: str) -> TypeAdapter[Any] | None:  # noqa: PLR0911 - a row each
    match name:
        case "anthropic":
            from anthropic.types.beta import message_create_params as messages

            return TypeAdapter(messages.MessageCreateParamsStreaming)
        case "responses":
            from openai.types.responses import response_create_params as responses

            return TypeAdapter(responses.ResponseCreateParamsStreaming)
        case "openai" | "azure":
            from openai.types.chat import completion_create_params as completions

            return TypeAdapter(completions.CompletionCreateParamsStreaming)
        case "openrouter" | "openai-compatible":
            from openai.types.chat import completion_create_params as completions

            return TypeAdapter(completions.CompletionCreateParamsStreaming)
        case "groq":
            from groq.types.chat import completion_create_params as groqs

            return TypeAdapter(groqs.CompletionCreateParams)
        case "mistral":
            from mistralai.client.models import ChatCompletionStreamRequest

            return TypeAdapter(ChatCompletionStreamRequest)
        case "bedrock":
            return None  # botocore checks each request against its model before it is sent
        case "google" | "vertex":
            from google.genai.types import Content

            return TypeAdapter(dict[Literal["contents"], list[Content]])
    return None


def force(value: object) -> None:
    """Validate what pydantic would look at when it is read only."""
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for each in value:
            force(each)
