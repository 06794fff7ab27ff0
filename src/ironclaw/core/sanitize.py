"""Makes foreign text safe to show: what would act on a terminal or a reader's eye is made visible.

An agent's words, a chat's title, a log line: all may hold escape sequences that repaint the screen,
bidirectional marks that make text read as something else, and characters nobody sees.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_SHOWN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that are never sent to a terminal: control, format (bidirectional marks and
zero width ones among them), surrogate, private, unassigned, line and paragraph separators."""
_EXTRA: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
"""Letters and marks that look like nothing."""
_SAFE_ASCII: Final = frozenset(map(chr, range(0x20, 0x7F)))


def sanitize(text: str, *, lines: bool = False) -> str:
    """Return `text` with everything that could act on a terminal written as an escape.

    Args:
        text: Anything.
        lines: Keep line feeds and tabs; else they are shown as escapes too.
    """
    kept = _SAFE_ASCII | {"\n", "\t"} if lines else _SAFE_ASCII
    if kept.issuperset(text):
        return text
    return "".join(character if character in kept else _shown(character) for character in text)


def _shown(character: str) -> str:
    if character not in _EXTRA and unicodedata.category(character) not in _SHOWN:
        return character
    point = ord(character)
    if point < 0x100:  # noqa: PLR2004 - fits two digits
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"  # noqa: PLR2004
