"""What was said in a conversation, as people read it: words, files, questions, and where they went.

What stands at the edge is the host's own; words of people and agents are set in, so that none of
them can look like it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ironclaw.cli import render
from ironclaw.cli.nouns.daemon import when
from ironclaw.cli.nouns.files import told
from ironclaw.domain.questions import as_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.cli.nouns.places import Places


def show(events: Iterable[dict[str, Any]], known: Places) -> None:
    """Show events of a transcript: who, what, and the host's lines about it."""
    for event in events:
        render.edge(f"{when(event['at_ms'])} {event['kind']} {event['sender']}", tone="dim")
        if sent_to := event.get("sent_to"):
            render.edge(f"[sent to] {_place(sent_to, known)}")
        text = as_text(event["text"], event["options"], free_text=event["free_text"])
        if text:
            render.inset(text)
        if event["question"]:
            render.line(f"[question] {event['question']}")
        for line in told(event["files"]):
            render.edge(line)


def _place(sent_to: dict[str, str], known: Places) -> str:
    """A destination by its name and its place; by the place alone when the agent has it no more."""
    place = known.told(sent_to["channel"], sent_to["platform_id"])
    return f"{sent_to['name']} ({place})" if sent_to["name"] else place
