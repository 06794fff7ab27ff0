"""What is wrong with a body is said in words, whatever the body is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.api.bodies import SubmitChange
from ironclaw.api.endpoint import decode
from ironclaw.api.misfits import in_words
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PERSONA = {"kind": "persona", "agent": "demo", "persona": "x"}
_MADE = {"kind": "agent.create", "name": "new"}
_GIVEN = {"kind": "role.give", "principal": "api:ann", "role": "member"}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"change": _PERSONA, "grant_s": 5},
            "`grant_s` (`--for`) must be at least 60 seconds",
        ),
        ({"change": _PERSONA, "grant_s": 10**9}, "`grant_s` (`--for`) must be at most 366 days"),
        (
            {"change": _PERSONA, "grant_s": "8h"},
            "`grant_s` (`--for`) must be a whole number or null, not text",
        ),
        ({"change": _MADE | {"pool_size": 65}}, "`change.pool_size` must be at most 64"),
        (
            {"change": _MADE | {"name": "Bad_Name"}},
            "`change.name` must be a name of a-z, 0-9 and '-', with no '-' at either end, at most",
        ),
        ({"change": _GIVEN | {"role": "king"}}, "`change.role` cannot be 'king': it is one of "),
        ({}, "`change` is missing"),
        ({"change": {"kind": "persona", "agent": "demo"}}, "`change.persona` is missing"),
        ({"change": _PERSONA | {"more": 1}}, "`change` has no field `more`"),
        ({"change": _PERSONA, "more": 1}, "the body has no field `more`"),
        ([], "the body must be an object, not a list"),
        (
            {"change": {"kind": "tools", "agent": "demo", "add": [1]}},
            "`change.add[0]` must be text, not a whole number",
        ),
        ({"change": _PERSONA, "reason": "x" * 2001}, "`reason` must have at most 2000 characters"),
        ({"change": {"kind": "everything"}}, "`change.kind` must be one of agent.archive, "),
        ({"change": {"kind": 5}}, "`change.kind` must be one of agent.archive, "),
        ({"change": {}}, "`change.kind` must be one of agent.archive, "),
    ],
)
def test_a_misfit_is_told_in_words(body: Any, told: str) -> None:
    with pytest.raises(UserError) as error:
        decode(SubmitChange, json.dumps(body).encode())

    assert error.value.message.startswith(f"The body does not fit: {told}")


@pytest.mark.parametrize("text", ["", "Something new - at `$.text`", "Something new"])
def test_what_has_no_words_is_told_as_it_is(text: str) -> None:
    assert in_words(text) == text


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(
    kind=st.sampled_from(["persona", "tools", "role.give", "agent.create", "limits", "task.add"]),
    fields=st.dictionaries(
        st.sampled_from(["agent", "persona", "add", "role", "name", "pids", "at_ms", "more"]),
        _VALUES,
    ),
    grant_s=_VALUES,
)
def test_no_misfit_of_a_change_is_told_in_the_decoders_words(
    kind: str, fields: Mapping[str, Any], grant_s: Any
) -> None:
    raw = msgspec.json.encode({"change": {"kind": kind, **fields}, "grant_s": grant_s})

    message = _refusal(raw)

    assert "Expected" not in message
    assert " - at `$" not in message


def _refusal(raw: bytes) -> str:
    try:
        decode(SubmitChange, raw)
    except UserError as error:
        return error.message
    return ""
