"""A host for the agent program: real sockets and segments, and a box that is a plain process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import ironclaw_contract
from ironclaw_contract.chain import Chain
from ironclaw_contract.frames import (
    FrameReader,
    decode_ask,
    decode_hello,
    encode_claim,
    pack,
)
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.queue_dir import list_segments, publish
from ironclaw_contract.records import InboundBody, Message, OutboundBody, Setup
from ironclaw_contract.rpc import Bell, ClaimFile, Generate, Hello, ModelTell, Purpose
from ironclaw_contract.segment import read_outbound, seal_segment

KEY = bytes(range(32))
SESSION = "ses_test"
TIMEOUT_S = 15.0
_SOURCES = Path(ironclaw_contract.__file__).parent.parent
_PROGRAM = (
    "import sys; sys.path[:0] = {paths!r}; "
    "from ironclaw_agent.main import run; sys.exit(run({root!r}))"
)


def message(number: int, text: str = "", *, engage: bool = True, place: str = "") -> Message:
    return Message(
        message=f"msg_{number}",
        sender="Ann",
        text=text or f"text {number}",
        at_ms=0,
        engage=engage,
        place=place,
    )


def setup(**changes: object) -> Setup:
    settings: dict[str, object] = {
        "agent": "tester",
        "persona": "You test.",
        "tools": ("read_file", "write_file", "list_files", "clock"),
    }
    return Setup(**{**settings, **changes})


class Host:
    """The airlock's side, without a wall: one call is one thing that an airlock does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("run/ironclaw", "queue/in", "queue/out", "workspace", "memory", "shared"):
            (root / name).mkdir(parents=True)
        self.epoch = 1
        self.process: subprocess.Popen[bytes] | None = None
        self._listeners: list[socket.socket] = []
        self._reset_queue()
        self.listen()

    # --- processes ------------------------------------------------------------------------------

    def start(self) -> None:
        paths = [str(_SOURCES), *(path for path in sys.path if path.endswith("-packages"))]
        code = _PROGRAM.format(paths=paths, root=str(self.root))
        self.process = subprocess.Popen([sys.executable, "-I", "-c", code], stderr=subprocess.PIPE)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        assert self.process is not None
        _, errors = self.process.communicate(timeout=TIMEOUT_S)
        code, self.process = self.process.returncode, None
        return code, errors.decode()

    def new_life(self) -> None:
        """Kill the box and start the next one, with an empty queue and a new epoch."""
        self.end(signal.SIGKILL)
        self.disconnect()
        for directory in ("queue/in", "queue/out"):
            for path in (self.root / directory).iterdir():
                path.unlink()
        self.epoch += 1
        self._reset_queue()
        self.start()

    def close(self) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)
        self.disconnect()
        for listener in self._listeners:
            listener.close()

    # --- sockets --------------------------------------------------------------------------------

    def listen(self) -> None:
        self._listeners = []
        for name in ("bell", "model"):
            path = self.root / f"run/ironclaw/{name}.sock"
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(TIMEOUT_S)
            self._listeners.append(listener)
        self.bell: socket.socket | None = None
        self.model: socket.socket | None = None
        self._asks = FrameReader()
        self._waiting: list[Generate] = []

    def disconnect(self) -> None:
        for connection in (self.bell, self.model):
            if connection is not None:
                connection.close()
        self.bell = self.model = None
        self._asks = FrameReader()
        self._waiting = []

    def end_airlock(self) -> None:
        # As when a process dies: nobody can still connect once the connections are gone.
        for listener in self._listeners:
            listener.close()
        self.disconnect()

    def replace_airlock(self) -> None:
        self.end_airlock()
        self.listen()

    def hello(self) -> Hello:
        self.bell, _ = self._listeners[0].accept()
        self.bell.settimeout(TIMEOUT_S)
        reader = FrameReader()
        while True:
            for body in reader.feed(self.bell.recv(1)):
                return decode_hello(body)

    def ring(self, byte: Bell = Bell.LOOK) -> None:
        assert self.bell is not None
        self.bell.sendall(byte.value)

    def hear(self) -> bytes:
        assert self.bell is not None
        return self.bell.recv(1)

    def expect(self, *, answer: Bell) -> None:
        heard = self.hear()
        assert answer.value == heard

    def settle(self) -> None:
        """Wait until the box has done all that it was rung for."""
        # It answers a ping before it looks for a ring that came with it, so the second one counts.
        for _ in range(2):
            self.ring(Bell.PING)
            while self.hear() != Bell.PONG.value:
                pass

    def ask(self, *purposes: Purpose) -> Generate:
        """The next call of the model; a summary that is wished for unasked gets no answer."""
        wanted = purposes or (Purpose.TURN, Purpose.RESEARCH)
        if self.model is None:
            self.model, _ = self._listeners[1].accept()
            self.model.settimeout(TIMEOUT_S)
        while not self._waiting:
            data = self.model.recv(65536)
            if not data:
                self.model.close()
                self.model, _ = self._listeners[1].accept()
                self.model.settimeout(TIMEOUT_S)
                continue
            for body in self._asks.feed(data):
                ask = decode_ask(body)
                if isinstance(ask, Generate) and ask.purpose in wanted:
                    self._waiting.append(ask)
        return self._waiting.pop(0)

    def tell(self, tell: ModelTell) -> None:
        assert self.model is not None
        self.model.sendall(pack(tell))

    # --- the queue ------------------------------------------------------------------------------

    def _reset_queue(self) -> None:
        self._in_keys = derive(KEY, Direction.IN)
        self._out_keys = derive(KEY, Direction.OUT)
        place = {"session": SESSION, "epoch": self.epoch}
        self.chain_in = Chain(self._in_keys.record, direction=Direction.IN, **place)
        self.chain_out = Chain(self._out_keys.record, direction=Direction.OUT, **place)
        self._got: list[OutboundBody] = []

    def claim(self) -> None:
        claim = encode_claim(ClaimFile(session=SESSION, epoch=self.epoch, key=KEY))
        (self.root / "run/ironclaw/key").write_bytes(claim)
        self.ring()
        self.expect(answer=Bell.KEY_READ)
        (self.root / "run/ironclaw/key").unlink()

    def publish(self, *bodies: InboundBody, ring: bool = True) -> None:
        sealed = seal_segment(self._in_keys, self.chain_in, bodies)
        fd = os.open(self.root / "queue/in", os.O_RDONLY)
        try:
            publish(fd, sealed.name, sealed.data, fsync=False)
        finally:
            os.close(fd)
        if ring:
            self.ring()

    def outbound(self) -> OutboundBody:
        """The next record of the box; waits for its ring."""
        while not self._read_out():
            self.expect(answer=Bell.LOOK)
        return self._got.pop(0)

    def _read_out(self) -> list[OutboundBody]:
        fd = os.open(self.root / "queue/out", os.O_RDONLY)
        try:
            names = [name for seq, name in list_segments(fd) if seq > self.chain_out.seq]
        finally:
            os.close(fd)
        for name in names:
            data = (self.root / "queue/out" / name).read_bytes()
            self._got.extend(read_outbound(self._out_keys, self.chain_out, data))
        return self._got

    def begin(self, *bodies: InboundBody) -> None:
        """From a started process to a claimed box with its first segment."""
        self.hello()
        self.claim()
        self.publish(*bodies)
