"""The airlock itself: one thread, one selector, everything it may touch opened beforehand.

`run` confines the process, says `Ready`, and serves until the core closes the link. What the box
does wrong ends the serving (`Refused`), never the core.
"""

from __future__ import annotations

import contextlib
import selectors
import time
from typing import TYPE_CHECKING, Final, assert_never

from ironclaw.airlock.bell import BellSocket
from ironclaw.airlock.messages import (
    MAX_LINK_BYTES,
    Ack,
    Arrived,
    Ask,
    Bind,
    Check,
    Fault,
    FromAirlock,
    Gone,
    Here,
    Hung,
    KeyTaken,
    Offer,
    Publish,
    Ready,
    Refused,
    StandsStill,
    StartAirlock,
    Tell,
    ToAirlock,
    UseAsked,
    UseTold,
    Verified,
    decode_to_airlock,
    pack,
)
from ironclaw.airlock.model import ModelSocket
from ironclaw.airlock.opened import confined
from ironclaw.airlock.pace import Pace
from ironclaw.airlock.queue import InQueue, OutQueue
from ironclaw.airlock.rehearsal import rehearse
from ironclaw.airlock.sockets import Connection, remove
from ironclaw.airlock.tools import ToolSocket
from ironclaw.core.clock import SystemClock
from ironclaw_contract.chain import Refusal, SegmentError
from ironclaw_contract.frames import encode_claim
from ironclaw_contract.queue_dir import publish
from ironclaw_contract.records import ContractError
from ironclaw_contract.rpc import ClaimFile, Hello, ModelAsk, Use

if TYPE_CHECKING:
    import socket

    from ironclaw.airlock.confine import Controls
    from ironclaw.airlock.opened import Opened

_KEY: Final = "key"
_KEY_MODE: Final = 0o440
_MAX_UNACKED: Final = 4
"""Segments handed over before the core must have committed one."""
_CONGESTED: Final = 2 * 1024 * 1024
"""Bytes that wait for the core before the box is no longer read."""
_MAX_UNSENT: Final = 64 * 1024 * 1024


def run(request: StartAirlock, link: socket.socket, controls: Controls) -> None:
    """Be the airlock of one slot until the core closes the link.

    Args:
        request: What the core asked of the zygote.
        link: Our end of the link.
        controls: What the zygote has shut already.
    """
    opened = confined(request, controls)
    airlock = _Airlock(request, link, opened.dirs, selectors.DefaultSelector())
    airlock.remove_key()  # a former airlock was killed while it was out
    with contextlib.suppress(_End):  # the core may be gone already
        airlock.say(Ready(controls=tuple(controls.held), missing=tuple(controls.missing)))
        rehearse()
        airlock.serve(opened)


class _End(Exception):  # noqa: N818 - not an error
    """The core has closed the link, or cannot be told anything more."""


class HostSideError(OSError):
    """The core, or the host's own files, are not as they must be: an end, not an accusation."""


class _Airlock:
    """State of one airlock. Implements `bell.BellOwner`."""

    def __init__(
        self,
        request: StartAirlock,
        link: socket.socket,
        dirs: dict[str, int],
        selector: selectors.BaseSelector,
    ) -> None:
        self._request = request
        self._dirs = dirs
        self._selector = selector
        self._link = Connection(link, frame_bytes=MAX_LINK_BYTES, unsent_bytes=_MAX_UNSENT)
        self._bound: Bind | None = None
        self._in: InQueue | None = None
        self._out: OutQueue | None = None
        self._hello: Hello | None = None
        self._is_key_out = False
        self._bell: BellSocket | None = None
        self._model: ModelSocket | None = None
        self._tools: ToolSocket | None = None
        self._wants_look = False
        self._clock = SystemClock()
        self._pace = Pace(self._clock.monotonic_s())
        self._cpu_s = time.process_time()

    def say(self, message: FromAirlock) -> None:
        """Tell the core."""
        if not self._link.send(pack(message)):
            raise _End

    def serve(self, opened: Opened) -> None:
        """Serve until the end. The loop waits; it never polls."""
        request = self._request
        # What came before is not the box's to pay.
        self._cpu_s = time.process_time()
        self._selector.register(self._link.sock, selectors.EVENT_READ, self._from_core)
        self._bell = BellSocket(
            opened.bell,
            self._selector,
            self,
            self._clock,
            ping_s=request.ping_s,
            pong_s=request.pong_s,
        )
        self._model = ModelSocket(opened.model, self._selector, self._asked)
        self._tools = ToolSocket(
            opened.spares, self._dirs["run"], opened.mode, self._selector, self._used
        )
        try:
            while True:
                self._turn()
        except _End:
            return
        except (OSError, ContractError, MemoryError) as error:
            with contextlib.suppress(_End):
                self.say(Fault(text=f"{type(error).__name__}: {error}"[:500]))
                self._drain()

    def _turn(self) -> None:
        now_s = self._clock.monotonic_s()
        pause_s = self._pace.pause_s(now_s)
        self._mind_the_core(is_pausing=pause_s > 0)
        timeout = pause_s or None
        if not pause_s:
            if self._bell is not None and self._bell.deadline is not None:
                timeout = max(0.0, self._bell.deadline - now_s)
            if self._wants_look and self._may_look():
                timeout = 0.0
        ready = self._selector.select(timeout)
        try:
            for key, events in ready:
                if not self._is_current(key):
                    continue
                if key.fileobj is self._link.sock:
                    # What the core wants is not the box's to pay.
                    self._charge()
                    key.data(events)
                    self._cpu_s = time.process_time()
                else:
                    key.data(events)
            if self._bell is not None and not pause_s:
                self._bell.tick()
            if self._wants_look and self._may_look() and not pause_s:
                self._look()
        except SegmentError as error:
            self._refuse(error.reason)
        self._charge()

    def _is_current(self, key: selectors.SelectorKey) -> bool:
        """Whether no handler before it has closed it, or changed what is waited for."""
        try:
            return self._selector.get_map()[key.fileobj] is key
        except (KeyError, ValueError):  # not waited for; closed as well
            return False

    def _charge(self) -> None:
        """Put what was used of the processor since the last time on the box's account."""
        before_s, self._cpu_s = self._cpu_s, time.process_time()
        self._pace.spent(self._cpu_s - before_s)

    def _mind_the_core(self, *, is_pausing: bool) -> None:
        """Read the box only as fast as the core takes what is said, and as the box may cost."""
        is_congested = self._link.unsent > _CONGESTED
        if self._bell is not None:
            self._bell.pause(is_congested or is_pausing, reading=not is_pausing)
        if self._model is not None:
            self._model.pause(is_congested or is_pausing or self._is_too_early())
        if self._tools is not None:
            self._tools.pause(is_congested or is_pausing or self._is_too_early())
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._link.unsent else 0)
        if self._selector.get_key(self._link.sock).events != wanted:
            self._selector.modify(self._link.sock, wanted, self._from_core)

    # --- the core -----------------------------------------------------------------------------

    def _from_core(self, events: int) -> None:
        if events & selectors.EVENT_WRITE and not self._link.flush():
            raise _End
        if not events & selectors.EVENT_READ:
            return
        data = self._link.receive()
        if data is None:
            raise _End
        for body in self._link.frames(data):
            self._told(decode_to_airlock(body))

    def _told(self, message: ToAirlock) -> None:
        match message:
            case Bind():
                self._bind(message)
            case Publish(bodies=bodies):
                if self._in is None:
                    raise HostSideError("publish before bind")
                self._in.publish(bodies)
                self._pace.message()
                self._ring()
            case Ack(seq=seq):
                if self._out is not None:
                    self._out.acked(seq)
            case Tell() | Offer() | UseTold():
                self._pass_on(message)
            case Check():
                self.say(Here())
            case StandsStill(frozen=frozen):
                if self._bell is not None:
                    self._bell.expect(not frozen)
            case _:
                assert_never(message)

    def _pass_on(self, message: Tell | Offer | UseTold) -> None:
        if self._model is None or self._tools is None:
            return  # the box was refused
        match message:
            case Tell(event=event):
                self._model.tell(event)
            case Offer(tools=tools):
                self._tools.offer(tools)
            case UseTold(used=used):
                self._tools.tell(used)
            case _:
                assert_never(message)

    def _bind(self, bind: Bind) -> None:
        place = (bind.session, bind.epoch, bind.key)
        self._bound = bind
        try:
            self._in = InQueue(self._dirs["in"], *place)
        except SegmentError as error:
            # We wrote these files: a box cannot. So it is not the box that is accused.
            raise HostSideError(f"in/ is not what was published ({error.reason})") from error
        self._out = OutQueue(
            self._dirs["out"],
            *place,
            out_seq=bind.out_seq,
            out_hash=bind.out_hash,
            box_uid=self._request.box_uid,
        )
        self._wants_look = True
        self._welcome()

    # --- the box ------------------------------------------------------------------------------

    def on_hello(self, hello: Hello) -> None:
        """Tell the core; hand over the key when there is one to hand over."""
        self._hello = hello
        self.say(Arrived(hello=hello))
        self._wants_look = True
        self._welcome()

    def on_look(self) -> None:
        """Look at `out/` before the next wait."""
        self._wants_look = True

    def on_key_read(self) -> None:
        """Remove the key file, then show what there is to read."""
        if self._is_key_out:
            self.remove_key()
            self._is_key_out = False
            self.say(KeyTaken())
            if self._in is not None and self._in.seq:
                self._ring()

    def on_gone(self) -> None:
        """A box that is gone needs no key; one that comes back says whether it has it."""
        self._hello = None
        if self._is_key_out:
            self.remove_key()
            self._is_key_out = False
        if self._model is not None:
            self._model.forget()
        self.say(Gone())

    def on_hung(self) -> None:
        """Tell the core, which decides."""
        self.say(Hung())

    def _asked(self, ask: ModelAsk) -> None:
        if self._bound is None:
            raise SegmentError(Refusal.FRAME, "a blank box has nothing to ask")
        self.say(Ask(ask=ask))

    def _used(self, use: Use) -> None:
        if self._bound is None:
            raise SegmentError(Refusal.FRAME, "a blank box has nothing to do")
        self.say(UseAsked(use=use))

    def _welcome(self) -> None:
        bind, hello = self._bound, self._hello
        if bind is None or hello is None or self._in is None:
            return
        if hello.in_seq > self._in.seq:
            raise SegmentError(Refusal.GAP, "the box has read what was never written")
        if hello.claimed:
            self._in.taken(hello.in_seq)
        else:
            claim = ClaimFile(session=bind.session, epoch=bind.epoch, key=bind.key)
            publish(self._dirs["run"], _KEY, encode_claim(claim), fsync=False, mode=_KEY_MODE)
            self._is_key_out = True
        self._ring()

    def _is_too_early(self) -> bool:
        """Whether a box that had a former airlock may be asking before the core has bound us.

        It lost its calls with that airlock and puts them again at once. Only a box that says it is
        blank has nothing to ask.
        """
        return self._bound is None and (self._hello is None or self._hello.claimed)

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.ring()

    def _may_look(self) -> bool:
        return (
            self._out is not None
            and self._out.unacked < _MAX_UNACKED
            and self._link.unsent <= _CONGESTED
        )

    def _look(self) -> None:
        out, into = self._out, self._in
        if out is None or into is None:
            return
        found = False
        while self._may_look():
            taken = out.take()
            if taken is None:
                self._wants_look = False
                break
            found = True
            into.answered(taken.bodies)
            self.say(
                Verified(first_seq=taken.first_seq, bodies=taken.bodies, last_hash=taken.last_hash)
            )
        if not found:
            out.tidy()

    def _refuse(self, reason: Refusal) -> None:
        self._close_box()
        self.say(Refused(reason=reason))

    def _close_box(self) -> None:
        for part in (self._bell, self._model, self._tools):
            if part is not None:
                part.close()
        self._bell = self._model = self._tools = self._out = None
        self._wants_look = False
        self.remove_key()

    def remove_key(self) -> None:
        """Remove the key file, and one that was being written."""
        for name in (_KEY, "." + _KEY):
            remove(self._dirs["run"], name)

    def _drain(self) -> None:
        self._link.sock.setblocking(True)
        self._link.flush()
