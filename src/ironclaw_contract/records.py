"""Record bodies: what a segment carries, in each direction. Two closed unions.

Host to box: `Setup`, `History`, `Part`, `Message`, `Answer`. Box to host: `Part`, `Step`,
`TurnEnd`, `Summary`, `Trouble`.
`decode_inbound` and `decode_outbound` are the only way from bytes to a body.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from ironclaw_contract.codes import WireCode
from ironclaw_contract.entries import Entry, File, Files, Ident, Label, Name, Text
from ironclaw_contract.limits import (
    MAX_BODY_BYTES,
    MAX_ENTRIES,
    MAX_FILES,
    MAX_PART_BYTES,
    MAX_TOOLS,
)


class ContractError(ValueError):
    """Bytes that are not exactly the contract. `code` may cross the wall; the text may not."""

    def __init__(self, code: WireCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of both unions; the tag is the record's kind."""


class Skill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instructions and data that people gave the agent: the directory `/shared/skills/<name>`."""

    name: Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9\-]{0,63}\Z", max_length=64)]
    description: Annotated[str, msgspec.Meta(max_length=1024)]
    """When to use it."""


class Setup(_Body, tag="setup", frozen=True, omit_defaults=True):
    """First record of every life of a box: who the agent is and what it may use."""

    agent: Label
    persona: Text
    tools: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MAX_TOOLS)]
    """Tools the agent is allowed. A tool not named here does not exist in the box."""
    max_steps: int = 16
    """Model calls in one turn, at most."""
    max_output_tokens: int = 4096
    context_bytes: int = 512 * 1024
    """Bytes of conversation the box sends to the model, at most; older turns are left out."""
    steers: bool = False
    """What people say while a turn runs joins that turn, instead of waiting for its end."""
    skills: Annotated[tuple[Skill, ...], msgspec.Meta(max_length=64)] = ()


class History(_Body, tag="history", frozen=True, omit_defaults=True):
    """Part of the conversation so far, oldest first; several may follow each other.

    `turn` is set when these entries belong to a turn that a former box began and did not end:
    the box resumes it instead of starting over. `index` is then its next step.
    """

    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
    turn: Ident | None = None
    index: int = 0
    summary: Text = ""
    """Of all that was said before `entries`; only in the first one."""


class Part(_Body, tag="part", frozen=True, omit_defaults=True):
    """A piece of a file. Those of one file come in order, and before the record that names it."""

    file: Ident
    index: Annotated[int, msgspec.Meta(ge=0)]
    data: Annotated[bytes, msgspec.Meta(max_length=MAX_PART_BYTES)]
    whole: File | None = None
    """What it is a piece of: with the last piece."""


class Answer(_Body, tag="answer", frozen=True, omit_defaults=True):
    """What came of a question that a turn waits with."""

    turn: Ident
    call: Ident
    """As in its `Ask`."""
    text: Text
    is_error: bool = False
    """Nobody answered, and why."""


class Message(_Body, tag="message", frozen=True, omit_defaults=True):
    """One message for the agent. The same id may come twice; the second is ignored."""

    message: Ident
    sender: Label
    text: Text
    at_ms: int
    engage: bool = True
    """False: context only (an accumulated message); it starts no turn."""
    files: Files = ()
    place: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Which chat and thread of the session it was said in: a turn is joined only from its own."""
    foreign: bool = False
    """As in `Said`."""


Heard = Annotated[tuple[Ident, ...], msgspec.Meta(max_length=64)]
"""Ids of messages."""

InboundBody = Setup | History | Part | Message | Answer


class Say(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Words for people: to the chat and thread of the message it answers."""

    text: Text
    reply_to: Ident
    files: Annotated[tuple[Ident, ...], msgspec.Meta(max_length=MAX_FILES)] = ()
    """Files whose parts came before."""


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A question to people, where the turn began. The turn waits until its `Answer` comes."""

    call: Ident
    """The tool call that asks: `Answer` becomes its result."""
    question: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    options: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=80)], ...],
        msgspec.Meta(max_length=10),
    ] = ()
    free_text: bool = True
    """Whether words of their own are an answer too."""
    wait_s: Annotated[int, msgspec.Meta(ge=60, le=7 * 86_400)] = 86_400


class Step(_Body, tag="step", frozen=True, omit_defaults=True):
    """A finished part of a turn that is still going on: what to resume from after a kill."""

    turn: Ident
    """The id of the message that began the turn."""
    index: int
    """0 for the first record of the turn, then 1, 2, …"""
    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
    says: Annotated[tuple[Say, ...], msgspec.Meta(max_length=16)] = ()
    heard: Heard = ()
    """Messages that joined the turn before these entries, in order."""
    asks: Annotated[tuple[Ask, ...], msgspec.Meta(max_length=4)] = ()
    """The turn goes on when all of them are answered."""


class TurnEnd(_Body, tag="turn_end", frozen=True, omit_defaults=True):
    """The turn is over; its messages are answered. Says what was left to say."""

    turn: Ident
    index: int
    entries: Annotated[tuple[Entry, ...], msgspec.Meta(max_length=MAX_ENTRIES)]
    says: Annotated[tuple[Say, ...], msgspec.Meta(max_length=16)] = ()
    heard: Heard = ()
    failed: WireCode | None = None
    """Set when the turn could not be done; the host then tells the person in its own words."""


class Summary(_Body, tag="summary", frozen=True):
    """What a fresh box is told instead of the conversation up to and with an ended turn."""

    turn: Ident
    text: Text


class Trouble(_Body, tag="trouble", frozen=True):
    """The agent program cannot go on: it refuses a segment, or has a fault of its own."""

    code: WireCode
    text: Annotated[str, msgspec.Meta(max_length=2000)]


OutboundBody = Part | Step | TurnEnd | Summary | Trouble

_T = TypeVar("_T")

_encoder = msgspec.msgpack.Encoder()
_inbound: msgspec.msgpack.Decoder[InboundBody] = msgspec.msgpack.Decoder(InboundBody)
_outbound: msgspec.msgpack.Decoder[OutboundBody] = msgspec.msgpack.Decoder(OutboundBody)


def encode_body(body: InboundBody | OutboundBody) -> bytes:
    """Encode a record body.

    Raises:
        ContractError: `TOO_LARGE`, when the encoding is over `MAX_BODY_BYTES`.
    """
    raw = _encoder.encode(body)
    if len(raw) > MAX_BODY_BYTES:
        raise ContractError(WireCode.TOO_LARGE, f"record body has {len(raw)} bytes")
    return raw


def decode_inbound(raw: bytes) -> InboundBody:
    """Decode a body that the host wrote.

    Raises:
        ContractError: The bytes are over the limit or not exactly one inbound body.
    """
    return _decode(_inbound, raw)


def decode_outbound(raw: bytes) -> OutboundBody:
    """Decode a body that a box wrote.

    Raises:
        ContractError: The bytes are over the limit or not exactly one outbound body.

    Trust:
        `raw` is hostile. Only the airlock calls this.
    """
    return _decode(_outbound, raw)


def _decode(decoder: msgspec.msgpack.Decoder[_T], raw: bytes) -> _T:
    if len(raw) > MAX_BODY_BYTES:
        raise ContractError(WireCode.TOO_LARGE, f"record body has {len(raw)} bytes")
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError) as error:
        raise ContractError(WireCode.MALFORMED, "record body is not of the contract") from error
