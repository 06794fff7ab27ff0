"""A hostile agent in place of `/sandbox`: speaks the contract, and does what a message orders.

A message is a JSON object `{"do": NAME, ...}`; `greed.ORDERS` has the names. What an order returns
is said to the chat as the answer; an order that never returns is a box that never answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

from ironclaw.prove.probe import greed
from ironclaw.prove.probe.seen import facts
from ironclaw_contract.chain import Chain
from ironclaw_contract.frames import FrameReader, decode_claim, decode_tell, pack
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import CONTRACT_VERSION
from ironclaw_contract.queue_dir import publish, segment_name
from ironclaw_contract.records import Message, Say, Step, TurnEnd
from ironclaw_contract.rpc import Bell, Delta, Facts, Generate, Hello
from ironclaw_contract.segment import read_inbound, seal_segment

if TYPE_CHECKING:
    from ironclaw_contract.records import OutboundBody
    from ironclaw_contract.rpc import ModelTell

_BELL: Final = "/run/ironclaw/bell.sock"
_MODEL: Final = "/run/ironclaw/model.sock"
KEY: Final = "/run/ironclaw/key"
_WAIT_S: Final = 20.0
_MAX: Final = 1 << 23


class Agent:
    """One life: blank, then of one session."""

    def __init__(self) -> None:
        self.bell = connect(_BELL)
        self.key = b""
        self.heard: list[bytes] = []
        """All that the host ever gave, decrypted."""
        self.turn = ""
        self.index = 0
        self._calls = 0

    def serve(self) -> None:
        """Say hello and serve until the end."""
        os.umask(0o007)
        self.bell.sendall(
            pack(
                Hello(
                    CONTRACT_VERSION,
                    claimed=False,
                    in_seq=0,
                    out_seq=0,
                    facts=Facts(**facts()),
                )
            )
        )
        while data := self.bell.recv(4096):
            if Bell.PING.value in data:
                self.bell.sendall(Bell.PONG.value)
            if Bell.LOOK.value in data:
                if not self.key:
                    self._bind()
                self._look()

    def _bind(self) -> None:
        with open(KEY, "rb") as file:  # noqa: PTH123 - no pathlib in a probe
            raw = file.read()
        claim = decode_claim(raw)
        self.key = claim.key
        self.bell.sendall(Bell.KEY_READ.value)
        self._in_keys = derive(claim.key, Direction.IN)
        self._out_keys = derive(claim.key, Direction.OUT)
        self._in, self._out = (
            Chain(keys.record, session=claim.session, direction=direction, epoch=claim.epoch)
            for keys, direction in ((self._in_keys, Direction.IN), (self._out_keys, Direction.OUT))
        )
        self._dir = os.open("/queue/out", os.O_RDONLY | os.O_DIRECTORY)

    def _look(self) -> None:
        while True:
            try:
                with open(f"/queue/in/{segment_name(self._in.seq + 1)}", "rb") as file:  # noqa: PTH123
                    data = file.read()
            except FileNotFoundError:
                return
            for body in read_inbound(self._in_keys, self._in, data):
                self.heard.append(repr(body).encode())
                if isinstance(body, Message) and body.engage:
                    self._obey(body)

    def _obey(self, message: Message) -> None:
        self.turn, self.index = message.message, 0
        order = json.loads(message.text)
        said = greed.obey(self, order)
        self.put(
            TurnEnd(
                turn=self.turn,
                index=self.index,
                entries=(),
                says=(Say(text=said, reply_to=self.turn),),
            )
        )

    def put(self, body: OutboundBody) -> None:
        """Publish a record; wait while there is no room."""
        sealed = seal_segment(self._out_keys, self._out, (body,))
        while True:
            try:
                publish(self._dir, sealed.name, sealed.data, fsync=True)
            except OSError:
                time.sleep(0.02)
            else:
                break
        with contextlib.suppress(OSError):
            self.bell.send(Bell.LOOK.value)

    def step(self) -> None:
        """Publish a part of a turn that does not end."""
        self.put(Step(turn=self.turn, index=self.index, entries=()))
        self.index += 1

    def ask(self, *requests: Generate, within_s: float = 10.0) -> list[ModelTell]:
        """Put calls to the model at once; return the ends that came, in order."""
        with self.open_model() as model:
            model.sendall(b"".join(map(pack, requests)))
            frames = FrameReader()
            ends: list[ModelTell] = []
            until = time.monotonic() + within_s
            while len(ends) < len(requests) and (left := until - time.monotonic()) > 0:
                if not select.select([model], [], [], left)[0] or not (data := model.recv(_MAX)):
                    break
                self.heard.append(data)
                for body in frames.feed(data):
                    tell = decode_tell(body)
                    if not isinstance(tell, Delta):
                        ends.append(tell)
        return ends

    def open_model(self) -> socket.socket:
        """Connect to the model's socket."""
        return connect(_MODEL)

    def call_number(self) -> int:
        """A number that no call of this life has had."""
        self._calls += 1
        return self._calls


def connect(path: str) -> socket.socket:
    """Connect to a socket of the host, which may be a moment late."""
    began = time.monotonic()
    while True:
        end = socket.socket(socket.AF_UNIX)
        try:
            end.connect(path)
        except OSError:
            end.close()
            if time.monotonic() - began > _WAIT_S:
                raise
            time.sleep(0.01)
        else:
            return end


def main() -> None:
    """Be an agent that no polite word ends."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    Agent().serve()


main()
