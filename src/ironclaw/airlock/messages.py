"""What core and airlock say to each other: two closed unions in length-prefixed frames.

The airlock reads what a hostile box wrote, so the core believes it no more than the types here:
size first, then exactly one value of the union.
"""

from __future__ import annotations

import struct
from typing import Annotated, Final, TypeVar

import msgspec

from ironclaw.domain.memories import MemoryAct
from ironclaw_contract.chain import Refusal
from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Ident
from ironclaw_contract.limits import MAX_RECORDS
from ironclaw_contract.memory_dir import MAX_TOPIC_BYTES, MAX_TOPICS
from ironclaw_contract.records import ContractError, InboundBody, OutboundBody
from ironclaw_contract.rpc import Hello, ModelAsk, ModelTell, Use, Used

MAX_LINK_BYTES: Final = 6 * 1024 * 1024
"""One frame of the link: more than any segment's bodies or any model frame."""

_T = TypeVar("_T")
_LENGTH: Final = struct.Struct(">I")
_Hash = Annotated[bytes, msgspec.Meta(max_length=32)]
_Word = Annotated[str, msgspec.Meta(max_length=500)]


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="m"):
    """Base of both unions."""


class Bind(_Told, tag="bind", frozen=True):
    """Core: this is your session."""

    session: Ident
    epoch: Annotated[int, msgspec.Meta(ge=1)]
    key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    out_seq: Annotated[int, msgspec.Meta(ge=0)]
    out_hash: _Hash


class Publish(_Told, tag="publish", frozen=True):
    """Core: put these into `in/`, in order, and ring."""

    bodies: Annotated[tuple[InboundBody, ...], msgspec.Meta(min_length=1)]


class Ack(_Told, tag="ack", frozen=True):
    """Core: outbound records up to here are committed."""

    seq: Annotated[int, msgspec.Meta(ge=1)]


class Tell(_Told, tag="tell", frozen=True):
    """Core: a model event for the box."""

    event: ModelTell


class Offer(_Told, tag="offer", frozen=True):
    """Core: let the box have `tools.sock`, or have it no more."""

    tools: bool


class UseTold(_Told, tag="use_told", frozen=True):
    """Core: what came of a use."""

    used: Used


class Check(_Told, tag="check", frozen=True):
    """Core: say that you are there."""


class StandsStill(_Told, tag="still", frozen=True):
    """Core: the box is frozen, or is not any more. A frozen one cannot answer its watchdog."""

    frozen: bool


ToAirlock = Bind | Publish | Ack | Tell | Offer | UseTold | Check | StandsStill


class Ready(_Told, tag="ready", frozen=True):
    """Airlock: confined, sockets bound."""

    controls: tuple[str, ...]
    """Controls that are in force, by name."""
    missing: tuple[str, ...]
    """Controls this machine or this user could not offer, by name."""


class Arrived(_Told, tag="arrived", frozen=True):
    """Airlock: the box said hello."""

    hello: Hello


class KeyTaken(_Told, tag="key_taken", frozen=True):
    """Airlock: the box has its key and the file is gone."""


class Verified(_Told, tag="verified", frozen=True):
    """Airlock: the records of one outbound segment."""

    first_seq: Annotated[int, msgspec.Meta(ge=1)]
    bodies: Annotated[tuple[OutboundBody, ...], msgspec.Meta(min_length=1, max_length=MAX_RECORDS)]
    last_hash: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Ask(_Told, tag="ask", frozen=True):
    """Airlock: the box asks for the model."""

    ask: ModelAsk


class UseAsked(_Told, tag="use_asked", frozen=True):
    """Airlock: the box wants a host tool."""

    use: Use


class Gone(_Told, tag="gone", frozen=True):
    """Airlock: the bell connection closed."""


class Hung(_Told, tag="hung", frozen=True):
    """Airlock: the box did not answer its watchdog."""


class Refused(_Told, tag="refused", frozen=True):
    """Airlock: the box broke the rules; nothing after this is read."""

    reason: Refusal


class Here(_Told, tag="here", frozen=True):
    """Airlock: I am there."""


class Fault(_Told, tag="fault", frozen=True):
    """Airlock: I cannot go on, and the box is not to blame. I end after this."""

    text: _Word


FromAirlock = (
    Ready | Arrived | KeyTaken | Verified | Ask | UseAsked | Gone | Hung | Refused | Here | Fault
)

_encoder = msgspec.msgpack.Encoder()
_to: msgspec.msgpack.Decoder[ToAirlock] = msgspec.msgpack.Decoder(ToAirlock)
_from: msgspec.msgpack.Decoder[FromAirlock] = msgspec.msgpack.Decoder(FromAirlock)


def pack(value: ToAirlock | FromAirlock) -> bytes:
    """Encode one frame with its length in front. Raises ContractError (`TOO_LARGE`)."""
    body = _encoder.encode(value)
    if len(body) > MAX_LINK_BYTES:
        raise ContractError(WireCode.TOO_LARGE, f"link frame has {len(body)} bytes")
    return _LENGTH.pack(len(body)) + body


def decode_to_airlock(body: bytes) -> ToAirlock:
    """Decode what the core said. Raises ContractError."""
    try:
        return _to.decode(body)
    except (ValueError, RecursionError) as error:
        raise ContractError(WireCode.MALFORMED, "link frame is not of the contract") from error


def decode_from_airlock(body: bytes) -> FromAirlock:
    """Decode what an airlock said. Raises ContractError.

    Trust:
        `body` comes from a process that parses hostile bytes.
    """
    try:
        return _from.decode(body)
    except (ValueError, RecursionError) as error:
        raise ContractError(WireCode.MALFORMED, "link frame is not of the contract") from error


class StartAirlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="airlock"):
    """Core to zygote, with the airlock's end of the link attached."""

    path: str
    """The slot's directory."""
    uid: int
    gid: int
    box_uid: int
    ping_s: float
    """Seconds between watchdog pings."""
    pong_s: float
    """Seconds the box has to answer one."""


class StartSweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="sweep"):
    """Core to zygote, with the report pipe attached."""

    path: str
    """The directory to empty; it stays itself."""
    uid: int
    gid: int


class StartCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="count"):
    """Core to zygote, with the report pipe attached."""

    base: str
    """A directory of the core's own."""
    names: tuple[str, ...]
    """Directories below it that a box can write, as relative paths."""
    uid: int
    gid: int
    pids: tuple[int, ...]
    """Whose open files that nobody can see any more count as well."""
    most_files: int
    """Entries of one directory after which counting ends."""


class StartMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="memory"):
    """Core to zygote, with the report pipe attached. What is to be written follows on that."""

    path: str
    """An agent's memory."""
    uid: int
    gid: int
    act: MemoryAct
    topic: str
    session: str
    was: str
    """Digest of what is to be replaced; empty for whatever is there."""
    size: int
    """Bytes that follow."""


Start = StartAirlock | StartSweep | StartCount | StartMemory


class Started(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Zygote to core."""

    pid: int


_Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """What one directory holds."""

    bytes: _Number
    files: _Number
    is_whole: bool


class Counted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A counting process to the core, once."""

    places: tuple[Count, ...]
    held_bytes: _Number
    """Of files without a name that the box has open."""
    error: _Word = ""


class TopicTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """What one topic of a memory is."""

    name: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,47}\Z")]
    bytes: _Number
    notes: _Number
    tainted: _Number
    changed_ms: _Number


class MemoryTold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process that looked into a memory to the core, once."""

    topics: Annotated[tuple[TopicTold, ...], msgspec.Meta(max_length=MAX_TOPICS)] = ()
    is_whole: bool = True
    """False when there is more than is told, or something that could not be looked through."""
    text: Annotated[bytes, msgspec.Meta(max_length=MAX_TOPIC_BYTES)] | None = None
    removed: _Number = 0
    """Notes."""
    refused: _Word = ""
    """Why it was not done, for whoever asked."""
    is_changed: bool = False
    """It was not done: what is there is not what was to be replaced."""
    error: _Word = ""


MAX_TOLD_BYTES: Final = MAX_TOPIC_BYTES + 32 * 1024
"""One `MemoryTold`."""

_memory_told: msgspec.msgpack.Decoder[MemoryTold] = msgspec.msgpack.Decoder(MemoryTold)
_counted: msgspec.msgpack.Decoder[Counted] = msgspec.msgpack.Decoder(Counted)
_start: msgspec.msgpack.Decoder[Start] = msgspec.msgpack.Decoder(Start)
_started: msgspec.msgpack.Decoder[Started] = msgspec.msgpack.Decoder(Started)


def pack_control(value: Start | Started | Counted | MemoryTold) -> bytes:
    """Encode one datagram of the control socket, or one report."""
    return _encoder.encode(value)


def decode_counted(raw: bytes) -> Counted:
    """Decode a report. Raises ValueError."""
    return _control(_counted, raw)


def decode_memory(raw: bytes) -> MemoryTold:
    """Decode a report. Raises ValueError."""
    return _control(_memory_told, raw)


def decode_start(raw: bytes) -> Start:
    """Decode a request to the zygote. Raises ValueError."""
    return _control(_start, raw)


def decode_started(raw: bytes) -> Started:
    """Decode the zygote's answer. Raises ValueError."""
    return _control(_started, raw)


def _control(decoder: msgspec.msgpack.Decoder[_T], raw: bytes) -> _T:
    try:
        return decoder.decode(raw)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
