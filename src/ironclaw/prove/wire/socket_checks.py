"""Attacks on the sockets of a box, and what stops each."""

from __future__ import annotations

from typing import Final

from ironclaw.prove.model import Check
from ironclaw.prove.wire import careless as a
from ironclaw.prove.wire import socket_attacks as s
from ironclaw.prove.wire.checks import Row, answering, tampering, tampers

SHOWN: Final = "neighbour-shown"
SAFE_TEXTS: Final = "table of safe texts"
OWN_RUN: Final = "own source of /run/ironclaw"
_FLOOD_S: Final = 6.0
"""Of patience, for attacks that take seconds."""


def _frame(name: str, claim: str, attack: str, control: str, twin: str) -> Row:
    """Something that is not of the contract."""
    return tampering(name, claim, attack, control, twin, "frame")


BELL: Final = (
    _frame(
        "sockets.hello_oversize",
        "A hello over its size limit is refused by its length, before it is read.",
        "announce a hello of 2 GiB",
        a.HELLO_SIZE,
        "large-hellos",
    ),
    _frame(
        "sockets.hello_junk",
        "A hello that is no hello is tampering.",
        "greet with a frame that is no value",
        a.HELLO_TYPE,
        "greets-anybody",
    ),
    _frame(
        "sockets.hello_nested",
        "A deeply nested hello is tampering and no crash.",
        "greet with 10,000 nested lists",
        a.HELLO_TYPE,
        "greets-anybody",
    ),
    _frame(
        "sockets.hello_version",
        "A hello of another version is tampering.",
        "greet with version 2",
        a.HELLO_TYPE,
        "greets-anybody",
    ),
    _frame(
        "sockets.hello_more",
        "Two hellos at once are tampering.",
        "send a second hello right behind the first",
        a.ONE_HELLO,
        "talkative",
    ),
    _frame(
        "sockets.second_hello",
        "A second hello is tampering.",
        "send another hello on the open bell",
        a.BELL_BYTES,
        "deaf",
    ),
    _frame(
        "sockets.bell_byte",
        "A byte that the bell does not know is tampering.",
        "send a zero byte",
        a.BELL_BYTES,
        "deaf",
    ),
    answering(
        "sockets.in_ahead",
        "A box cannot say to have read what was never written.",
        "greet with an inbound position a million records ahead",
        a.IN_SEQ,
        "believes",
        "tamper:gap",
    ),
    Row(
        Check(
            "sockets.early",
            "A box without a session has nothing to ask.",
            "ask the model before the box is claimed",
            a.CLAIMED_FIRST,
            tampers("frame"),
            twin="asks-early",
        ),
        run=s.early,
    ),
    Row(
        Check(
            "sockets.slow_hello",
            "A connection that never says hello is cut after ten seconds.",
            "send half of a length, then nothing",
            a.HELLO_TIME,
            frozenset({"cut"}),
            twin="patient",
            is_slow=True,
        ),
        run=s.slow_hello,
    ),
)
MODEL: Final = (
    _frame(
        "sockets.model_oversize",
        "A frame over its size limit is refused by its length, before it is read.",
        "announce a frame of 4 GiB",
        a.FRAME_SIZE,
        "large-frames",
    ),
    _frame(
        "sockets.model_junk",
        "A malformed frame is tampering.",
        "send a frame that is no value",
        a.ASK_UNION,
        "asks-anything",
    ),
    _frame(
        "sockets.model_empty",
        "An empty frame is tampering.",
        "send a frame without content",
        a.ASK_UNION,
        "asks-anything",
    ),
    _frame(
        "sockets.model_nested",
        "A deeply nested frame is tampering and no crash.",
        "send 100,000 nested maps",
        a.ASK_UNION,
        "asks-anything",
    ),
    _frame(
        "sockets.model_tag",
        "A method that is not granted does not exist.",
        "send a frame with a method of its own",
        a.ASK_UNION,
        "asks-anything",
    ),
    _frame(
        "sockets.model_field",
        "A frame with an unknown field is tampering.",
        "add a field to a frame",
        a.ASK_UNION,
        "asks-anything",
    ),
    _frame(
        "sockets.model_integer",
        "A number over its bound is tampering.",
        "cancel call 18446744073709551615",
        a.ASK_UNION,
        "asks-anything",
    ),
    _frame(
        "sockets.model_text",
        "Text that is not UTF-8 is tampering.",
        "send a method whose name is two stray bytes",
        a.ASK_UNION,
        "asks-anything",
    ),
    answering(
        "sockets.announced",
        "Frames that are announced and never sent hold nobody up.",
        "announce three frames of 4 MB and send ten bytes of each",
        a.NEVER_BLOCKING,
        "waits-for-frames",
        "served",
    ),
    answering(
        "sockets.byte_by_byte",
        "A frame that comes byte by byte holds nobody up.",
        "send a question a byte at a time",
        a.NEVER_BLOCKING,
        "waits-for-frames",
        "served",
    ),
    answering(
        "sockets.half_open",
        "Connections that can say nothing any more hold nobody up.",
        "shut down eight connections and keep them",
        a.GONE,
        "keeps-the-gone",
        "served",
    ),
    answering(
        "sockets.crowd",
        "A box has a few connections to the host, not as many as it likes.",
        "keep six connections open and ask on the last",
        a.CONNECTION_CAP,
        "many-connections",
        "waits",
    ),
    Row(
        Check(
            "sockets.connections",
            "Ten thousand connections hold nobody up.",
            "connect 10,000 times, as fast as it goes, then speak as an agent does",
            a.GONE,
            frozenset({"served"}),
            twin="keeps-the-gone",
            is_slow=True,
        ),
        patience_s=_FLOOD_S,
    ),
    Row(
        Check(
            "sockets.cancel_foreign",
            "A call belongs to the connection that put it.",
            "cancel the call of another connection",
            a.OWN_CALLS,
            frozenset({"ignored"}),
            twin="cancels-for-anybody",
        ),
        run=s.cancel_foreign,
    ),
    Row(
        Check(
            "sockets.calls",
            "Of a thousand open calls the core hears of four.",
            "put 1,000 questions and wait for no answer",
            a.CALL_CAP,
            frozenset({"bounded"}),
            twin="many-calls",
        ),
        run=s.calls,
    ),
    Row(
        Check(
            "sockets.reach",
            "A box does not see another session's sockets, nor the host's.",
            "connect to them by every path that could lead there",
            OWN_RUN,
            frozenset({"not there"}),
            twin=SHOWN,
        ),
        run=s.reach,
    ),
    Row(
        Check(
            "sockets.listen",
            "What goes wrong at a provider is not told to a box: no key, no path, no traceback.",
            "ask a model whose provider fails with all of these, and read every byte of the answer",
            SAFE_TEXTS,
            frozenset({"nothing"}),
            twin=s.CANDID,
        ),
        run=s.listen,
    ),
)
