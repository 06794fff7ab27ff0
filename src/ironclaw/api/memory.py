"""Memories of agents: look, edit, forget, purge. No change of what an agent is or may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from ironclaw.api.bodies import (
    EditTopic,
    MemoryPurged,
    MemoryText,
    MemoryTopics,
    PurgeMemory,
)
from ironclaw.api.endpoint import Call, Endpoint, Query, encode
from ironclaw.core.ids import SessionId
from ironclaw.domain.rights import Right

if TYPE_CHECKING:
    from ironclaw.services.memory import Memories


def _memories(call: Call) -> Memories:
    return call.parts.house.memories


async def list_topics(call: Call) -> Response:
    """The topics, without what they say."""
    found = await _memories(call).topics(call.path("agent"))
    return encode(MemoryTopics(topics=list(found.topics), whole=found.is_whole))


async def show_topic(call: Call) -> Response:
    """One topic, as Markdown."""
    found = await _memories(call).read(call.path("agent"), call.path("topic"))
    return encode(
        MemoryText(
            text=found.data.decode("utf-8", "replace"),
            digest=found.digest,
            whole=found.is_whole,
            notes=found.notes,
            tainted=found.tainted,
        )
    )


async def edit_topic(call: Call) -> Response:
    """Replace one topic, or make it."""
    body: EditTopic = call.body
    data = body.text.encode()
    await _memories(call).edit(call.path("agent"), call.path("topic"), data, was=body.was or "")
    return Response(status_code=204)


async def forget_topic(call: Call) -> Response:
    """Take one topic away."""
    was = call.text("was") or ""
    await _memories(call).edit(call.path("agent"), call.path("topic"), None, was=was)
    return Response(status_code=204)


async def purge(call: Call) -> Response:
    """Take away what came from one session."""
    body: PurgeMemory = call.body
    done = await _memories(call).purge(call.path("agent"), SessionId(body.session))
    return encode(MemoryPurged(notes=done.notes, whole=done.is_whole))


ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/agents/{agent}/memory",
        Right.READ,
        "agent",
        "List the topics of an agent's memory",
        list_topics,
        reply=MemoryTopics,
    ),
    Endpoint(
        "GET",
        "/v1/agents/{agent}/memory/{topic}",
        Right.READ,
        "agent",
        "Show a topic of an agent's memory",
        show_topic,
        reply=MemoryText,
    ),
    Endpoint(
        "PUT",
        "/v1/agents/{agent}/memory/{topic}",
        Right.OPERATE,
        "agent",
        "Replace a topic of an agent's memory, or make it",
        edit_topic,
        body=EditTopic,
        status=204,
    ),
    Endpoint(
        "DELETE",
        "/v1/agents/{agent}/memory/{topic}",
        Right.OPERATE,
        "agent",
        "Forget a topic of an agent's memory",
        forget_topic,
        status=204,
        query=(
            Query("was", "`digest` of what is to be forgotten; whatever is there if left out."),
        ),
    ),
    Endpoint(
        "POST",
        "/v1/agents/{agent}/memory/purge",
        Right.OPERATE,
        "agent",
        "Take the notes of one session out of an agent's memory",
        purge,
        body=PurgeMemory,
        reply=MemoryPurged,
    ),
)
