r"""Characters that mislead: which they are, what is said of them, and their escapes. Pure.

danger(character)    why it is never shown as itself
script_of, is_form   what a letter is, for whoever looks at words
Findings             the escapes that stand for characters, and the warnings that say so
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Final


def _chars(*ranges: range) -> frozenset[str]:
    return frozenset(chr(point) for points in ranges for point in points)


_GROUPS: Final = (
    (
        "bidirectional controls",
        frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"),
    ),
    ("zero-width characters", frozenset("\u200b\u200c\u200d\u2060\ufeff\u180e")),
    ("tag characters", _chars(range(0xE0000, 0xE0080))),
    (
        "variation selectors",
        _chars(range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0), range(0x180B, 0x1810)),
    ),
    (
        "characters that look like nothing",
        frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\U0001d159\U00016fe4"),
    ),
)
"""Looked at in this order, before the category."""
_CATEGORIES: Final = {
    "Cc": "control characters",
    "Cf": "format characters",
    "Cs": "surrogates",
    "Co": "private characters",
    "Cn": "unassigned characters",
    "Zl": "line and paragraph separators",
    "Zp": "line and paragraph separators",
    "Zs": "odd spaces",
    "Me": "enclosing marks",
}
_CONTROLS: Final = {
    0x00: "NULL",
    0x07: "BELL",
    0x08: "BACKSPACE",
    0x09: "TAB",
    0x0A: "LINE FEED",
    0x0D: "CARRIAGE RETURN",
    0x1B: "ESCAPE",
    0x7F: "DELETE",
    0x9B: "CONTROL SEQUENCE INTRODUCER",
}
_FORMS: Final = frozenset({"<font>", "<wide>", "<narrow>", "<compat>", "<circle>", "<square>"})
_HARMLESS: Final = frozenset("\u0e33\u0eb3\u0edc\u0edd\u00aa\u00ba\u00b5")
"""Everyday letters of Thai and Lao, ordinals, the micro sign: they have another spelling too."""
_WITH_LATIN: Final = frozenset("\u00aa\u00ba\u00b5")
EAST_ASIAN: Final = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"})
"""Written together, and with Latin letters, in ordinary words."""


class Findings:
    """What was found in the texts of one field."""

    def __init__(self) -> None:
        self._escaped: dict[str, dict[str, int]] = {}
        self._noted: dict[str, dict[str, int]] = {}

    def escape(self, character: str, kind: str) -> str:
        """Note a character that is not shown as itself; return what stands for it."""
        _count(self._escaped, kind, name_of(character))
        point = ord(character)
        return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"  # noqa: PLR2004

    def note(self, kind: str, what: str) -> None:
        """Note something that stays as it is."""
        _count(self._noted, kind, what)

    def warnings(self, label: str) -> list[str]:
        """One line for each kind of finding, in ASCII but for what `label` has."""
        return [
            f"{label}: {kind}, shown as escapes: {_told(what)}"
            for kind, what in self._escaped.items()
        ] + [f"{label}: {kind}: {_told(what)}" for kind, what in self._noted.items()]


@functools.lru_cache(maxsize=4096)
def danger(character: str) -> str | None:
    """Kind of a character that is never shown, wherever it stands; None for all others."""
    if " " <= character <= "~":
        return None
    for kind, members in _GROUPS:
        if character in members:
            return kind
    return _CATEGORIES.get(unicodedata.category(character))


@functools.lru_cache(maxsize=4096)
def is_of_word(character: str) -> bool:
    """Whether it is a letter, a mark or a digit that can be seen."""
    return unicodedata.category(character)[0] in "LMN" and danger(character) is None


@functools.lru_cache(maxsize=4096)
def script_of(letter: str) -> str:
    """The first word of its name, which for letters is the script, near enough."""
    if letter.isascii() or letter in _WITH_LATIN:
        return "LATIN"
    first = unicodedata.name(letter, "UNNAMED").partition(" ")[0]
    return first.partition("-")[0]


@functools.lru_cache(maxsize=4096)
def is_form(character: str) -> bool:
    """Whether it is a letter or digit that is another one in another dress."""
    dress = unicodedata.decomposition(character).partition(" ")[0]
    if not dress or character in _HARMLESS:
        return False
    if dress[0] == "<":
        return dress in _FORMS or dress in {"<initial>", "<medial>", "<final>", "<isolated>"}
    return unicodedata.normalize("NFC", character) != character


def name_of(character: str) -> str:
    """Its code point and its Unicode name, in ASCII."""
    point = ord(character)
    named = unicodedata.name(character, _CONTROLS.get(point, ""))
    return f"U+{point:04X} {named}".rstrip()


def _count(kinds: dict[str, dict[str, int]], kind: str, what: str) -> None:
    counts = kinds.setdefault(kind, {})
    counts[what] = counts.get(what, 0) + 1


def _told(counts: dict[str, int]) -> str:
    return ", ".join(what if n == 1 else f"{what} ({n} times)" for what, n in counts.items())
