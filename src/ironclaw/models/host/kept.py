"""What a provider wants back with its model's thoughts, as text that a box can keep. Pure.

The library has it as fields of its parts: an id, a signature or encrypted content, details. Each
part that has any becomes a `Thought`; one of a word or a call stands right before what it is of.
The core seals it before a box sees it (`models.thoughts`), and opens it before it comes back here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from pydantic_ai.messages import TextPart, ThinkingPart, ToolCallPart

from ironclaw_contract.entries import Thought
from ironclaw_contract.limits import MAX_OPAQUE_CHARS, MAX_TEXT_BYTES

_Short = Annotated[str, msgspec.Meta(max_length=512)]


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What belongs to one part of an answer."""

    of: Literal["thought", "word", "call"]
    id: _Short = ""
    signature: str = ""
    details: str = ""
    """JSON text of an object."""


def keep(part: ThinkingPart | TextPart | ToolCallPart) -> Thought:
    """What is to be kept of a part; a thought's text is its own, the others have none."""
    details = _json(part.provider_details)
    match part:
        case ThinkingPart():
            kept = Kept(
                of="thought", id=part.id or "", signature=part.signature or "", details=details
            )
            # Cut, it would not be what was signed.
            is_whole = len(part.content) <= MAX_TEXT_BYTES
            return Thought(
                text=part.content[:MAX_TEXT_BYTES], opaque=_text(kept) if is_whole else ""
            )
        case TextPart():
            return Thought(opaque=_text(Kept(of="word", id=part.id or "", details=details)))
        case ToolCallPart():
            return Thought(opaque=_text(Kept(of="call", id=part.id or "", details=details)))


def has_more(part: TextPart | ToolCallPart, *, by_id: bool) -> bool:
    """Whether a word or a call has anything that its provider wants back.

    Args:
        part: The part.
        by_id: Its id counts: a thought came before, and such items want to be named together.
    """
    return bool(part.provider_details) or (by_id and bool(part.id))


def read(thought: Thought) -> Kept | None:
    """What was kept; None where nothing was, or what stands there is not ours."""
    try:
        return msgspec.json.decode(thought.opaque.encode(), type=Kept)
    except (ValueError, RecursionError):
        return None


def thinking(thought: Thought, kept: Kept, system: str) -> ThinkingPart:
    """The library's part of a thought."""
    return ThinkingPart(
        content=thought.text,
        id=kept.id or None,
        signature=kept.signature or None,
        provider_name=system,
        provider_details=_details(kept),
    )


def give_back(part: TextPart | ToolCallPart, kept: Kept | None, system: str) -> None:
    """Put what was kept back onto the part that it was of."""
    if kept is None or kept.of != ("word" if isinstance(part, TextPart) else "call"):
        return
    part.id = kept.id or None
    part.provider_name = system
    part.provider_details = _details(kept)


def _text(kept: Kept) -> str:
    text = msgspec.json.encode(kept).decode()
    return text if len(text) <= MAX_OPAQUE_CHARS else ""


def _json(details: Mapping[str, Any] | None) -> str:
    if not details:
        return ""
    try:
        return json.dumps(dict(details), ensure_ascii=False)
    except (TypeError, ValueError):  # holds what no protocol could want back
        return ""


def _details(kept: Kept) -> dict[str, Any] | None:
    if not kept.details:
        return None
    try:
        found = json.loads(kept.details)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
