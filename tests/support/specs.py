"""Changes of every kind for property tests, made from the types of the table itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from msgspec import inspect

from ironclaw.core.ids import AgentId, PrincipalId, SessionId
from ironclaw.domain.change import Asker, Change
from ironclaw.domain.changes.table import SPECS

NASTY: Final = (
    "\x00\t\n\r\x1b\x7f\x85\x9b\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u180e\u200b\u200d\u200e"
    "\u2003\u2028\u2029\u202a\u202e\u2060\u2066\u2069\u206a\u2800\u3000\u3164\ue000\ufe0f\ufeff"
    "\uffa0\ufff9\uffff\U000e0041\U000e0100\U000f0000\u0301\u0336\u20dd"
)
"""At least one of each kind that is never shown as itself."""
LOOKALIKE: Final = "\u0430\u0435\u043e\u0440\u0441\u0391\u03bf\u0578\u13a0\uff41\U0001d41a\u0251"

texts: Final = st.text(
    st.one_of(
        st.sampled_from('abcxyz01 -./:@\\"{}u'),
        st.sampled_from(NASTY + LOOKALIKE),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=24,
)
"""Texts that are mostly foul."""


def _string(kind: inspect.StrType) -> st.SearchStrategy[object]:
    if kind.pattern:
        # A pattern can hold more than may be written: both bounds count.
        least, most = kind.min_length or 0, kind.max_length
        return st.from_regex(kind.pattern).filter(
            lambda text: len(text) >= least and (most is None or len(text) <= most)
        )
    return texts.filter(lambda text: len(text) >= (kind.min_length or 0))


def _integer(kind: inspect.IntType) -> st.SearchStrategy[object]:
    return st.integers(0 if kind.ge is None else kind.ge, 2**53 if kind.le is None else kind.le)


def _tuple(kind: inspect.VarTupleType) -> st.SearchStrategy[object]:
    return st.lists(values(kind.item_type), min_size=kind.min_length or 0, max_size=3).map(tuple)


def _struct(kind: inspect.StructType) -> st.SearchStrategy[object]:
    fields = st.fixed_dictionaries({one.name: values(one.type) for one in kind.fields})
    return fields.map(lambda given: kind.cls(**given))


_MAKERS: Final[dict[type[inspect.Type], Callable[..., st.SearchStrategy[object]]]] = {
    inspect.StrType: _string,
    inspect.IntType: _integer,
    inspect.BoolType: lambda _: st.booleans(),
    inspect.NoneType: lambda _: st.none(),
    inspect.LiteralType: lambda kind: st.sampled_from(kind.values),
    inspect.EnumType: lambda kind: st.sampled_from(list(kind.cls)),
    inspect.VarTupleType: _tuple,
    inspect.UnionType: lambda kind: st.one_of(*map(values, kind.types)),
    inspect.Metadata: lambda kind: values(kind.type),
    inspect.StructType: _struct,
}
"""A type that is not here is one that no card has shown yet: it needs a look first."""


def values(kind: inspect.Type) -> st.SearchStrategy[object]:
    """What a type lets in, small."""
    return _MAKERS[type(kind)](kind)


@functools.cache
def specs(kind: str) -> st.SearchStrategy[object]:
    """Specs of one kind."""
    return values(inspect.type_info(SPECS[kind]))


@functools.cache
def changes(kind: str) -> st.SearchStrategy[Change]:
    """Changes of one kind, whoever asks."""
    asker = st.tuples(texts, st.none() | texts, st.none() | texts).map(
        lambda given: Asker(
            principal=PrincipalId(given[0]),
            agent=AgentId(given[1]) if given[1] is not None else None,
            session=SessionId(given[2]) if given[2] is not None else None,
        )
    )
    fields = {
        "id": st.integers(0, 999).map(lambda number: f"chg_{number}"),
        "spec": specs(kind),
        "asker": asker,
        "reason": texts,
        "created_ms": st.integers(0, 2**60),
        "expires_ms": st.integers(0, 2**60),
        "grant_s": st.none() | st.integers(60, 366 * 86_400),
        "despite": st.none() | texts,
    }
    return st.fixed_dictionaries(fields).map(_change)


def _change(given: dict[str, Any]) -> Change:
    return Change(**given)
