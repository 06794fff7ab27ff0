"""What core and model host say to each other: frames of a closed union, each way.

A 4-byte big-endian length, then one msgpack value; the length is checked before the body is read.
Calls are told apart by a number of the core's choosing, never used twice on one link.

core -> host: `Open` once, then `Ask`, `More`, `Drop`, and `Quote`
host -> core: `Ready` once, then for each call any number of `Piece`, ended by one `Whole` or
              `Failure`; a `Window` now and then; one `Priced` for each `Quote`
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, TypeVar

import msgspec

from ironclaw.config.providers import ProviderSettings
from ironclaw.domain.model import Thinking
from ironclaw.domain.spending import Rates
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Ident, Text
from ironclaw_contract.limits import MAX_FRAME_BYTES
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Generate, Generated

MAX_LINK_BYTES: Final = MAX_FRAME_BYTES + 64 * 1024
"""One frame: a whole call of a box and what stands around it."""
CREDIT: Final = 64
"""Events of one call that may be under way; the host waits for `More` then, and with it the
provider."""
LENGTH: Final = struct.Struct(">I")

MAX_PICTURE_BYTES: Final = MAX_FRAME_BYTES
"""One picture."""

_Call = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Name = Annotated[str, msgspec.Meta(max_length=256)]
_T = TypeVar("_T")


class _Frame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="f"):
    """Base of the frames."""


class Open(_Frame, tag="open", frozen=True):
    """Which providers there are, and where each one's key is. Keys themselves are never sent."""

    providers: dict[str, ProviderSettings]
    hidden: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)] = ()
    """Directories that the host shall not be able to reach."""


class Ask(_Frame, tag="ask", frozen=True):
    """Do one attempt of a call."""

    call: _Call
    provider: _Name
    model: _Name
    """The provider's own name of it."""
    temperature: float | None
    max_output_tokens: int
    request: Generate
    """Checked against the contract by the airlock; its content is a box's all the same."""
    thinking: Thinking | None = None
    """None: as the provider has it."""


class Show(_Frame, tag="show", frozen=True):
    """A picture that a call names, before the call itself."""

    call: _Call
    file: Ident
    media_type: _Name
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_PICTURE_BYTES)]


class More(_Frame, tag="more", frozen=True):
    """So many more events of a call may be sent."""

    call: _Call
    events: Annotated[int, msgspec.Meta(ge=1, le=CREDIT)]


class Drop(_Frame, tag="drop", frozen=True):
    """Nobody waits for this call: end it upstream. Nothing more is said of it."""

    call: _Call


class Quote(_Frame, tag="quote", frozen=True):
    """Say what a model costs, as far as the library knows."""

    provider: _Name
    model: _Name


class Ready(_Frame, tag="ready", frozen=True):
    """The host is confined and takes calls."""

    controls: Annotated[tuple[str, ...], msgspec.Meta(max_length=16)]
    """Which of its confinements are in force."""


class Piece(_Frame, tag="piece", frozen=True):
    """A piece of the answer's text, or of what the model thinks before it answers."""

    call: _Call
    text: Text
    is_thought: bool = False


class Whole(_Frame, tag="whole", frozen=True):
    """The whole answer; ends the call."""

    call: _Call
    answer: Generated
    cached_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of those that were read: what the provider had kept."""
    written_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Of those that were read: what the provider keeps from now on."""


class Failure(_Frame, tag="failure", frozen=True):
    """It came to nothing; ends the call. See `models.trouble.ModelTrouble`."""

    call: _Call
    code: WireCode
    word: Annotated[str, msgspec.Meta(max_length=500)]
    detail: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    retry_after_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] | None = None
    is_sick: bool = False
    had_pictures: bool = False
    """The model was shown pictures: it may be asked once more without."""
    input_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    output_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    """What the provider counted all the same: an answer that it breaks off is paid for."""


class Window(_Frame, tag="window", frozen=True):
    """How much a model reads at once, now that it is known."""

    provider: _Name
    model: _Name
    tokens: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]


class Priced(_Frame, tag="priced", frozen=True):
    """What a model costs, in USD."""

    provider: _Name
    model: _Name
    rates: Annotated[Rates, msgspec.Meta(max_length=16)]
    """Empty: nobody knows."""


ToHost = Open | Show | Ask | More | Drop | Quote
FromHost = Ready | Piece | Whole | Failure | Window | Priced

_encoder = msgspec.msgpack.Encoder()
_to_host: msgspec.msgpack.Decoder[ToHost] = msgspec.msgpack.Decoder(ToHost)
_from_host: msgspec.msgpack.Decoder[FromHost] = msgspec.msgpack.Decoder(FromHost)


def pack(message: ToHost | FromHost) -> bytes:
    """Encode one frame with its length in front. Raises ContractError (`TOO_LARGE`)."""
    body = _encoder.encode(message)
    if len(body) > MAX_LINK_BYTES:
        raise ContractError(WireCode.TOO_LARGE, f"frame has {len(body)} bytes")
    return LENGTH.pack(len(body)) + body


def size_of(header: bytes) -> int:
    """Bytes of the body that follows. Raises ContractError (`TOO_LARGE`)."""
    (size,) = LENGTH.unpack(header)
    if size > MAX_LINK_BYTES:
        raise ContractError(WireCode.TOO_LARGE, f"frame announces {size} bytes")
    return int(size)


def decode_to_host(body: bytes) -> ToHost:
    """Decode what the core said. Raises ContractError."""
    return _decode(_to_host, body)


def decode_from_host(body: bytes) -> FromHost:
    """Decode what the host said. Raises ContractError.

    Trust:
        The host reads what providers send: what it says is checked as if one of them had taken it
        over.
    """
    return _decode(_from_host, body)


def _decode(decoder: msgspec.msgpack.Decoder[_T], body: bytes) -> _T:
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise ContractError(WireCode.MALFORMED, "frame is not of the link") from error
