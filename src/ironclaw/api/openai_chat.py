"""`POST /v1/chat/completions`: an agent behind the interface that every chat client knows."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from ironclaw.api.endpoint import FILES_BODY_BYTES, Endpoint
from ironclaw.api.openai_answers import Whole, data, stream
from ironclaw.api.openai_bodies import (
    ChatRequest,
    Choice,
    Chunk,
    Completion,
    Delta,
    DeltaChoice,
    Reply,
)
from ironclaw.api.openai_errors import REFUSAL
from ironclaw.api.openai_said import of_chat
from ironclaw.api.openai_turn import Asked, agent_of, begin
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.types import ASGIApp

    from ironclaw.api.endpoint import Call
    from ironclaw.api.openai_turn import Turn


async def complete_chat(call: Call) -> ASGIApp:
    """Say the newest words to the agent; answer with its reply."""
    body: ChatRequest = call.body
    agent = await agent_of(call)
    turn = await begin(call, agent, Asked(of_chat(body)))
    model = body.model
    if body.stream:
        return stream(call, turn, _chunks(turn, model))

    def completion(text: str) -> Completion:
        return Completion(
            id=_id(turn),
            created=turn.created,
            model=model,
            choices=[Choice(message=Reply(content=text))],
        )

    return Whole(call, turn, completion)


async def _chunks(turn: Turn, model: str) -> AsyncGenerator[bytes, None]:
    """The role at once, pieces, the end; an error breaks off without an end."""

    def chunk(choice: DeltaChoice) -> bytes:
        return data(Chunk(id=_id(turn), created=turn.created, model=model, choices=[choice]))

    yield chunk(DeltaChoice(delta=Delta(role="assistant", content="")))
    async with aclosing(turn.pieces()) as pieces:
        async for piece in pieces:
            yield chunk(DeltaChoice(delta=Delta(content=piece)))
    yield chunk(DeltaChoice(delta=Delta(), finish_reason="stop"))
    yield b"data: [DONE]\n\n"


def _id(turn: Turn) -> str:
    return f"chatcmpl-{turn.message.partition('_')[2]}"


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/v1/chat/completions",
        Right.TALK,
        "any",
        "Talk to the agent that `model` names, as OpenAI's API has it",
        complete_chat,
        body=ChatRequest,
        most_bytes=FILES_BODY_BYTES,
        reply=Completion,
        piece=Chunk,
        refusal=REFUSAL,
    ),
)
