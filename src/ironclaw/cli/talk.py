"""Says something to an agent and plays what comes back, piece by piece."""

from __future__ import annotations

import itertools
import secrets
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ironclaw.cli.client import Client

_TAIL: Final = 200
SILENCE_S: Final = 60.0
"""Longest silence between events; heartbeats come more often."""


class Spoken(NamedTuple):
    """Something an agent said."""

    kind: str
    """`notice` (about an earlier message), `progress`, `doing`, `thinking`, `said`, `reply`,
    `error` or `question`: then its turn waits for an answer."""
    text: str
    chat: str
    session: str
    message: str
    code: str = ""
    """Why, for an `error`."""
    question: str = ""
    """Id of a `question`."""
    options: tuple[str, ...] = ()
    free_text: bool = True
    files: tuple[dict[str, Any], ...] = ()
    """What goes with a `reply`, or with what is `said` before it."""
    event: int = 0
    """Its number in the chat; 0 for what is not kept."""


def send(
    client: Client,
    agent: str,
    chat: str,
    text: str,
    *,
    thread: str | None,
    files: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Hand a message over; returns what became of it.

    Args:
        client: To the daemon.
        agent: By name or id.
        chat: Its name.
        text: What to say; may be empty where there are files.
        thread: In the chat; None for the chat itself.
        files: As `nouns.files.to_send` makes them.

    Raises:
        UserError: `CONFLICT`, when the message reached nobody.
    """
    body: dict[str, Any] = {"text": text, "thread": thread, "external_id": secrets.token_hex(16)}
    if files:
        body["files"] = list(files)
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

    What the host said meanwhile of a message that had its answer comes too, as a `notice`: a box
    that ended after its reply would else be ended without a word.

    Raises:
        HostError: The stream ended before the reply.
    """
    message = sent["message"]
    # From a little before the message: what the host said since the last reply is news as well.
    after = max(0, sent["event"] - _TAIL)
    said: list[dict[str, Any]] = []
    answered: set[str] = set()
    for event in client.stream(
        "v1", "chats", sent["chat"], "events", after=after, timeout_s=SILENCE_S
    ):
        data = event.data
        if 0 < data["id"] <= sent["event"]:
            said.append(data)
            if data["id"] == sent["event"]:
                replies = [one for one in said if one["kind"] == "reply"]
                answered = {name for one in replies for name in _belongs_to(one)}
                for told in _notices(said, sent):
                    yield _notice(told, sent)
            continue
        if message not in _belongs_to(data):
            if data["kind"] == "error" and data.get("message") in answered:
                yield _notice(data, sent)
            continue
        if data["kind"] == "message":
            continue
        yield spoken(data)._replace(session=sent["session"], message=message)
        if data["kind"] in {"reply", "question", "error"}:
            return
    raise HostError(
        Code.UNAVAILABLE,
        "The daemon ended before the reply came.",
        hint="`ironclaw session transcript` shows the reply once it is there.",
    )


def spoken(event: dict[str, Any]) -> Spoken:
    """An event of a chat as something that was said."""
    return Spoken(
        event["kind"],
        event["text"],
        event["chat"],
        event["session"],
        event["message"],
        code=event.get("code", ""),
        question=event.get("question") or "",
        options=tuple(event.get("options", ())),
        free_text=event.get("free_text", True),
        files=tuple(event.get("files", ())),
        event=event["id"],
    )


def _notice(event: dict[str, Any], sent: dict[str, Any]) -> Spoken:
    """What the host said of an earlier message, told with the one that was sent."""
    return spoken(event)._replace(kind="notice", session=sent["session"], message=sent["message"])


def _notices(said: list[dict[str, Any]], sent: dict[str, Any]) -> list[dict[str, Any]]:
    """What the host said in this chat after the last reply and before the message that was sent."""
    here = [event for event in said if event["chat"] == sent["chat"]]
    before = list(itertools.takewhile(lambda event: not _is_own(event, sent), here))
    errors = list(itertools.takewhile(lambda event: event["kind"] == "error", reversed(before)))
    last = before[-len(errors) - 1] if len(errors) < len(before) < len(here) else None
    if last is None or last["kind"] != "reply":
        # An error right behind a message was its answer: whoever sent it has seen it.
        return []
    return [event for event in reversed(errors) if event["message"] == last["message"]]


def _belongs_to(event: dict[str, Any]) -> set[str]:
    """Messages that an event belongs to: its own, and those that joined the same turn."""
    return {event["message"], *event.get("answers", ())}


def _is_own(event: dict[str, Any], sent: dict[str, Any]) -> bool:
    return event["kind"] == "message" and bool(event["message"] == sent["message"])
