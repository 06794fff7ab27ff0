"""Record bodies: two closed unions, exact in both directions."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_contract.codes import WireCode
from ironclaw_contract.limits import MAX_BODY_BYTES, MAX_ENTRIES
from ironclaw_contract.records import (
    ContractError,
    History,
    Message,
    Step,
    decode_inbound,
    decode_outbound,
    encode_body,
)

MESSAGE = Message(message="msg_a", sender="ann", text="hello", at_ms=1)


def test_a_body_comes_back_as_it_was_and_only_in_its_direction() -> None:
    raw = encode_body(MESSAGE)
    assert decode_inbound(raw) == MESSAGE
    with pytest.raises(ContractError) as caught:
        decode_outbound(raw)
    assert caught.value.code is WireCode.MALFORMED


@pytest.mark.parametrize(
    "change",
    [{"more": 1}, {"kind": "other"}, {"message": "msg a"}, {"message": "msg_a\n"}, {"at_ms": "1"},
     {"engage": 1}, {"text": None}, {"sender": "x" * 257}, {"message": "x" * 65}],
)  # fmt: skip
def test_a_body_that_is_not_exactly_of_the_contract_is_malformed(change: dict[str, object]) -> None:
    fields = msgspec.to_builtins(MESSAGE)
    with pytest.raises(ContractError) as caught:
        decode_inbound(msgspec.msgpack.encode({**fields, **change}))
    assert caught.value.code is WireCode.MALFORMED


@given(st.binary(max_size=300))
def test_garbage_is_malformed(raw: bytes) -> None:
    for decode in (decode_inbound, decode_outbound):
        with pytest.raises(ContractError) as caught:
            decode(raw)
        assert caught.value.code is WireCode.MALFORMED


def test_a_body_over_its_limit_is_neither_written_nor_read() -> None:
    large = History(entries=(), turn="t" * 64)
    assert decode_inbound(encode_body(large)) == large
    many = Step(turn="t", index=0, entries=(), says=())
    assert decode_outbound(encode_body(many)) == many
    for refuse in (
        lambda: decode_inbound(bytes(MAX_BODY_BYTES + 1)),
        lambda: encode_body(msgspec.structs.replace(MESSAGE, text="x" * MAX_BODY_BYTES)),
    ):
        with pytest.raises(ContractError) as caught:
            refuse()
        assert caught.value.code is WireCode.TOO_LARGE


def test_a_list_that_is_too_long_is_malformed() -> None:
    entry = {"t": "answered", "text": ""}
    body = {"kind": "history", "entries": [entry] * (MAX_ENTRIES + 1)}
    with pytest.raises(ContractError) as caught:
        decode_inbound(msgspec.msgpack.encode(body))
    assert caught.value.code is WireCode.MALFORMED
