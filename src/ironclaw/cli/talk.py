"""Says something to an agent and plays what comes back, piece by piece."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.cli.client import Client

_TAIL: Final = 200
SILENCE_S: Final = 60.0
"""Longest silence between events; heartbeats come more often."""


class Spoken(NamedTuple):
    """Something an agent said."""

    kind: str
    """`progress`, `reply` or `error`."""
    text: str
    chat: str
    session: str
    message: str
    code: str = ""
    """Why, for an `error`."""


def send(client: Client, agent: str, chat: str, text: str, *, thread: str | None) -> dict[str, Any]:
    """Hand a message over; returns what became of it.

    Raises:
        UserError: `CONFLICT`, when the message reached nobody.
    """
    body = {"text": text, "thread": thread, "external_id": secrets.token_hex(16)}
    sent: dict[str, Any] = client.call(
        "POST", "v1", "agents", agent, "chats", chat, "messages", body=body
    )
    if sent["status"] == "ignored":
        raise UserError(
            Code.CONFLICT,
            f"The message did not engage the agent ({sent['reason']}).",
            hint="`ironclaw wiring list` shows who listens to what.",
        )
    return sent


def hear(client: Client, sent: dict[str, Any]) -> Iterator[Spoken]:
    """Play pieces, then the reply (or the error) to a message that was sent.

    Raises:
        HostError: The stream ended before the reply.
    """
    message, session = sent["message"], sent["session"]
    said = client.get("v1", "sessions", session, "transcript", query=f"limit={_TAIL}")["events"]
    # The message's own event: everything after it is news, whenever it happened.
    after = max(
        (
            event["id"]
            for event in said
            if event["message"] == message and event["kind"] == "message"
        ),
        default=0,
    )
    for event in client.stream(
        "v1", "chats", sent["chat"], "events", after=after, timeout_s=SILENCE_S
    ):
        data = event.data
        if data.get("message") != message or data["kind"] == "message":
            continue
        code = data.get("code", "")
        yield Spoken(data["kind"], data["text"], sent["chat"], session, message, code)
        if data["kind"] in {"reply", "error"}:
            return
    raise HostError(
        Code.UNAVAILABLE,
        "The daemon ended before the reply came.",
        hint="`ironclaw session transcript` shows the reply once it is there.",
    )
