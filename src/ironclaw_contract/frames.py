"""Length-prefixed frames: a 4-byte big-endian length, then one msgpack value.

The size is checked before the body is read. `FrameReader` does no I/O: feed it bytes, take bodies.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from ironclaw_contract.codes import WireCode
from ironclaw_contract.limits import MAX_FRAME_BYTES, MAX_HELLO_BYTES, MAX_TOOL_FRAME_BYTES
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import ClaimFile, Hello, ModelAsk, ModelTell, Use, Used

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T")
_LENGTH: Final = struct.Struct(">I")

_encoder = msgspec.msgpack.Encoder()
_hello: msgspec.msgpack.Decoder[Hello] = msgspec.msgpack.Decoder(Hello)
_claim: msgspec.msgpack.Decoder[ClaimFile] = msgspec.msgpack.Decoder(ClaimFile)
_ask: msgspec.msgpack.Decoder[ModelAsk] = msgspec.msgpack.Decoder(ModelAsk)
_tell: msgspec.msgpack.Decoder[ModelTell] = msgspec.msgpack.Decoder(ModelTell)
_use: msgspec.msgpack.Decoder[Use] = msgspec.msgpack.Decoder(Use)
_used: msgspec.msgpack.Decoder[Used] = msgspec.msgpack.Decoder(Used)


def pack(
    value: Hello | ModelAsk | ModelTell | Use | Used, *, limit: int = MAX_FRAME_BYTES
) -> bytes:
    """Encode one frame with its length in front.

    Raises:
        ContractError: `TOO_LARGE`, when the body is over `limit` bytes.
    """
    body = _encoder.encode(value)
    if len(body) > limit:
        raise ContractError(WireCode.TOO_LARGE, f"frame has {len(body)} bytes")
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frame bodies; never holds more than one frame over its limit."""

    def __init__(self, *, limit: int = MAX_FRAME_BYTES) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add bytes and yield each body that is complete.

        Raises:
            ContractError: `TOO_LARGE`, as soon as a length over the limit is seen.

        Trust:
            `data` is hostile.
        """
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > self._limit:
                raise ContractError(WireCode.TOO_LARGE, f"frame announces {size} bytes")
            end = _LENGTH.size + size
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield body

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete."""
        return len(self._buffer)


def decode_hello(body: bytes) -> Hello:
    """Decode a hello. Raises ContractError."""
    if len(body) > MAX_HELLO_BYTES:
        raise ContractError(WireCode.TOO_LARGE, f"hello has {len(body)} bytes")
    return _decode(_hello, body)


def decode_ask(body: bytes) -> ModelAsk:
    """Decode a model frame that a box wrote. Raises ContractError."""
    return _decode(_ask, body)


def decode_tell(body: bytes) -> ModelTell:
    """Decode a model frame that the host wrote. Raises ContractError."""
    return _decode(_tell, body)


def decode_use(body: bytes) -> Use:
    """Decode a use of a host tool that a box wrote. Raises ContractError."""
    return _decode_tool(_use, body)


def decode_used(body: bytes) -> Used:
    """Decode the host's answer to one. Raises ContractError."""
    return _decode_tool(_used, body)


def encode_claim(claim: ClaimFile) -> bytes:
    """Encode the key file."""
    return _encoder.encode(claim)


def decode_claim(raw: bytes) -> ClaimFile:
    """Decode the key file. Raises ContractError."""
    return _decode(_claim, raw)


def _decode_tool(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    if len(body) > MAX_TOOL_FRAME_BYTES:
        raise ContractError(WireCode.TOO_LARGE, f"tool frame has {len(body)} bytes")
    return _decode(decoder, body)


def _decode(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise ContractError(WireCode.MALFORMED, "frame is not of the contract") from error
