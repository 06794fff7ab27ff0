"""Ways to serve a box's sockets without one of the airlock's controls, for twins alone."""

# ruff: noqa: SLF001 - what is taken away has no handle

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.airlock import bell, model, process, served, sockets
from ironclaw.airlock.messages import Ask
from ironclaw.prove.airlock.weak import patch
from ironclaw_contract.frames import decode_ask, decode_hello
from ironclaw_contract.limits import CONTRACT_VERSION, MAX_FRAME_BYTES
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import Bell, Cancel, Hello

if TYPE_CHECKING:
    from ironclaw.airlock.sockets import Connection
    from ironclaw_contract.rpc import ModelAsk

_LARGE: Final = 1 << 40
_LENGTH: Final = 4
_HOUR_S: Final = 3600.0


def allow_large_hellos() -> None:
    """Wait for a hello of any length."""
    patch(bell, "MAX_HELLO_BYTES", _LARGE)


def allow_large_frames() -> None:
    """Wait for a model frame of any length."""
    patch(model, "MAX_FRAME_BYTES", _LARGE)


def wait_for_hello() -> None:
    """Wait for a hello as long as it takes."""
    patch(bell, "_HELLO_S", _HOUR_S)


def greet_anybody() -> None:
    """Take whatever comes first for a hello."""
    decode = decode_hello

    def weak(body: bytes) -> Hello:
        try:
            return msgspec.structs.replace(decode(body), version=CONTRACT_VERSION)
        except ContractError:
            return Hello(version=CONTRACT_VERSION, claimed=True, in_seq=0, out_seq=0)

    patch(bell, "decode_hello", weak)


def allow_more_than_hello() -> None:
    """Pass over what stands behind a hello."""
    patch(sockets.Connection, "has_pending", False)


def pass_over_bytes() -> None:
    """Pass over bytes that the bell does not know."""
    heard = bell.BellSocket._heard
    known = {each.value for each in Bell}

    def weak(self: bell.BellSocket, byte: bytes) -> None:
        if byte in known:
            heard(self, byte)

    patch(bell.BellSocket, "_heard", weak)


def believe_in_seq() -> None:
    """Believe whatever a box says to have read."""
    welcome = process._Airlock._welcome

    def weak(self: process._Airlock) -> None:
        if self._hello is not None and self._in is not None:
            seen = min(self._hello.in_seq, self._in.seq)
            self._hello = msgspec.structs.replace(self._hello, in_seq=seen)
        welcome(self)

    patch(process._Airlock, "_welcome", weak)


def ask_anything() -> None:
    """Take a frame that is not of the contract for another one."""
    decode = decode_ask

    def weak(body: bytes) -> ModelAsk:
        try:
            return decode(body)
        except ContractError:
            return Cancel(call=1)

    patch(model, "decode_ask", weak)


def ask_at_any_time() -> None:
    """Let a box ask that has no session yet."""

    def weak(self: process._Airlock, ask: ModelAsk) -> None:
        self.say(Ask(ask=ask))

    patch(process._Airlock, "_asked", weak)


def cancel_for_anybody() -> None:
    """Pass every cancel on."""
    asked = model.ModelSocket._asked

    def weak(self: model.ModelSocket, connection: Connection, ask: ModelAsk) -> None:
        if isinstance(ask, Cancel):
            self._ask(ask)
        else:
            asked(self, connection, ask)

    patch(model.ModelSocket, "_asked", weak)


def allow_many_calls() -> None:
    """Have any number of calls open."""
    patch(model, "_MAX_CALLS", _LARGE)


def allow_many_connections() -> None:
    """Take any number of connections."""
    patch(served, "_MAX_CONNECTIONS", _LARGE)


def wait_for_frames() -> None:
    """Wait for the rest of a frame, and do nothing else."""
    receive = sockets.Connection.receive

    def weak(self: Connection) -> bytes | None:
        data = receive(self)
        if not data or self._reader._limit != MAX_FRAME_BYTES or self.has_pending:
            return data
        self.sock.setblocking(True)
        while len(data) < _LENGTH or len(data) < _LENGTH + int.from_bytes(data[:_LENGTH], "big"):
            more = self.sock.recv(_LENGTH)
            if not more:
                break
            data += more
        self.sock.setblocking(False)
        return data

    patch(sockets.Connection, "receive", weak)


def keep_the_gone() -> None:
    """Keep a connection that can say nothing any more."""
    receive = sockets.Connection.receive

    def weak(self: Connection) -> bytes | None:
        data = receive(self)
        return b"" if data is None and self._reader._limit == MAX_FRAME_BYTES else data

    patch(sockets.Connection, "receive", weak)
