"""How well a text answers words that somebody looks for: the same for notes and conversations.

Whole words count most, then beginnings of words, then anything inside one. A text that has all of
the words stands before each that has some. No index: the texts are few, or sealed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_WORDS: Final = 16
_ALL: Final = 1000.0
"""More than any words together."""
_LIGHT_CHARS: Final = 3
_LIGHT: Final = 0.25
"""What so short a word counts: most of them are in every text."""
_MOST_TIMES: Final = 10


def query_words(query: str) -> tuple[str, ...]:
    """The words of a query, each once; the first `MAX_WORDS`."""
    spaced = "".join(letter if letter.isalnum() else " " for letter in query.casefold())
    return tuple(dict.fromkeys(spaced.split()))[:MAX_WORDS]


def score(words: Sequence[str], text: str, *, title: str = "") -> float:
    """How well a text answers; 0.0 when it has none of the words.

    Args:
        words: As `query_words` has them.
        text: The text, as it is written.
        title: What it is filed under, if anything: a word in it counts as well, and for more.
    """
    folded, heading = text.casefold(), title.casefold()
    total, hits = 0.0, 0
    for word in words:
        found = _quality(word, folded) + 1.5 * _quality(word, heading)
        hits += found > 0
        total += found * (_LIGHT if len(word) <= _LIGHT_CHARS else 1.0)
    return total + _ALL if words and hits == len(words) else total


def excerpt(words: Sequence[str], text: str, *, chars: int) -> str:
    """A part of the text, about the first place where one of the words is."""
    if len(text) <= chars:
        return text
    folded = text.casefold()
    places = [place for place in map(folded.find, words) if place >= 0]
    begin = max(0, min(min(places, default=0) - chars // 4, len(text) - chars))
    before, after = "…" * (begin > 0), "…" * (begin + chars < len(text))
    return f"{before}{text[begin : begin + chars]}{after}"


def _quality(word: str, text: str) -> float:
    best, times = 0.0, 0
    place = text.find(word)
    while place >= 0 and times < _MOST_TIMES:
        end = place + len(word)
        begins = place == 0 or not text[place - 1].isalnum()
        ends = end == len(text) or not text[end].isalnum()
        best = max(best, (1.0 if ends else 0.7) if begins else 0.3)
        times += 1
        place = text.find(word, end)
    return best + times / 20 if times else 0.0
