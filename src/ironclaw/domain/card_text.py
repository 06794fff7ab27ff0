"""Values as lines of a card, and what differs between two of them. Pure.

flat(key, value)          (place, plain value) for everything inside a field
items(name, value, …)     one value as things to show: host words bare, foreign strings quoted,
                          texts in somebody's words row by row
compared(before, after)   the things that only one of the two has, in order
"""

from __future__ import annotations

import datetime as dt
import difflib
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.domain.meanings import meaning_of
from ironclaw.domain.spending import money
from ironclaw.domain.visible import prose, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ironclaw.domain.characters import Findings

    Plain = str | int | Sequence["Plain"] | Mapping[str, "Plain"] | None
    """What `msgspec.to_builtins` makes of the fields of a change."""

_UNITS: Final = (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
_KIB: Final = 1024
LAST_MS: Final = 253_402_300_799_999
"""Of the year 9999."""


class Item(NamedTuple):
    """One line to show."""

    what: str
    """Where in the value it is: `item`, `line`, or empty for the whole."""
    text: str
    foreign: bool = False
    """Whether it is a row of a foreign text as it is."""


def flat(place: str, value: Plain) -> Iterator[tuple[str, Plain]]:
    """Everything inside a value with its place: `policy.approvers[0].roles[1]`."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from flat(f"{place}.{key}", inner)
    elif isinstance(value, list | tuple) and value:
        for at, inner in enumerate(value):
            yield from flat(f"{place}[{at}]", inner)
    else:
        yield place, value


def plain(key: str, value: Plain, findings: Findings) -> str:
    """One plain value in one line. The end of `key` says its unit (`_ms`, `_s`, `_bytes`)."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return amount(key, value)
    if isinstance(value, str):
        return quoted(value, findings)
    return "empty"


def explained(key: str, value: Plain, findings: Findings) -> str:
    """The same, with what it means where the host knows: a tool, a word of a closed set."""
    meaning = meaning_of(key, value)
    shown = plain(key, value, findings)
    return f"{shown} ({meaning})" if meaning else shown


def items(value: Plain, findings: Findings, *, key: str, is_prose: bool) -> list[Item]:
    """A value of a state, or a text, as the lines that stand for it."""
    if is_prose and isinstance(value, str):
        if not value:
            return [Item("", "empty")]
        return [Item("line", row, foreign=True) for row in prose(value, findings)]
    if isinstance(value, list | tuple) and value:
        return [Item("item", explained(key, one, findings)) for one in value]
    return [Item("", explained(key, value, findings))]


def compared(before: Sequence[Item], after: Sequence[Item]) -> Iterator[tuple[bool, int, Item]]:
    """What only one side has: (whether it is new, its number from 1, the thing)."""
    matcher = difflib.SequenceMatcher(None, before, after)
    for tag, old, old_end, new, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for at in range(old, old_end):
            yield False, at + 1, before[at]
        for at in range(new, new_end):
            yield True, at + 1, after[at]


def moment(at_ms: int) -> str:
    """A time for people, to the second; what no calendar has is shown as it is."""
    if not 0 <= at_ms <= LAST_MS:
        return f"{at_ms} ms after 1970"
    return f"{dt.datetime.fromtimestamp(at_ms // 1000, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(seconds: int) -> str:
    """A time in the largest unit that fits exactly: `3 days`."""
    for name, size in _UNITS:
        if seconds % size == 0 and (seconds >= size or size == 1):
            count = seconds // size
            return f"{count} {name[:-1] if count == 1 else name}"
    return f"{seconds} seconds"


def amount(key: str, value: int) -> str:
    """A number with its unit in words, where the end of `key` says one and it comes out even."""
    if key.endswith("_ms") and 0 <= value <= LAST_MS:
        return f"{value} ({moment(value)})"
    if key.endswith("_s") and value >= _UNITS[-2][1] and value % _UNITS[-2][1] == 0:
        return f"{value} ({span(value)})"
    if key.startswith("money_"):
        return f"{value} ({money(value, 'of the currency of this house')})"
    if key.endswith("_bytes") and value >= _KIB * _KIB and value % (_KIB * _KIB) == 0:
        return f"{value} ({value // (_KIB * _KIB)} MiB)"
    return str(value)
