"""Frames: any split of the stream gives the same bodies, and nothing over its limit is read."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_contract.codes import WireCode
from ironclaw_contract.frames import (
    FrameReader,
    decode_ask,
    decode_claim,
    decode_hello,
    decode_tell,
    decode_use,
    decode_used,
    encode_claim,
    pack,
)
from ironclaw_contract.limits import (
    MAX_ARGUMENTS_CHARS,
    MAX_HELLO_BYTES,
    MAX_TOOL_FRAME_BYTES,
    MAX_USED_CHARS,
)
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Cancel, ClaimFile, Delta, Failed, Hello, Use, Used

HELLO = Hello(version=1, claimed=True, in_seq=3, out_seq=4)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_any_split_of_the_stream_gives_the_same_bodies(
    sent: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(map(framed, sent))
    reader = FrameReader(limit=50)
    got: list[bytes] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        got += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert (got, reader.pending) == (sent, 0)


@given(st.integers(51, 2**32 - 1))
def test_a_length_over_the_limit_is_refused_before_the_body(size: int) -> None:
    reader = FrameReader(limit=50)
    with pytest.raises(ContractError) as caught:
        list(reader.feed(struct.pack(">I", size)))
    assert caught.value.code is WireCode.TOO_LARGE


def test_what_is_too_large_is_not_sent() -> None:
    with pytest.raises(ContractError) as caught:
        pack(Delta(call=1, text="x" * 100), limit=50)
    assert caught.value.code is WireCode.TOO_LARGE


def test_every_kind_of_frame_comes_back_as_it_was() -> None:
    (hello,) = FrameReader().feed(pack(HELLO))
    assert decode_hello(hello) == HELLO
    (ask,) = FrameReader().feed(pack(Cancel(call=1)))
    assert decode_ask(ask) == Cancel(call=1)
    failed = Failed(call=1, code=WireCode.BUSY, text="later")
    (tell,) = FrameReader().feed(pack(failed))
    assert decode_tell(tell) == failed
    claim = ClaimFile(session="ses_a", epoch=1, key=bytes(32))
    assert decode_claim(encode_claim(claim)) == claim


def test_the_largest_use_and_answer_fit_their_frame_and_no_larger_one_is_read() -> None:
    wide = "\U0001f642"
    ident = "i" * 64
    use = Use(
        call=2**53,
        turn=ident,
        key=ident,
        tool="t" * 128,
        arguments=wide * MAX_ARGUMENTS_CHARS,
    )
    used = Used(call=2**53, text=wide * MAX_USED_CHARS, is_error=True)
    (body,) = FrameReader(limit=MAX_TOOL_FRAME_BYTES).feed(pack(use, limit=MAX_TOOL_FRAME_BYTES))
    assert decode_use(body) == use
    (body,) = FrameReader(limit=MAX_TOOL_FRAME_BYTES).feed(pack(used, limit=MAX_TOOL_FRAME_BYTES))
    assert decode_used(body) == used
    for decode in (decode_use, decode_used):
        with pytest.raises(ContractError) as caught:
            decode(bytes(MAX_TOOL_FRAME_BYTES + 1))
        assert caught.value.code is WireCode.TOO_LARGE


@pytest.mark.parametrize(
    "change",
    [
        {"call": 0},
        {"call": 2**53 + 1},
        {"call": True},
        {"turn": "a b"},
        {"key": "a\n"},
        {"key": ""},
        {"tool": "Tool"},
        {"tool": "a/b"},
        {"arguments": "x" * (MAX_ARGUMENTS_CHARS + 1)},
        {"arguments": {}},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_use_that_is_nearly_one_is_malformed(change: dict[str, object]) -> None:
    use = {"call": 1, "turn": "msg_a", "key": "k", "tool": "my_rights", "arguments": "{}"}
    assert decode_use(msgspec.msgpack.encode(use)).call == 1
    with pytest.raises(ContractError) as caught:
        decode_use(msgspec.msgpack.encode({**use, **change}))
    assert caught.value.code is WireCode.MALFORMED


@given(st.binary(max_size=200))
def test_any_other_bytes_are_malformed(body: bytes) -> None:
    for decode in (decode_hello, decode_ask, decode_tell, decode_claim, decode_use, decode_used):
        try:
            decode(body)
        except ContractError as error:
            assert error.code is WireCode.MALFORMED  # noqa: PT017 - some bytes may be a frame


def test_deep_nesting_is_malformed_and_a_long_hello_too_large() -> None:
    with pytest.raises(ContractError):
        decode_ask(b"\x91" * 100_000)
    with pytest.raises(ContractError) as caught:
        decode_hello(bytes(MAX_HELLO_BYTES + 1))
    assert caught.value.code is WireCode.TOO_LARGE
