"""The record chain: what it binds and what it refuses."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_contract.chain import (
    Chain,
    Record,
    Refusal,
    SegmentError,
    canonical,
    record_hash,
)
from ironclaw_contract.hashing import hmac_sha256, sha256
from ironclaw_contract.keys import Direction, derive

KEY = bytes(range(32))


def chain(
    key: bytes = KEY,
    *,
    session: str = "ses_a",
    direction: Direction = Direction.IN,
    epoch: int = 1,
    seq: int = 0,
    last: bytes = b"",
) -> Chain:
    return Chain(key, session=session, direction=direction, epoch=epoch, seq=seq, last=last)


@given(st.lists(st.binary(max_size=20)), st.lists(st.binary(max_size=20)))
def test_canonical_never_joins_two_lists_to_the_same_bytes(a: list[bytes], b: list[bytes]) -> None:
    assert (canonical(*a) == canonical(*b)) == (a == b)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hashing_is_the_standard_one(key: bytes, data: bytes) -> None:
    assert sha256(data) == hashlib.sha256(data).digest()
    assert hmac_sha256(key, data) == hmac.digest(key, data, "sha256")


def test_a_chain_takes_what_its_twin_sealed() -> None:
    writer, reader = chain(), chain()
    for number in range(5):
        record = writer.seal("message", b"%d" % number)
        writer.advance(record)
        reader.check(record)
        reader.advance(record)
    assert (reader.seq, reader.last) == (writer.seq, writer.last) == (5, writer.last)


def test_a_chain_goes_on_from_a_stored_position() -> None:
    writer = chain()
    first = writer.seal("message", b"1")
    writer.advance(first)
    later = chain(seq=1, last=record_hash(first))
    later.check(writer.seal("message", b"2"))


@pytest.mark.parametrize(
    "foreign",
    [
        chain(session="ses_b"),
        chain(direction=Direction.OUT),
        chain(epoch=2),
        chain(bytes(32)),
    ],
    ids=["session", "direction", "epoch", "key"],
)
def test_a_record_of_another_place_is_refused(foreign: Chain) -> None:
    with pytest.raises(SegmentError) as caught:
        chain().check(foreign.seal("message", b"x"))
    assert caught.value.reason in {Refusal.ORDER, Refusal.MAC}


@given(
    st.sampled_from(["seq", "kind", "body", "previous", "mac"]),
    st.integers(0, 31),
    st.integers(1, 255),
)
def test_any_change_of_any_field_is_refused(field: str, place: int, flip: int) -> None:
    record = chain().seal("message", b"a body of thirty-two bytes or more")
    value = getattr(record, field)
    if isinstance(value, int):
        changed: object = value + flip
    elif isinstance(value, str):
        changed = value + chr(flip)
    else:
        changed = value[:place] + bytes([value[place] ^ flip]) + value[place + 1 :]
    with pytest.raises(SegmentError):
        chain().check(record._replace(**{field: changed}))


def test_gap_repeat_and_reorder_are_refused() -> None:
    writer = chain()
    records: list[Record] = []
    for number in range(3):
        records.append(writer.seal("message", b"%d" % number))
        writer.advance(records[-1])
    reader = chain()
    with pytest.raises(SegmentError) as gap:
        reader.check(records[1])
    reader.check(records[0])
    reader.advance(records[0])
    with pytest.raises(SegmentError) as repeat:
        reader.check(records[0])
    with pytest.raises(SegmentError) as reorder:
        reader.check(records[2])
    assert {gap.value.reason, repeat.value.reason, reorder.value.reason} == {Refusal.GAP}


def test_a_record_sealed_on_another_history_is_refused() -> None:
    """Same number, same key: only the predecessor differs."""
    one, other = chain(), chain()
    one.advance(one.seal("message", b"one"))
    other.advance(other.seal("message", b"other"))
    with pytest.raises(SegmentError) as caught:
        one.check(other.seal("message", b"next"))
    assert caught.value.reason is Refusal.ORDER


@pytest.mark.parametrize(("seq", "last"), [(1, b""), (0, b"x"), (-1, b"x")])
def test_half_a_position_is_refused(seq: int, last: bytes) -> None:
    with pytest.raises(ValueError, match="position"):
        chain(seq=seq, last=last)


def test_directions_have_no_key_in_common() -> None:
    into, out = derive(KEY, Direction.IN), derive(KEY, Direction.OUT)
    assert len({*into, *out}) == 4
