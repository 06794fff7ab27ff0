"""Drafts: what has been shown of answers that are still being made, for those who join in between.

Bounded in number and in length; a draft that is dropped costs a late watcher the beginning only, as
the whole answer follows in any case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.core.ids import ChatId, MessageId
    from ironclaw.services.house import ChatEvent

MAX_DRAFTS: Final = 256
"""Answers in the making that are remembered; the oldest goes first."""
MAX_CHARS: Final = 64 * 1024
"""Of one draft; pieces beyond are shown to those who watch already."""


class Drafts:
    """Pieces of answers, put together."""

    def __init__(self) -> None:
        self._drafts: dict[tuple[ChatId, MessageId], ChatEvent] = {}

    def add(self, piece: ChatEvent) -> None:
        """Remember one more piece."""
        key = (piece.chat, piece.message)
        known = self._drafts.get(key)
        if known is None:
            if len(self._drafts) >= MAX_DRAFTS:
                del self._drafts[next(iter(self._drafts))]
            self._drafts[key] = piece
        elif len(known.text) + len(piece.text) <= MAX_CHARS:
            self._drafts[key] = msgspec.structs.replace(piece, text=known.text + piece.text)

    def drop(self, chat: ChatId, message: MessageId) -> None:
        """The answer is there, or will not come. Idempotent."""
        self._drafts.pop((chat, message), None)

    def of(self, chat: ChatId) -> Iterator[ChatEvent]:
        """What a watcher of a chat has missed of the answers that are being made."""
        return (draft for (place, _), draft in self._drafts.items() if place == chat)
