"""Bodies of the front door: what clients of OpenAI's API send, and what they are answered.

What has a meaning here is typed and looked at. Everything else that such clients send is skipped
without being decoded: `IGNORED` names what is known of it.

Source: OpenAI's API reference, "Chat Completions", "Responses", "Models", as its official Python
library has them.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ironclaw.api.bodies import Short

MAX_ENTRIES: Final = 10_000
"""Messages of one request: clients send everything again with each one."""

IGNORED: Final = frozenset(
    (
        "access_programs",
        "audio",
        "background_options",
        "context_management",
        "frequency_penalty",
        "function_call",
        "image",
        "include",
        "logit_bias",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "max_tool_calls",
        "moderation",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "reasoning_effort",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream_options",
        "temperature",
        "tool_choice",
        "top_logprobs",
        "top_p",
        "truncation",
        "verbosity",
    )
)
"""Fields of OpenAI's own that say how a model is to be run: how an agent runs is its owner's."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a message: text, or a file. Files of older messages are not even decoded."""

    type: Short
    text: str | None = None
    image_url: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    file: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    input_audio: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    file_url: str | None = None


Content = str | Annotated[tuple[Part, ...], msgspec.Meta(max_length=MAX_ENTRIES)] | None


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the history that a client sends."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Content = None


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One item of the input of a response: a message, or what a model did."""

    type: Short = "message"
    role: Literal["system", "developer", "user", "assistant"] | None = None
    content: Content = None


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is to look."""

    type: Short


class TextOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the text of a response is to look."""

    format: Format | None = None


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation by its name."""

    id: Short


class _Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What both kinds of request have."""

    model: Short
    """The name of an agent."""
    stream: bool | None = None
    user: str | None = None
    """Who speaks through the client: keeps their conversations apart from those of others."""
    safety_identifier: str | None = None
    """The same, under its newer name."""
    metadata: dict[str, str] | None = None
    """`chat` in it names the conversation."""
    tools: tuple[msgspec.Raw, ...] | None = None
    """Refused unless empty."""


class ChatRequest(_Ask, frozen=True, kw_only=True):
    """`POST /v1/chat/completions`."""

    messages: Annotated[tuple[ChatMessage, ...], msgspec.Meta(min_length=1, max_length=MAX_ENTRIES)]
    n: int | None = None
    logprobs: bool | None = None
    modalities: tuple[str, ...] | None = None
    response_format: Format | None = None
    functions: tuple[msgspec.Raw, ...] | None = None
    web_search_options: dict[str, msgspec.Raw] | None = None


class ResponsesRequest(_Ask, frozen=True, kw_only=True):
    """`POST /v1/responses`."""

    input: str | Annotated[tuple[Item, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
    instructions: str | tuple[Item, ...] | None = None
    previous_response_id: str | None = None
    conversation: str | Reference | None = None
    background: bool | None = None
    prompt: dict[str, msgspec.Raw] | None = None
    text: TextOptions | None = None


# --- answers --------------------------------------------------------------------------------------


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """An agent, as clients know models."""

    id: str
    created: int
    """Seconds since 1970."""
    object: Literal["model"] = "model"
    owned_by: str = "ironclaw"


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """The agents that the caller may talk to."""

    data: list[Model]
    object: Literal["list"] = "list"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent said."""

    content: str
    role: Literal["assistant"] = "assistant"
    refusal: None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer."""

    message: Reply
    finish_reason: Literal["stop"] = "stop"
    index: int = 0
    logprobs: None = None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a chat completion. It has no `usage`: what a turn took is the house's."""

    id: str
    created: int
    model: str
    choices: list[Choice]
    object: Literal["chat.completion"] = "chat.completion"


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is new."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class DeltaChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer, as far as it is new."""

    delta: Delta
    finish_reason: Literal["stop"] | None = None
    index: int = 0
    logprobs: None = None


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a streamed chat completion."""

    id: str
    created: int
    model: str
    choices: list[DeltaChoice]
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


class OutputText(msgspec.Struct, frozen=True, kw_only=True):
    """Text of an output message."""

    text: str
    type: Literal["output_text"] = "output_text"
    annotations: tuple[()] = ()
    logprobs: tuple[()] = ()


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """The one message of a response."""

    id: str
    status: Literal["in_progress", "completed"]
    content: list[OutputText]
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"


class ResponseError(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no answer."""

    message: str
    ironclaw_code: str
    """Of the table in docs/reference/errors.md."""
    code: Literal["server_error"] = "server_error"


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response. Its `usage` is null: what a turn took is the house's."""

    id: str
    created_at: int
    status: Literal["in_progress", "completed", "failed"]
    model: str
    conversation: Reference
    """The chat's name, to go on in it."""
    metadata: dict[str, str]
    output: list[Output] = []
    error: ResponseError | None = None
    previous_response_id: str | None = None
    completed_at: int | None = None
    object: Literal["response"] = "response"
    background: Literal[False] = False
    incomplete_details: None = None
    instructions: None = None
    max_output_tokens: None = None
    parallel_tool_calls: Literal[True] = True
    store: Literal[True] = True
    """Kept in the agent's own record; there is no endpoint to read a response again."""
    temperature: None = None
    text: TextOptions = TextOptions(format=Format(type="text"))
    tool_choice: Literal["auto"] = "auto"
    tools: tuple[()] = ()
    top_p: None = None
    truncation: Literal["disabled"] = "disabled"
    usage: None = None
    user: str | None = None


class Happening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a streamed response; which fields it has depends on its type."""

    type: str
    sequence_number: int
    response: Response | None = None
    item: Output | None = None
    part: OutputText | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    delta: str | None = None
    text: str | None = None
    logprobs: tuple[()] | None = None
