"""`POST /v1/responses`: the same conversation as chat completions have, in the newer interface."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import msgspec

from ironclaw.api.endpoint import FILES_BODY_BYTES, Endpoint
from ironclaw.api.openai_answers import Whole, data, stream
from ironclaw.api.openai_bodies import (
    Happening,
    Output,
    OutputText,
    Reference,
    Response,
    ResponseError,
    ResponsesRequest,
)
from ironclaw.api.openai_chats import response_id
from ironclaw.api.openai_errors import REFUSAL
from ironclaw.api.openai_said import of_response
from ironclaw.api.openai_turn import Asked, agent_of, begin
from ironclaw.core.errors import IronClawError
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import ASGIApp

    from ironclaw.api.endpoint import Call
    from ironclaw.api.openai_turn import Turn


async def create_response(call: Call) -> ASGIApp:
    """Say the newest words to the agent; answer with its reply."""
    body: ResponsesRequest = call.body
    agent = await agent_of(call)
    named = body.conversation.id if isinstance(body.conversation, Reference) else body.conversation
    asked = Asked(of_response(body), names=(named,), previous=body.previous_response_id)
    turn = await begin(call, agent, asked)
    begun = Response(
        id=response_id(turn.place.chat, turn.message),
        created_at=turn.created,
        status="in_progress",
        model=body.model,
        conversation=Reference(id=turn.place.name),
        metadata=body.metadata or {},
        previous_response_id=body.previous_response_id,
        user=body.user,
    )
    call = call._replace(body=None)
    if body.stream:
        return stream(call, turn, _happenings(call, turn, begun))
    return Whole(call, turn, lambda text: _completed(call, turn, begun, text))


def _completed(call: Call, turn: Turn, begun: Response, text: str) -> Response:
    return msgspec.structs.replace(
        begun,
        status="completed",
        completed_at=call.parts.clock.now_ms() // 1000,
        output=[_output(turn, "completed", [OutputText(text=text)])],
    )


def _output(
    turn: Turn, status: Literal["in_progress", "completed"], content: list[OutputText]
) -> Output:
    return Output(id=turn.message, status=status, content=content)


async def _happenings(call: Call, turn: Turn, begun: Response) -> AsyncGenerator[bytes, None]:
    """The events of one message in the order that clients rely on.

    Source: OpenAI's API reference, "Streaming events" of Responses.
    """
    number = -1

    def line(kind: str, happening: Happening) -> bytes:
        nonlocal number
        number += 1
        told = msgspec.structs.replace(happening, type=kind, sequence_number=number)
        return data(told, event=kind)

    blank = Happening(type="", sequence_number=0)
    item = msgspec.structs.replace(blank, output_index=0)
    part = msgspec.structs.replace(item, item_id=turn.message, content_index=0)
    of_text = msgspec.structs.replace(part, logprobs=())

    yield line("response.created", msgspec.structs.replace(blank, response=begun))
    yield line("response.in_progress", msgspec.structs.replace(blank, response=begun))
    empty = _output(turn, "in_progress", [])
    yield line("response.output_item.added", msgspec.structs.replace(item, item=empty))
    yield line(
        "response.content_part.added", msgspec.structs.replace(part, part=OutputText(text=""))
    )
    shown: list[str] = []
    try:
        async with aclosing(turn.pieces()) as pieces:
            async for piece in pieces:
                shown.append(piece)
                told = msgspec.structs.replace(of_text, delta=piece)
                yield line("response.output_text.delta", told)
    except IronClawError as error:
        call.parts.metrics.error(error.code)
        failed = msgspec.structs.replace(begun, status="failed", error=_why(error))
        yield line("response.failed", msgspec.structs.replace(blank, response=failed))
        return
    text = "".join(shown)
    done = _completed(call, turn, begun, text)
    (output,) = done.output
    yield line("response.output_text.done", msgspec.structs.replace(of_text, text=text))
    yield line("response.content_part.done", msgspec.structs.replace(part, part=output.content[0]))
    yield line("response.output_item.done", msgspec.structs.replace(item, item=output))
    yield line("response.completed", msgspec.structs.replace(blank, response=done))


def _why(error: IronClawError) -> ResponseError:
    return ResponseError(message=f"{error.message} {error.hint}".strip(), ironclaw_code=error.code)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/responses",
        Right.TALK,
        "any",
        "Talk to the agent that `model` names, as OpenAI's API has it",
        create_response,
        body=ResponsesRequest,
        most_bytes=FILES_BODY_BYTES,
        reply=Response,
        piece=Happening,
        refusal=REFUSAL,
    ),
)
