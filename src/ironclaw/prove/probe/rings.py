"""Attacks on the airlock's sockets: greetings, frames, floods, and connections that say nothing."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ironclaw.prove.probe.seen import RUN, dial
from ironclaw_contract.frames import FrameReader, decode_tell, pack
from ironclaw_contract.rpc import Cancel, Failed, Generate, Hello

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.prove.probe.hold import Hold

    Args = dict[str, Any]
    Attack = Callable[["Hold", dict[str, Any]], str | None]

_BELL: Final = "bell.sock"
_MODEL: Final = "model.sock"
_MANY: Final = 10_000
_AT_ONCE: Final = 6
"""Accepted, and in the listener's backlog."""
_TURNED_AWAY_S: Final = 0.3
_CALLS: Final = 1000
_SETTLE_S: Final = 15.0
_PASSED: Final = "passed over"
_encode: Final = msgspec.msgpack.encode


def framed(body: bytes) -> bytes:
    """A frame."""
    return struct.pack(">I", len(body)) + body


def ask(call: int) -> Generate:
    """A question to the model."""
    return Generate(call=call, turn="msg_a", system="", entries=(), tools=(), max_output_tokens=1)


def _hello(hold: Hold, **changes: Any) -> bytes:
    del hold
    truth: dict[str, Any] = {"version": 1, "claimed": True, "in_seq": 0, "out_seq": 0}
    return pack(Hello(**(truth | changes)))


# --- greetings ------------------------------------------------------------------------------------


def _greeting(data: Callable[[Hold], bytes]) -> Attack:
    """Hang up and greet again, otherwise than a real agent does."""

    def go(hold: Hold, args: Args) -> str | None:
        hold.drop()
        hold.bell = dial(_BELL)
        hold.bell.sendall(data(hold))
        if hold.waits(args["wait_s"] / 2, hold.is_cut):
            return None
        hold.greet_again()
        return _PASSED

    return go


def _said(data: Callable[[Hold], bytes]) -> Attack:
    """Say something on the open bell."""

    def go(hold: Hold, args: Args) -> str | None:
        if hold.bell is not None:
            hold.bell.sendall(data(hold))
        return None if hold.waits(args["wait_s"] / 2, hold.is_cut) else _PASSED

    return go


def _in_ahead(hold: Hold, args: Args) -> str | None:
    """Say that records were read that were never written."""
    hold.drop()
    hold.bell = hold.greet(in_seq=1_000_000)
    return None if hold.waits(args["wait_s"] / 2, hold.is_cut) else _PASSED


def _slow_hello(hold: Hold, args: Args) -> str:
    """Announce a hello and never send it."""
    hold.drop()
    bell = dial(_BELL)
    bell.sendall(b"\x00\x00")
    bell.settimeout(args["wait_s"])
    try:
        said = bell.recv(1)
    except TimeoutError:
        said = b"x"
    bell.close()
    hold.greet_again()
    return "cut" if not said else "kept"


def _early(hold: Hold, _args: Args) -> str:
    """Ask before there is a session: on the next airlock, as a blank box that greets it."""
    hold.early = pack(ask(1))
    return "armed"


# --- frames ---------------------------------------------------------------------------------------


def _model_frame(data: bytes) -> Attack:
    def go(hold: Hold, args: Args) -> str | None:
        sock = dial(_MODEL)
        sock.sendall(data)
        hold.kept.append(sock)
        return None if hold.waits(args["wait_s"] / 2, hold.is_cut) else _PASSED

    return go


def _is_answered(call: int, wait_s: float) -> bool:
    """Whether a fresh connection gets an answer."""
    with dial(_MODEL) as sock:
        sock.settimeout(wait_s)
        sock.sendall(pack(ask(call)))
        try:
            return bool(_events(sock, 1))
        except TimeoutError:
            return False


def _events(sock: socket.socket, count: int) -> list[Any]:
    reader = FrameReader()
    found: list[Any] = []
    while len(found) < count and (data := sock.recv(65536)):
        found += [decode_tell(body) for body in reader.feed(data)]
    return found


def _served(hold: Hold, call: int, wait_s: float) -> str:
    """Whether the queue and another connection are served at this moment."""
    if not hold.is_served(wait_s / 2):
        return "queue not served"
    return "served" if _is_answered(call, wait_s / 2) else "not served"


def _announced(hold: Hold, args: Args) -> str:
    """Announce large frames and send little of them."""
    socks = [dial(_MODEL) for _ in range(3)]
    for sock in socks:
        sock.sendall(struct.pack(">I", 4_000_000) + b"\x00" * 10)
    said = _served(hold, 11, args["wait_s"])
    for sock in socks:
        sock.close()
    return said


def _byte_by_byte(hold: Hold, args: Args) -> str:
    """Send a frame one byte at a time; others are served in the middle of it."""
    frame = pack(ask(12))
    said = ""
    with dial(_MODEL) as sock:
        sock.settimeout(args["wait_s"])
        for index, byte in enumerate(frame):
            sock.sendall(bytes((byte,)))
            time.sleep(0.001)
            if index == len(frame) // 2:
                said = _served(hold, 13, args["wait_s"])
        if said != "served":
            return said
        return "served" if _events(sock, 1) else "frame not taken"


def _half_open(hold: Hold, args: Args) -> str:
    """Connections that can say nothing any more, and stay."""
    socks = []
    for _ in range(8):
        sock = dial(_MODEL)
        sock.shutdown(socket.SHUT_WR)
        socks.append(sock)
        time.sleep(0.005)
    said = _served(hold, 14, args["wait_s"])
    for sock in socks:
        sock.close()
    return said


def _connections(hold: Hold, args: Args) -> str:
    """Ten thousand connections, one after the other, as fast as they go."""
    hold.step()
    for number in range(_MANY):
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(f"{RUN}/{_MODEL}")
            if number % 2:
                sock.send(b"\x00")
    return "served" if hold.is_served(args["wait_s"]) else "queue not served"


def _crowd(hold: Hold, args: Args) -> str:
    """As many connections that stay as the kernel lets in; one more would wait for ever."""
    socks = [dial(_MODEL) for _ in range(_AT_ONCE)]
    last = socks[-1]
    last.sendall(pack(ask(16)))
    last.settimeout(_TURNED_AWAY_S)
    try:
        said = "taken" if _events(last, 1) else "closed"
    except TimeoutError:
        said = "waits" if hold.is_served(args["wait_s"]) else "queue not served"
    for sock in socks:
        sock.close()
    return said


def _cancel_foreign(hold: Hold, args: Args) -> str:
    """Cancel, on one connection, the call of another."""
    with dial(_MODEL) as mine, dial(_MODEL) as other:
        mine.sendall(pack(ask(args["call"])))
        time.sleep(0.05)
        other.sendall(pack(Cancel(call=args["call"])))
        time.sleep(0.05)
        hold.step()
        # As long as it takes: a connection that closes takes its calls back, which is no attack.
        hold.waits(_SETTLE_S, lambda: not hold.is_there(hold.last_name))
    return "held"


def _calls(hold: Hold, args: Args) -> str:
    """A thousand calls that are open at once."""
    with dial(_MODEL) as sock:
        sock.sendall(b"".join(pack(ask(call)) for call in range(100, 100 + _CALLS)))
        time.sleep(0.1)
        said = hold.is_served(args["wait_s"])
    return "held" if said else "queue not served"


def _reach(_hold: Hold, args: Args) -> str:
    """Connect to the bell of another session, wherever it may be."""
    for path in args["paths"]:
        with socket.socket(socket.AF_UNIX) as sock, contextlib.suppress(OSError):
            sock.connect(path)
            return "reached"
    return "not there"


def _listen(_hold: Hold, args: Args) -> str:
    """Ask the model and look for a secret of the host's in all that comes back."""
    mark = "".join(args["mark_parts"]).encode()
    heard = b""
    with dial(_MODEL) as sock:
        sock.settimeout(args["wait_s"])
        for call in (20, 21):
            sock.sendall(pack(ask(call)))
            reader = FrameReader()
            while not list(reader.feed(data := sock.recv(65536))):
                heard += data
            heard += data
    words = [word for word in (mark, b"Traceback", b"/usr", b".py", b"sk-") if word in heard]
    failed = decode_tell(heard[4 : 4 + struct.unpack(">I", heard[:4])[0]])
    if not isinstance(failed, Failed):
        return "error: the call did not fail"
    return f"found: {words[0].decode()[:8]}" if words else "nothing"


_DEEP: Final = framed(b"\x81\xa1f" * 100_000 + b"\xc0")
ATTACKS: Final[dict[str, Attack]] = {
    "hello_oversize": _greeting(lambda _hold: struct.pack(">I", 1 << 31)),
    "hello_junk": _greeting(lambda _hold: framed(b"hello")),
    "hello_nested": _greeting(lambda _hold: framed(b"\x91" * 10_000)),
    "hello_version": _greeting(lambda hold: _hello(hold, version=2)),
    "hello_more": _greeting(lambda hold: _hello(hold) * 2),
    "second_hello": _said(_hello),
    "bell_byte": _said(lambda _hold: b"\x00"),
    "in_ahead": _in_ahead,
    "slow_hello": _slow_hello,
    "early": _early,
    "model_oversize": _model_frame(struct.pack(">I", 0xFFFFFFFF)),
    "model_junk": _model_frame(framed(b"junk")),
    "model_empty": _model_frame(framed(b"")),
    "model_nested": _model_frame(_DEEP),
    "model_tag": _model_frame(framed(_encode({"f": "spend", "call": 1}))),
    "model_field": _model_frame(framed(_encode({"f": "cancel", "call": 1, "more": 1}))),
    "model_integer": _model_frame(framed(b"\x82\xa1f\xa6cancel\xa4call\xcf" + b"\xff" * 8)),
    "model_text": _model_frame(framed(b"\x82\xa1f\xa2\xff\xfe\xa4call\x01")),
    "announced": _announced,
    "byte_by_byte": _byte_by_byte,
    "half_open": _half_open,
    "connections": _connections,
    "crowd": _crowd,
    "cancel_foreign": _cancel_foreign,
    "calls": _calls,
    "reach": _reach,
    "listen": _listen,
}
