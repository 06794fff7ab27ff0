"""HTML in which text cannot become markup: only what `tag` made is, everything else is escaped.

Control characters, bidirectional marks and invisible letters are written out before that, as the
terminal's renderer does, so an outcome in a box's own words cannot make the page read otherwise.
"""

from __future__ import annotations

import html
from typing import Final

from ironclaw.core.sanitize import sanitize

_VOID: Final = frozenset({"meta", "input"})


class Html(str):
    """Finished markup. Adding text to it gives plain text again, which is escaped."""

    __slots__ = ()


def text(value: str) -> Html:
    """Make any text safe between tags and in quoted attributes."""
    return Html(html.escape(sanitize(value), quote=True))


def tag(name: str, /, *inside: str, **attributes: str) -> Html:
    """Make one element.

    Args:
        name: Its name.
        inside: What is in it: `Html` as it is, other text escaped.
        attributes: A trailing `_` is dropped, others are written as `-` (`class_`, `data_group`).
    """
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(value)}"' for key, value in attributes.items()
    )
    if name in _VOID:
        return Html(f"<{name}{words}>")
    return Html(f"<{name}{words}>{joined(*inside)}</{name}>")


def prose(value: str) -> Html:
    """Make text safe, with what stands between backticks as code."""
    pieces = value.split("`")
    if len(pieces) % 2 == 0:
        return text(value)
    return joined(*(tag("code", piece) if at % 2 else piece for at, piece in enumerate(pieces)))


def joined(*parts: str) -> Html:
    """Put parts one after the other, escaping those that are text."""
    return Html("".join(part if isinstance(part, Html) else text(part) for part in parts))
