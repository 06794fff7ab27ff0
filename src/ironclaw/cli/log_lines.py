"""Lines of the daemon's log for people and for programs: an object each, or one plain line each."""

from __future__ import annotations

import json
from typing import Any, Final

_FIRST: Final = ("timestamp", "level", "part", "event")
_NAMES: Final = 40
"""Fields of one line that are shown; ours have far fewer."""


def parse_line(line: str) -> dict[str, Any]:
    """One line as an object; one that is none (`log.form = "text"`, a crash) has only `text`."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    # One without a word says nothing to a program either.
    return found if isinstance(found, dict) and found else {"text": line}


def in_words(line: str) -> str:
    """One line for people: when, how bad, where, what; then the rest as `name=value`."""
    entry = parse_line(line)
    if "event" not in entry:
        return line
    when, level, part, event = (str(entry.pop(name, "-")) for name in _FIRST)
    rest = [f"{name}={_plain(value)}" for name, value in list(entry.items())[:_NAMES]]
    return " ".join([f"{when[:19].replace('T', ' ')}Z", f"{level:7}", f"{part:9}", event, *rest])


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value if value and not set(value) & set(' "=') else json.dumps(value)
    return json.dumps(value, default=str)
