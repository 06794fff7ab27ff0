"""A box that speaks the real protocol over the real sockets, without a sandbox around it."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from ironclaw_contract.chain import Chain
from ironclaw_contract.frames import FrameReader, decode_claim, decode_tell, decode_used, pack
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import CONTRACT_VERSION, MAX_TOOL_FRAME_BYTES
from ironclaw_contract.queue_dir import list_segments
from ironclaw_contract.rpc import Bell, Hello
from ironclaw_contract.segment import read_inbound, seal_segment

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw_contract.records import InboundBody, OutboundBody
    from ironclaw_contract.rpc import ClaimFile, ModelAsk, ModelTell, Use, Used


class FakeBox:
    """Blocking, with timeouts in seconds; run its calls in a thread."""

    def __init__(self, path: Path, uid: int, gid: int) -> None:
        self.path = path
        self._uid = uid
        self._gid = gid
        self.claim: ClaimFile | None = None
        self.bell: socket.socket | None = None
        self.model: socket.socket | None = None
        self.tools: socket.socket | None = None
        self.in_seq = 0
        self._frames = FrameReader()
        self._tool_frames = FrameReader(limit=MAX_TOOL_FRAME_BYTES)

    def connect(self, name: str) -> socket.socket:
        """Connect by a short name, as the gofer does."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(10)
        fd = os.open(self.path / "run", os.O_PATH)
        try:
            sock.connect(f"/proc/self/fd/{fd}/{name}")
        except OSError:
            sock.close()
            raise
        finally:
            os.close(fd)
        return sock

    def hello(self, *, claimed: bool | None = None, in_seq: int | None = None) -> None:
        self.bell = self.connect("bell.sock")
        self.bell.sendall(
            pack(
                Hello(
                    version=CONTRACT_VERSION,
                    claimed=self.claim is not None if claimed is None else claimed,
                    in_seq=self.in_seq if in_seq is None else in_seq,
                    out_seq=self.out.seq if self.claim else 0,
                )
            )
        )

    def wait(self, byte: Bell = Bell.LOOK) -> None:
        assert self.bell is not None
        assert self.bell.recv(1) == byte.value

    def ring(self, byte: Bell = Bell.LOOK) -> None:
        assert self.bell is not None
        self.bell.sendall(byte.value)

    def take_key(self) -> ClaimFile:
        self.wait()
        self.claim = decode_claim((self.path / "run" / "key").read_bytes())
        place = {"session": self.claim.session, "epoch": self.claim.epoch}
        self.in_keys = derive(self.claim.key, Direction.IN)
        self.out_keys = derive(self.claim.key, Direction.OUT)
        self.into = Chain(self.in_keys.record, direction=Direction.IN, **place)
        self.out = Chain(self.out_keys.record, direction=Direction.OUT, **place)
        self.ring(Bell.KEY_READ)
        return self.claim

    def read(self) -> list[InboundBody]:
        bodies: list[InboundBody] = []
        fd = os.open(self.path / "in", os.O_RDONLY | os.O_DIRECTORY)
        try:
            for first, name in list_segments(fd):
                if first > self.in_seq:
                    data = (self.path / "in" / name).read_bytes()
                    bodies += read_inbound(self.in_keys, self.into, data)
                    self.in_seq = self.into.seq
        finally:
            os.close(fd)
        return bodies

    def plant(self, name: str, data: bytes) -> None:
        """Put a file into `out/`, owned by the box."""
        path = self.path / "out" / name
        path.touch()
        with contextlib.suppress(PermissionError):
            os.chown(path, self._uid, self._gid)
        path.write_bytes(data)

    def write(self, *bodies: OutboundBody, ring: bool = True) -> str:
        sealed = seal_segment(self.out_keys, self.out, bodies)
        self.plant("." + sealed.name, sealed.data)
        (self.path / "out" / ("." + sealed.name)).rename(self.path / "out" / sealed.name)
        if ring:
            self.ring()
        return sealed.name

    def ask(self, ask: ModelAsk) -> None:
        if self.model is None:
            self.model = self.connect("model.sock")
        self.model.sendall(pack(ask))

    def told(self) -> ModelTell:
        assert self.model is not None
        while True:
            for body in self._frames.feed(b""):
                return decode_tell(body)
            data = self.model.recv(65536)
            assert data
            for body in self._frames.feed(data):
                return decode_tell(body)

    def use(self, use: Use) -> None:
        """Use a host tool. Raises OSError where there is no socket."""
        if self.tools is None:
            self.tools = self.connect("tools.sock")
            self._tool_frames = FrameReader(limit=MAX_TOOL_FRAME_BYTES)
        self.tools.sendall(pack(use, limit=MAX_TOOL_FRAME_BYTES))

    def used(self) -> Used | None:
        """The next answer; None when the connection was closed."""
        assert self.tools is not None
        data = b""
        while True:
            for body in self._tool_frames.feed(data):
                return decode_used(body)
            data = self.tools.recv(65536)
            if not data:
                self.tools.close()
                self.tools = None
                return None

    def close(self) -> None:
        for sock in (self.bell, self.model, self.tools):
            if sock is not None:
                sock.close()
        self.bell = self.model = self.tools = None
