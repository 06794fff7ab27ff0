"""What words of closed sets mean, beside the words on a card. Pure.

Only the host's own words are explained: a value is looked up whole, so no foreign text gets one.
"""

from __future__ import annotations

from typing import Final

from ironclaw.domain.model import Engage, Ignored, Partition, SenderScope, UnknownSender
from ironclaw.domain.tools import TOOLS

_STRANGERS: Final[dict[str, str]] = {
    UnknownSender.DROP: "they are turned away",
    UnknownSender.ASK: "they are turned away, and people are asked about them",
    UnknownSender.PUBLIC: "they are let in",
}
_SOLO: Final = {
    "on": "who asks for a change may approve it alone",
    "off": "nobody approves what they asked for themselves",
}
_MEANINGS: Final[dict[str, dict[str, str]]] = {
    **dict.fromkeys(("add", "remove", "tools"), TOOLS),
    "engage": {
        Engage.PATTERN: "messages that the pattern is found in",
        Engage.MENTION: "messages that mention it",
        Engage.MENTION_STICKY: "messages that mention it, and what follows in that thread",
    },
    "sender_scope": {
        SenderScope.ALL: "everybody whom the chat lets in",
        SenderScope.KNOWN: "those who hold a role",
    },
    "ignored": {
        Ignored.DROP: "is forgotten",
        Ignored.ACCUMULATE: "is kept, and told with the next one that it answers",
    },
    "partition": {
        Partition.SHARED: "chat, whoever writes in it",
        Partition.PER_THREAD: "thread of the chat",
        Partition.AGENT_SHARED: "agent, over all such chats of it",
    },
    "strangers": _STRANGERS,
    "policy": _STRANGERS,
    "unknown senders": _STRANGERS,
    "unknown senders of the chat": _STRANGERS,
    "solo": _SOLO,
    "solo mode": _SOLO,
}
"""By the name of a field, or of a part of the state, and its value."""


def meaning_of(key: str, value: object) -> str:
    """What one value of a field means; empty for what is not of a closed set."""
    if isinstance(value, bool):
        value = "on" if value else "off"
    return _MEANINGS.get(key, {}).get(value, "") if isinstance(value, str) else ""
