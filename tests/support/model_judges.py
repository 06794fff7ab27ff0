"""What a request to a provider has to look like: the official SDKs' own types say."""

from __future__ import annotations

import functools
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
        force(adapter.validate_python(body))


@functools.cache
def _judge(name: str) -> TypeAdapter[Any] | None:
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
