"""Splitting a long text into parts that a platform takes. Pure."""

from __future__ import annotations

from typing import Final

_BREAKS: Final = ("\n\n", "\n", ". ", " ")
"""Where to cut, best first."""


def split_text(text: str, limit: int) -> list[str]:
    """Cut `text` into parts of at most `limit` characters, at the best break of each part.

    Nothing but the white space at a cut is lost; a text that fits is returned as it is.

    Args:
        text: What to say.
        limit: Characters, at least 1.
    """
    parts: list[str] = []
    rest = text
    while len(rest) > limit:
        cut = _cut(rest, limit)
        part, rest = rest[:cut].rstrip(), rest[cut:].lstrip()
        if part:
            parts.append(part)
    if rest or not parts:
        parts.append(rest)
    return parts


def _cut(text: str, limit: int) -> int:
    for mark in _BREAKS:
        # A part that is nearly empty reads worse than a cut at a lesser break.
        kept = len(mark.rstrip())
        found = text.rfind(mark, limit // 2, limit + len(mark) - kept)
        if found > 0:
            return found + kept
    return limit
