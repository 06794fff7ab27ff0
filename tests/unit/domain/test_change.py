"""A change has one form of bytes, and its hash is of all of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.specs import changes

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, ChangeId, PrincipalId
from ironclaw.domain.change import (
    MAX_CHANGE_BYTES,
    Asker,
    Change,
    as_kept,
    canonical,
    hash_of,
    parse_change,
    state_version,
)
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.changes.tools import SetTools

PLAIN = Change(
    id=ChangeId("chg_a"),
    spec=SetTools(agent=AgentId("agt_a"), add=("read_file",)),
    asker=Asker(principal=PrincipalId("api:ann")),
    created_ms=0,
    expires_ms=60_000,
)


@pytest.mark.parametrize("kind", SPECS)
@settings(
    deadline=None,
    max_examples=30,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_what_is_written_is_what_is_read(kind: str, data: st.DataObject) -> None:
    one = data.draw(changes(kind))

    assert parse_change(canonical(one)) == one
    assert hash_of(parse_change(canonical(one))) == hash_of(one)


def test_half_of_a_character_is_refused_before_it_is_kept() -> None:
    with pytest.raises(UserError) as caught:
        as_kept(msgspec.structs.replace(PLAIN, reason="\ud800"))
    assert caught.value.code is Code.INVALID
    assert as_kept(PLAIN) == PLAIN


def test_every_field_is_in_the_canonical_form_in_order() -> None:
    assert canonical(PLAIN) == (
        b'{"asker":{"agent":null,"principal":"api:ann","session":null},"created_ms":0,'
        b'"despite":null,"expires_ms":60000,"grant_s":null,"id":"chg_a","reason":"",'
        b'"spec":{"add":["read_file"],"agent":"agt_a","kind":"tools","remove":[]},"version":1}'
    )


def test_the_hash_of_a_change_is_no_hash_of_a_state_with_the_same_bytes() -> None:
    assert hash_of(PLAIN) != state_version(msgspec.json.decode(canonical(PLAIN)))
    assert hash_of(PLAIN).startswith("sha256:")


def test_a_state_has_one_version_whatever_its_order() -> None:
    assert state_version({"a": 1, "b": ["x"]}) == state_version({"b": ["x"], "a": 1})
    assert state_version({"a": 1}) != state_version({"a": "1"})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        canonical(PLAIN) + b"\n",
        canonical(PLAIN).replace(b'"reason"', b'"reason":"x","reason"'),
        canonical(PLAIN).replace(b'"version":1', b'"version":2'),
        canonical(PLAIN).replace(b'"version":1', b'"version":1,"x":1'),
        canonical(PLAIN).replace(b'"grant_s":null', b'"grant_s":59'),
        canonical(PLAIN).replace(b"read_file", b"read\\u005ffile"),
    ],
)
def test_any_other_form_is_refused(raw: bytes) -> None:
    with pytest.raises(UserError) as caught:
        parse_change(raw)
    assert caught.value.code is Code.INVALID


def test_size_is_looked_at_before_anything_else() -> None:
    with pytest.raises(UserError) as caught:
        parse_change(b"[" * (MAX_CHANGE_BYTES + 1))
    assert caught.value.code is Code.TOO_LARGE


def test_an_agent_that_asks_is_known_by_its_id() -> None:
    assert not PLAIN.asker.is_agent
    assert Asker(principal=PrincipalId("agent:agt_a"), agent=AgentId("agt_a")).is_agent
