"""Cards that were rendered a moment ago, kept: the same change beside the same facts is one card.

A card is made anew for everybody who looks, and the longest takes a third of a second. Without
this, a few long requests of one agent would hold the whole house up whenever somebody lists them.
"""

from __future__ import annotations

import collections
import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.domain.cards import Card, Told, render
from ironclaw.domain.change import canonical

if TYPE_CHECKING:
    from ironclaw.domain.change import Change

MAX_CHARS: Final = 16 * 1024 * 1024
"""Of all cards that are kept together."""


class Rendered:
    """Remembers what `render` made; for one thread."""

    def __init__(self) -> None:
        self._cards: collections.OrderedDict[bytes, tuple[Card, int]] = collections.OrderedDict()
        self._chars = 0

    def render(self, change: Change, told: Told) -> Card:
        """As `domain.cards.render`; what cannot be shown is looked at each time."""
        # The length in front: no part can be read as one of the other.
        body = canonical(change)
        facts = msgspec.json.encode(told, order="sorted")
        key = hashlib.sha256(b"%d\n%b%b" % (len(body), body, facts)).digest()
        if (known := self._cards.get(key)) is not None:
            self._cards.move_to_end(key)
            return known[0]
        card = render(change, told)
        chars = len(msgspec.json.encode(card))
        self._cards[key] = card, chars
        self._chars += chars
        while self._chars > MAX_CHARS:
            self._chars -= self._cards.popitem(last=False)[1][1]
        return card
