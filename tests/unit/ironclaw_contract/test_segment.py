"""Sealed segments: round trips, limits, and that any SQLCipher 4 tool opens one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlcipher3
from hypothesis import given, settings
from hypothesis import strategies as st

from ironclaw_contract.chain import Chain, Refusal, SegmentError
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Answered, Said
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import MAX_BODY_BYTES, MAX_RECORDS, MAX_SEGMENT_BYTES
from ironclaw_contract.records import (
    ContractError,
    History,
    InboundBody,
    Message,
    Say,
    Setup,
    TurnEnd,
)
from ironclaw_contract.segment import (
    SCHEMA,
    read_inbound,
    read_outbound,
    read_records,
    seal_all,
    seal_segment,
    write_records,
)

if TYPE_CHECKING:
    from pathlib import Path

SESSION_KEY = bytes(range(32))
IN = derive(SESSION_KEY, Direction.IN)
OUT = derive(SESSION_KEY, Direction.OUT)

texts = st.text(max_size=300)
idents = st.from_regex(r"\A[A-Za-z0-9_:.\-]{1,64}\Z")
bodies = st.lists(
    st.one_of(
        st.builds(Message, message=idents, sender=st.text(max_size=50), text=texts,
                  at_ms=st.integers(0, 2**53), engage=st.booleans()),
        st.builds(Setup, agent=st.text(max_size=50), persona=texts, tools=st.just(("memory",))),
        st.builds(History, entries=st.lists(st.builds(
            Said, message=idents, sender=st.just("a"), text=texts, at_ms=st.just(1)
        ), max_size=4).map(tuple)),
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


def into(epoch: int = 1) -> Chain:
    return Chain(IN.record, session="ses_a", direction=Direction.IN, epoch=epoch)


def out() -> Chain:
    return Chain(OUT.record, session="ses_a", direction=Direction.OUT, epoch=1)


def message(text: str = "hello", name: str = "msg_a") -> Message:
    return Message(message=name, sender="ann", text=text, at_ms=1)


@settings(deadline=None, max_examples=60)
@given(bodies, st.data())
def test_what_is_sealed_is_read_however_it_is_split(
    sent: list[InboundBody], data: st.DataObject
) -> None:
    writer, reader = into(), into()
    got: list[InboundBody] = []
    left = list(sent)
    while left:
        cut = data.draw(st.integers(1, len(left)))
        sealed = seal_segment(IN, writer, left[:cut])
        left = left[cut:]
        assert sealed.name == f"{reader.seq + 1:016d}.seg"
        got += read_inbound(IN, reader, sealed.data)
        assert (reader.seq, reader.last) == (sealed.last_seq, sealed.last_hash)
    assert got == sent


def test_out_bodies_travel_the_other_way() -> None:
    body = TurnEnd(
        turn="msg_a", index=0, entries=(Answered(text="x"),),
        says=(Say(text="x", reply_to="msg_a"),),
    )  # fmt: skip
    sealed = seal_segment(OUT, out(), [body])
    assert read_outbound(OUT, out(), sealed.data) == (body,)


def test_a_body_of_the_other_direction_is_refused() -> None:
    """The kind is right for its MAC, and still not for a reader of this direction."""
    sealed = seal_segment(OUT, out(), [message()])
    reader = out()
    with pytest.raises(SegmentError) as caught:
        read_outbound(OUT, reader, sealed.data)
    assert (caught.value.reason, reader.seq) == (Refusal.BODY, 0)


def test_a_third_party_opens_a_segment_with_the_raw_page_key(tmp_path: Path) -> None:
    sealed = seal_segment(IN, into(), [message()])
    (tmp_path / "one.seg").write_bytes(sealed.data)
    connection = sqlcipher3.connect(tmp_path / "one.seg")
    try:
        connection.execute(f"PRAGMA key=\"x'{IN.page.hex()}'\"")
        assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == [(SCHEMA,)]
        rows = connection.execute("SELECT seq, kind, length(mac) FROM record").fetchall()
        assert connection.execute("PRAGMA cipher_integrity_check").fetchall() == []
    finally:
        connection.close()
    assert rows == [(1, "message", 32)]


def test_a_segment_that_a_third_party_wrote_is_read(tmp_path: Path) -> None:
    chain = into()
    rows = read_records(IN.page, seal_segment(IN, chain, [message()]).data)
    connection = sqlcipher3.connect(tmp_path / "two.seg")
    try:
        connection.execute(f"PRAGMA key=\"x'{IN.page.hex()}'\"")
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute(SCHEMA)
        connection.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", rows)
        connection.commit()
    finally:
        connection.close()
    assert read_inbound(IN, into(), (tmp_path / "two.seg").read_bytes()) == (message(),)


def test_nothing_of_a_segment_is_plain() -> None:
    sealed = seal_segment(IN, into(), [message("a secret of some length")])
    assert b"a secret" not in sealed.data
    assert b"SQLite" not in sealed.data
    assert b"record" not in sealed.data


def test_limits_hold_and_leave_the_chain_where_it_was() -> None:
    chain = into()
    for many in (
        [message()] * (MAX_RECORDS + 1),
        [message("x" * 200_000)] * 21,
    ):
        with pytest.raises(ContractError) as caught:
            seal_segment(IN, chain, many)
        assert caught.value.code is WireCode.TOO_LARGE
    with pytest.raises(ValueError, match="at least one"):
        seal_segment(IN, chain, [])
    assert chain.seq == 0


def test_the_largest_segments_fit_their_limit() -> None:
    for size, count in ((220_000, 17), (14_000, 200), (10, MAX_RECORDS)):
        data = seal_segment(IN, into(), [message("x" * size)] * count).data
        assert len(data) <= MAX_SEGMENT_BYTES
        assert len(read_inbound(IN, into(), data)) == count


def test_seal_all_uses_as_few_segments_as_hold_everything() -> None:
    writer, reader = into(), into()
    sent = [message("x" * 200_000, f"msg_{n}") for n in range(40)]
    sealed = seal_all(IN, writer, sent)
    assert 2 <= len(sealed) <= 3
    assert [body for one in sealed for body in read_inbound(IN, reader, one.data)] == sent
    assert len(seal_all(IN, into(), [message()] * (MAX_RECORDS + 1))) == 2


def test_more_records_than_allowed_are_refused() -> None:
    chain = into()
    rows = read_records(IN.page, seal_segment(IN, chain, [message()]).data)
    data = write_records(IN.page, [rows[0]._replace(seq=n) for n in range(1, MAX_RECORDS + 2)])
    with pytest.raises(SegmentError) as caught:
        read_records(IN.page, data)
    assert caught.value.reason is Refusal.SIZE


def test_a_body_over_its_limit_is_refused() -> None:
    row = read_records(IN.page, seal_segment(IN, into(), [message()]).data)[0]
    data = write_records(IN.page, [row._replace(body=bytes(MAX_BODY_BYTES + 5000))])
    with pytest.raises(SegmentError) as caught:
        read_records(IN.page, data)
    assert caught.value.reason in {Refusal.SIZE, Refusal.FORMAT}
