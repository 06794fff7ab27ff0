"""The link to the airlock: one thread waits on the bell and the model socket and runs the loop.

`serve` waits; `_heard` takes bytes of the bell, `_bind` reads the key, `_look` takes segments,
`_answered` takes model frames, `_carry_out` does what the loop commands. A broken bell means that
the airlock was replaced: the box connects again and says how far it is; what is in `/queue/out`
stays there. A broken model connection means that the open call is put again.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Final

from ironclaw_agent.loop import Loop
from ironclaw_agent.pipe import Pipe, read_small
from ironclaw_agent.rehearsal import rehearse
from ironclaw_agent.segments import Segments
from ironclaw_agent.turn import Publish, Run
from ironclaw_contract.codes import WireCode
from ironclaw_contract.frames import FrameReader, decode_claim, decode_tell, pack
from ironclaw_contract.limits import CONTRACT_VERSION
from ironclaw_contract.records import ContractError, Part, Trouble
from ironclaw_contract.rpc import Bell, Cancel, Failed, Generate, Hello

if TYPE_CHECKING:
    from ironclaw_agent.places import Places
    from ironclaw_agent.tools.table import Toolbox
    from ironclaw_agent.turn import Command
    from ironclaw_contract.rpc import Facts

RESCAN_S: Final = 30.0
"""Between two looks at the queue that nobody rang for: a lost ring may cost no more than this."""
_FULL_S: Final = 0.05
_ROOM_S: Final = 5.0
"""How long a part of a file may wait for room in `/queue/out`."""
_QUIET_S: Final = 0.05
"""After a hello that nobody has answered yet: a ring right behind it would be taken for a part of
it by an airlock that reads both at once."""
_MAX_CLAIM_BYTES: Final = 4096
_READABLE: Final = select.POLLIN
_GONE: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Link:
    """The box's side of one slot, from its first hello to its end.

    Args:
        places: Where the mounts are.
        toolbox: What may run.
        facts: The inside half of the posture, sent while blank.
    """

    def __init__(self, places: Places, toolbox: Toolbox, facts: Facts) -> None:
        self._places = places
        self._toolbox = toolbox
        self._facts = facts
        self._bell = Pipe(places.bell)
        self._model = Pipe(places.model)
        self._frames = FrameReader()
        self._segments: Segments | None = None
        self._loop = Loop(toolbox.specs, recall=toolbox.recall, describe=toolbox.describe)
        toolbox.publish = self._send_part
        self._rescan_at = 0.0
        self._quiet_until = 0.0
        self._owes_ring = False
        self._owes_look = False
        self._owes_asks = False
        """The model connection broke under open calls: they are put again all at once, so nothing
        else is put before."""

    def serve(self) -> None:
        """Serve until the process is told to end.

        Raises:
            ContractError: The host's records are not what follows; a `Trouble` was published.
            OSError: A mount is not there.
        """
        try:
            while True:
                self._wait()
        except ContractError as error:
            self.give_up(error.code, "a record of the host was refused")
            raise

    def give_up(self, code: WireCode, text: str) -> None:
        """Tell the host that this box cannot go on, as far as that still works."""
        if self._segments is not None:
            self._segments.put(Trouble(code=code, text=text))
            self._bell.send(Bell.LOOK.value)

    # --- waiting --------------------------------------------------------------------------------

    def _wait(self) -> None:
        now = time.monotonic()
        deadlines = [self._tend(now)]
        poll = select.poll()
        for pipe in (self._bell, self._model):
            if pipe.is_open:
                poll.register(pipe.fileno(), _READABLE | (select.POLLOUT if pipe.is_full else 0))
            elif pipe is self._bell or self._must_ask_again:
                deadlines.append(pipe.retry_at)
        timeout_s = min(deadlines) - time.monotonic()
        bell, model = self._bell.fileno(), self._model.fileno()
        for fd, events in poll.poll(max(0, round(timeout_s * 1000) + 1)):
            if fd == bell:
                self._bell_ready(events)
            elif fd == model and model == self._model.fileno():
                self._model_ready(events)

    @property
    def _must_ask_again(self) -> bool:
        return self._loop.waits_for_model and self._bell.is_open and not self._model.is_open

    def _tend(self, now: float) -> float:
        """Do what time asks for; return when it asks next, in seconds of the monotonic clock."""
        if not self._bell.is_open and now >= self._bell.retry_at and self._bell.connect(now):
            self._greet()
        if self._must_ask_again and now >= self._model.retry_at:
            self._owes_asks = False
            self._carry_out(self._loop.ask_again())
        if self._segments is None:
            return now + RESCAN_S
        if self._owes_ring and now >= self._quiet_until:
            self._ring()
        if self._segments.has_unpublished:
            if self._segments.flush():
                self._ring()
            else:
                return now + _FULL_S
        if self._owes_look and not self._loop.waits_for_model:
            self._look()
        if self._loop.is_due_for_summary:
            # Whoever speaks now is answered first.
            self._look()
            self._carry_out(self._loop.sum_up())
        if now >= self._rescan_at:
            self._rescan_at = now + RESCAN_S
            self._look()
            self._segments.check_gap()
        return min(self._rescan_at, self._quiet_until) if self._owes_ring else self._rescan_at

    # --- the bell -------------------------------------------------------------------------------

    def _greet(self) -> None:
        segments = self._segments
        hello = (
            Hello(CONTRACT_VERSION, claimed=False, in_seq=0, out_seq=0, facts=self._facts)
            if segments is None
            else Hello(
                CONTRACT_VERSION, claimed=True, in_seq=segments.in_seq, out_seq=segments.out_seq
            )
        )
        self._bell.send(pack(hello))
        if segments is None:
            # The host is proving the launch now: time to spare.
            self._model.connect(time.monotonic())
            rehearse()
        # A ring may have been lost with the former connection.
        self._rescan_at = 0.0
        self._quiet_until = time.monotonic() + _QUIET_S
        if segments is not None and not self._model.is_open and not self._loop.waits_for_model:
            self._model.connect(time.monotonic())

    def _bell_ready(self, events: int) -> None:
        alive = self._bell.flush()
        data = self._bell.receive() if events & (_READABLE | _GONE) else b""
        if data:
            self._heard(data)
        if data is None or not alive:
            self._bell.drop(time.monotonic())
            # The host gave up what was open; the calls are put again once the bell is back.
            self._drop_model()

    def _heard(self, data: bytes) -> None:
        self._quiet_until = 0.0
        if Bell.PING.value in data:
            self._bell.send(Bell.PONG.value)
        if Bell.LOOK.value not in data:
            return
        if self._segments is None:
            self._bind()
        else:
            self._look()

    def _ring(self) -> None:
        self._owes_ring = time.monotonic() < self._quiet_until
        if not self._owes_ring:
            self._bell.send(Bell.LOOK.value)

    def _bind(self) -> None:
        """Take the key into memory. From here on this box is one session's."""
        try:
            raw = read_small(self._places.key, _MAX_CLAIM_BYTES)
        except ValueError as error:
            raise ContractError(WireCode.TOO_LARGE, "the key file is over its limit") from error
        if raw is None:
            return
        claim = decode_claim(raw)
        self._segments = Segments(
            claim, queue_in=self._places.queue_in, queue_out=self._places.queue_out
        )
        self._toolbox.belong(claim.session)
        self._bell.send(Bell.KEY_READ.value)
        self._rescan_at = time.monotonic() + RESCAN_S
        if not self._model.is_open:
            # The host is writing the first segment now: time to spare for the other connection.
            self._model.connect(time.monotonic())
        self._look()

    # --- the queue ------------------------------------------------------------------------------

    def _look(self) -> None:
        """Take what has come; an open turn, which may be told in several segments, all of it.

        A look that finds nothing costs a call through the wall. So none is made when the model has
        just been asked: the host rings for what comes later. A ring within a turn that is joined by
        what it rang for is followed to the end; else all that came waits for the end of the turn.
        """
        self._owes_look = False
        joins = self._loop.steers
        while self._segments is not None and (bodies := self._segments.take()):
            for body in bodies:
                if isinstance(body, Part):
                    self._toolbox.take_part(body)
                else:
                    self._loop.take(body)
            if not self._loop.is_told_of_open_turn:
                self._carry_out(self._loop.settle())
            if self._loop.waits_for_model and not joins:
                self._owes_look = True
                return
        self._carry_out(self._loop.settle())

    def _look_around(self) -> None:
        """Between two calls of a turn that is joined: see whether the host has rung."""
        if self._loop.steers and self._bell.is_open:
            poll = select.poll()
            poll.register(self._bell.fileno(), _READABLE)
            for _, events in poll.poll(0):
                self._bell_ready(events)

    def _carry_out(self, commands: list[Command]) -> None:
        """Do what the loop says; results may bring more to do."""
        todo = list(commands)
        while todo:
            command = todo.pop(0)
            if isinstance(command, Publish):
                if self._segments is not None and self._segments.put(command.body):
                    self._ring()
            elif isinstance(command, Run):
                results = self._toolbox.run_all(
                    command.calls,
                    allowed=command.allowed,
                    turn=command.turn,
                    step=command.step,
                    heard=command.heard,
                )
                self._look_around()
                todo += self._loop.returned(results, self._toolbox.take_says())
            elif isinstance(command, Cancel):
                if self._model.is_open:
                    self._model.send(pack(command))
            else:
                todo += self._ask(command)

    def _send_part(self, part: Part) -> bool:
        """Publish a part of a file now; a tool waits for it, so the queue may not be full long."""
        segments = self._segments
        if segments is None:
            return False
        until = time.monotonic() + _ROOM_S
        if segments.put(part):
            self._ring()
        while segments.has_unpublished:
            if time.monotonic() > until:
                return False
            time.sleep(_FULL_S)
            if segments.flush():
                self._ring()
        return True

    # --- the model ------------------------------------------------------------------------------

    def _ask(self, ask: Generate) -> list[Command]:
        try:
            frame = pack(ask)
        except ContractError:
            return self._loop.told(Failed(call=ask.call, code=WireCode.CONTEXT_TOO_LONG, text=""))
        if not self._model.is_open:
            self._frames = FrameReader()
            now = time.monotonic()
            if self._owes_asks or not self._bell.is_open or not self._model.connect(now):
                # `_tend` tries again when the delay is over.
                self._owes_asks = self._loop.waits_for_model
                self._loop.lost_model()
                return []
        if not self._model.send(frame):
            self._drop_model()
        return []

    def _model_ready(self, events: int) -> None:
        alive = self._model.flush()
        data = self._model.receive() if events & (_READABLE | _GONE) else b""
        try:
            for body in self._frames.feed(data or b""):
                self._carry_out(self._loop.told(decode_tell(body)))
        except ContractError:
            # What follows on this connection cannot be told apart any more.
            self._drop_model()
            self._carry_out(self._loop.abandon(WireCode.MALFORMED))
            return
        if data is None or not alive:
            self._drop_model()

    def _drop_model(self) -> None:
        self._owes_asks = self._loop.waits_for_model
        self._loop.lost_model()
        self._model.drop(time.monotonic())
        self._frames = FrameReader()
