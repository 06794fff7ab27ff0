"""Why a turn's model failed, for people: from the model service to the ledger."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_MOST: Final = 1024
"""Sessions."""
_EACH: Final = 8
"""Turns of one session: a box can name as many as it likes."""


class FailureWords:
    """The newest word of each turn, in memory; without one the usual text is said."""

    def __init__(self) -> None:
        self._words: OrderedDict[str, OrderedDict[str, str]] = OrderedDict()

    def keep(self, session: str, turn: str, word: str) -> None:
        """Keep what people shall be told of a turn; an empty word takes a former one back."""
        words = self._words.get(session)
        if not word:
            if words is not None:
                words.pop(turn, None)
                if not words:
                    del self._words[session]
            return
        if words is None:
            words = self._words[session] = OrderedDict()
            while len(self._words) > _MOST:
                self._words.popitem(last=False)
        words[turn] = word
        while len(words) > _EACH:
            words.popitem(last=False)

    def why(self, session: str, turn: str) -> str:
        """What people are to be told; empty when nobody said. Any thread may ask.

        Trust:
            Which turn a call belongs to is what its box says: a word of another turn of the same
            session is the most that it can have shown.
        """
        words = self._words.get(session)
        return "" if words is None else words.get(turn, "")
