"""What a decoder finds wrong with a body, in plain words.

Its own texts speak of types and of paths: `Expected `int` >= 60 - at `$.grant_s``. People are told
which field it is, as the command line calls it where that differs, and what it must be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ironclaw.api.bodies import RULES
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.model import (
    Engage,
    Ignored,
    Partition,
    Role,
    SenderScope,
    UnknownSender,
)
from ironclaw.domain.tokens import Scope

if TYPE_CHECKING:
    import enum

_PLACE: Final = re.compile(
    r"(?P<what>.*?)(?: - at `(?:key in )?\$\.?(?P<place>[^`]*)`)?", re.DOTALL
)
_KIND: Final = re.compile(r"Invalid value '.*'|Expected `str`.*", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_LENGTH: Final = re.compile(
    r"Expected `(?P<kind>str|array)` of length (?P<sign>>=|<=) (?P<bound>\d+)"
)
_BOUND: Final = re.compile(r"Expected `(?:int|float)` (?P<sign>>=|<=) (?P<bound>-?\d+)")
_TYPE: Final = re.compile(r"Expected `(?P<kinds>[a-z |]+)`, got `(?P<found>[a-z]+)`")
_CHOICE: Final = re.compile(r"Invalid enum value '?(?P<found>.*?)'?", re.DOTALL)

_AS_TYPED: Final = {
    "grant_s": "`--for`",
    "at_ms": "`--at`",
    "ttl_s": "`--ttl-s`",
    "words": "`--because`",
    "platform_id": "the chat",
}
"""How the command line calls a field, where it has another name there."""

_TYPES: Final = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_CHOICES: Final[dict[str, type[enum.StrEnum]]] = {
    "role": Role,
    "scopes": Scope,
    "engage": Engage,
    "ignored": Ignored,
    "partition": Partition,
    "sender_scope": SenderScope,
    "strangers": UnknownSender,
}
"""Words that a field may have, by its name."""

_DAY_S: Final = 86_400
_SHOWN_CHARS: Final = 80


def in_words(text: str) -> str:
    """A decoder's finding in plain words; as it is where there are none for it.

    Trust:
        A finding can quote the body, so what is quoted is foreign; it is cut short.
    """
    if (split := _PLACE.fullmatch(text)) is None:
        return text
    what, place = split["what"], split["place"] or ""
    if place == "change.kind" and _KIND.fullmatch(what):
        return _kinds()
    return _amiss(what, place) or text


def _amiss(what: str, place: str) -> str | None:
    """What is wrong with a place; None where there are no words for it."""
    if found := _MISSING.fullmatch(what):
        name = f"{place}.{found['name']}".lstrip(".")
        return _kinds() if name == "change.kind" else f"{_field(name)} is missing"
    if found := _UNKNOWN.fullmatch(what):
        return f"{_field(place)} has no field `{found['name'][:_SHOWN_CHARS]}`"
    if found := _CHOICE.fullmatch(what):
        return f"{_field(place)} cannot be {found['found'][:_SHOWN_CHARS]!r}{_choices(place)}"
    told = _must(what, place)
    return None if told is None else f"{_field(place)} {told}"


def _must(what: str, place: str) -> str | None:
    """What a field must be; None where there are no words for it."""
    if found := _LENGTH.fullmatch(what):
        if (found["sign"], found["bound"]) == (">=", "1"):
            return "is empty"
        unit = "characters" if found["kind"] == "str" else "entries"
        return f"must have {_sign(found['sign'])} {found['bound']} {unit}"
    if found := _BOUND.fullmatch(what):
        return f"must be {_sign(found['sign'])} {_amount(int(found['bound']), _name(place))}"
    if found := _TYPE.fullmatch(what):
        kinds = [_TYPES.get(kind, kind) for kind in found["kinds"].split(" | ")]
        return f"must be {' or '.join(kinds)}, not {_TYPES.get(found['found'], found['found'])}"
    for pattern, words in RULES.items():
        if what == f"Expected `str` matching regex {pattern!r}":
            return f"must be {words}"
    return None


def _kinds() -> str:
    return f"`change.kind` must be one of {', '.join(sorted(SPECS))}"


def _field(place: str) -> str:
    if not place:
        return "the body"
    typed = _AS_TYPED.get(_name(place))
    return f"`{place}`" if typed is None else f"`{place}` ({typed})"


def _name(place: str) -> str:
    """The field's own name, without where it is."""
    return place.rpartition(".")[2].partition("[")[0]


def _choices(place: str) -> str:
    words = _CHOICES.get(_name(place))
    return "" if words is None else f": it is one of {', '.join(words)}"


def _sign(sign: str) -> str:
    return "at least" if sign == ">=" else "at most"


def _amount(number: int, name: str) -> str:
    if not name.endswith("_s"):
        return f"{number:,}"
    if number and number % _DAY_S == 0:
        return f"{number // _DAY_S} days"
    return f"{number:,} seconds"
