"""A hostile agent's hold on its walls: bell, key, queues; all that the real one has.

`next_order` behaves: hello, key, records in their order, pongs. What an attack does with the rest
is up to it; `end` tells the host, as an honest record, what came of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ironclaw.prove.probe.seen import RUN, dial, facts
from ironclaw_contract.chain import Chain
from ironclaw_contract.frames import decode_claim, pack
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import CONTRACT_VERSION
from ironclaw_contract.queue_dir import publish, segment_name
from ironclaw_contract.records import Message, Say, Step, TurnEnd
from ironclaw_contract.rpc import ClaimFile, Facts, Hello
from ironclaw_contract.segment import read_inbound, seal_segment

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from ironclaw_contract.records import OutboundBody

IN: Final = "/queue/in"
OUT: Final = "/queue/out"
_TICK_S: Final = 0.005
_ENDING_S: Final = 0.3
_HEARD_S: Final = 1.0
_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Order(NamedTuple):
    """One attack, as the host asks for it in a message."""

    turn: str
    attack: str
    args: dict[str, Any]


class Hold:
    """The box's side of one session."""

    def __init__(self) -> None:
        self.bell: socket.socket | None = None
        self.kept: list[socket.socket] = []
        """What an attack left open on purpose, until the next order."""
        self.early = b""
        """What is sent to the next airlock right behind a blank box's hello."""
        self.claim: ClaimFile | None = None
        self.turn = ""
        self.last_sent = b""
        """Bytes of the last honest segment."""
        self.last_name = ""
        self.into = os.open(IN, _FLAGS)
        self.out = os.open(OUT, _FLAGS)
        self._in: Chain | None = None
        self._chain: Chain | None = None
        self._orders: list[Order] = []

    # --- honest ---------------------------------------------------------------------------------

    def greet(self, **lies: Any) -> socket.socket:
        """Open a bell and say hello; `lies` replace what is true."""
        bell = dial("bell.sock")
        truth = {
            "version": CONTRACT_VERSION,
            "claimed": self.claim is not None,
            "in_seq": self._in.seq if self._in else 0,
            "out_seq": 0,
            "facts": None if self.claim else Facts(**facts()),
        }
        bell.sendall(pack(Hello(**(truth | lies))))
        return bell

    def greet_again(self) -> None:
        """Hang up, greet honestly, and wait until the airlock has heard it.

        A ring right behind a hello would be taken for a part of it.
        """
        self.drop()
        self.bell = self.greet()
        select.select([self.bell], [], [], _HEARD_S)

    def next_order(self) -> Order:
        """Wait, as a real agent does, for the next order."""
        while not self._orders:
            try:
                bell = self.bell or self._reconnect()
                select.select([bell], [], [])
                self._hear(bell)
            except OSError:
                # An airlock may be replaced at any moment; the next one is greeted.
                self.drop()
        while self.kept:
            self.kept.pop().close()
        return self._orders.pop(0)

    def _reconnect(self) -> socket.socket:
        early = self.early
        if early:
            # A former airlock that is just ending would take it to its grave.
            time.sleep(_ENDING_S)
        self.bell = self.greet(claimed=False) if early else self.greet()
        if early:
            model = dial("model.sock")
            model.sendall(early)
            self.kept.append(model)
            self.early = b""
        return self.bell

    def _hear(self, bell: socket.socket) -> None:
        try:
            said = bell.recv(4096)
        except OSError:
            said = b""
        if not said:
            self.drop()
        if b"P" in said:
            bell.sendall(b"O")
        if b"L" in said:
            if self.claim is None:
                self._take_key(bell)
            self.read()

    def _take_key(self, bell: socket.socket) -> None:
        with contextlib.suppress(FileNotFoundError), open(f"{RUN}/key", "rb") as file:  # noqa: PTH123 - no pathlib in a probe
            self.claim = decode_claim(file.read())
            self._in = self.chain_of(Direction.IN)
            bell.sendall(b"K")

    def read(self) -> None:
        """Take what the host has published."""
        while self.claim is not None and self._in is not None:
            try:
                with open(f"{IN}/{segment_name(self._in.seq + 1)}", "rb") as file:  # noqa: PTH123 - no pathlib in a probe
                    data = file.read()
            except FileNotFoundError:
                return
            for body in read_inbound(derive(self.claim.key, Direction.IN), self._in, data):
                if isinstance(body, Message):
                    told = json.loads(body.text)
                    self._place(told["seq"], bytes.fromhex(told["last"]))
                    self.turn = body.message
                    self._orders.append(Order(body.message, told["attack"], told["args"]))

    def end(self, text: str) -> None:
        """Tell the host what came of it."""
        say = Say(text=text[:1000], reply_to=self.turn)
        self.send(TurnEnd(turn=self.turn, index=1, entries=(), says=(say,)))

    def step(self) -> str:
        """Send an honest record in the middle of a turn; return its file's name."""
        return self.send(Step(turn=self.turn, index=0, entries=()))

    def send(self, body: OutboundBody) -> str:
        """Publish one honest record; return its file's name."""
        sealed = seal_segment(self.keys(Direction.OUT), self.chain, (body,))
        self.last_sent, self.last_name = sealed.data, sealed.name
        publish(self.out, sealed.name, sealed.data, fsync=False)
        self.ring()
        return sealed.name

    # --- what attacks are made of ---------------------------------------------------------------

    @property
    def chain(self) -> Chain:
        """The outbound chain where the host has it."""
        if self._chain is None:
            raise ValueError("there is no claim yet")
        return self._chain

    @property
    def key(self) -> bytes:
        """The session's key."""
        if self.claim is None:
            raise ValueError("there is no claim yet")
        return self.claim.key

    def keys(self, direction: Direction) -> Any:
        """Keys of a direction."""
        return derive(self.key, direction)

    def fork(self, **changes: Any) -> Chain:
        """The outbound chain where it is, or somewhere else."""
        chain = self.chain
        place = {"seq": chain.seq, "last": chain.last if chain.seq else b""}
        return self.chain_of(Direction.OUT, **(place | changes))

    def chain_of(self, direction: Direction, **changes: Any) -> Chain:
        """A chain of this session, or of another."""
        claim = self.claim
        if claim is None:
            raise ValueError("there is no claim yet")
        place: dict[str, Any] = {
            "key": derive(claim.key, direction).record,
            "session": claim.session,
            "epoch": claim.epoch,
            "direction": direction,
        }
        return Chain(**(place | changes))

    @property
    def next(self) -> str:
        """The only name that a segment may have now."""
        return segment_name(self.chain.seq + 1)

    def plant(self, data: bytes, *, name: str = "", mode: int = 0o640) -> None:
        """Put a file into the queue and ring."""
        publish(self.out, name or self.next, data, fsync=False, mode=mode)
        if mode & ~0o777:
            os.chmod(name or self.next, mode, dir_fd=self.out)
        self.ring()

    def ring(self) -> None:
        """Tell the airlock to look."""
        if self.bell is not None:
            with contextlib.suppress(OSError):
                self.bell.sendall(b"L")

    def drop(self) -> None:
        """Give the bell up."""
        if self.bell is not None:
            self.bell.close()
        self.bell = None

    def is_cut(self) -> bool:
        """Whether the airlock has closed the bell."""
        if self.bell is None:
            return True
        if not select.select([self.bell], [], [], 0)[0]:
            return False
        try:
            # What it says meanwhile is a ring for records, which `read` finds anyway.
            return self.bell.recv(4096) == b""
        except OSError:
            return True

    def waits(self, seconds: float, until: Callable[[], bool]) -> bool:
        """Wait for something, but not once the bell is cut; return whether it came."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline or self.is_cut():
                return until()
            time.sleep(_TICK_S)
        return True

    def is_there(self, name: str) -> bool:
        """Whether the queue holds that name."""
        return name in os.listdir(self.out)  # noqa: PTH208 - an open directory

    def is_served(self, seconds: float) -> bool:
        """Whether an honest record is taken in time."""
        name = self.step()
        return self.waits(seconds, lambda: not self.is_there(name))

    def _place(self, seq: int, last: bytes) -> None:
        self._chain = self.chain_of(Direction.OUT, seq=seq, last=last)
