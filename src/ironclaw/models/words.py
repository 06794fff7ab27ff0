"""Why a turn's model failed, for people: from the model service to the ledger."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_MOST: Final = 1024


class FailureWords:
    """The newest word of each turn, in memory; without one the usual text is said."""

    def __init__(self) -> None:
        self._words: OrderedDict[tuple[str, str], str] = OrderedDict()

    def keep(self, session: str, turn: str, word: str) -> None:
        """Keep what people shall be told of a turn; an empty word takes a former one back."""
        if not word:
            self._words.pop((session, turn), None)
            return
        self._words[session, turn] = word
        while len(self._words) > _MOST:
            self._words.popitem(last=False)

    def why(self, session: str, turn: str) -> str:
        """What people are to be told; empty when nobody said. Any thread may ask.

        Trust:
            Which turn a call belongs to is what its box says: a word of another turn of the same
            session is the most that it can have shown.
        """
        return self._words.get((session, turn), "")
