"""The core's end of one airlock: typed frames over a socketpair, read by whoever owns the session.

Nothing is read ahead beyond what asyncio buffers: a session that is slow to take events slows its
own airlock down, and through it its own box.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
from typing import TYPE_CHECKING, Final, SupportsIndex, assert_never

from ironclaw.airlock.messages import (
    MAX_LINK_BYTES,
    Ack,
    Arrived,
    Ask,
    Bind,
    Check,
    Fault,
    Gone,
    Here,
    Hung,
    KeyTaken,
    Offer,
    Publish,
    Ready,
    Refused,
    StandsStill,
    Tell,
    ToAirlock,
    UseAsked,
    UseTold,
    Verified,
    decode_from_airlock,
    pack,
)
from ironclaw.airlock.watch import Patience, Watch
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.log import get_logger
from ironclaw.domain.wall import (
    Asked,
    AskedTool,
    BoxArrived,
    BoxGone,
    BoxHung,
    KeyRead,
    Outbound,
    Tampered,
)
from ironclaw_contract.limits import MAX_RECORDS
from ironclaw_contract.records import ContractError, Message, Step, TurnEnd, encode_body

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator, Sequence

    from ironclaw.airlock.messages import FromAirlock
    from ironclaw.domain.wall import Claim, LinkEvent
    from ironclaw_contract.records import InboundBody
    from ironclaw_contract.rpc import ModelTell, Used

_Event = Arrived | KeyTaken | Verified | Ask | UseAsked | Gone | Hung | Refused
_log = get_logger(__name__)
_LENGTH: Final = struct.Struct(">I")
_MAX_PUBLISH: Final = 3 * 1024 * 1024
"""Bytes of bodies in one frame, so that they are one segment."""
_AT_ONCE: Final = 16
"""Frames taken without a pause: what has been read already would let nobody else run."""
_END_S: Final = 2.0
"""Seconds an airlock has to end by itself before it is killed."""
_STREAM_BYTES: Final = 1024 * 1024


class _Ear(asyncio.StreamReader):
    """A stream that notes that something came, whether or not anybody takes it."""

    watch: Watch | None = None

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Bytes of the airlock."""
        if self.watch is not None:
            self.watch.heard()
        super().feed_data(data)


async def open_link(
    sock: socket.socket, *, pid: int, name: str, patience: Patience | None = None
) -> Link:
    """Take the core's end of a fresh airlock's link.

    Args:
        sock: The socket; the link's from now on.
        pid: The airlock's process id, as the zygote said it.
        name: The slot, for logs.
        patience: How long the airlock may be silent when it is asked.
    """
    loop = asyncio.get_running_loop()
    reader = _Ear(limit=_STREAM_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await loop.create_unix_connection(lambda: protocol, sock=sock)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    return Link(transport, reader, writer, pid=pid, name=name, patience=patience or Patience())


class Link:
    """Implements `domain.wall.AirlockLink` and `watch.Watched`. Made by `open_link`."""

    def __init__(
        self,
        transport: asyncio.Transport,
        reader: _Ear,
        writer: asyncio.StreamWriter,
        *,
        pid: int,
        name: str,
        patience: Patience,
    ) -> None:
        self._transport = transport
        self._reader = reader
        self._writer = writer
        self._watch = reader.watch = Watch(self, patience)
        self._name = name
        self.pid = pid
        """The airlock's process id."""
        self._header: bytes | None = None
        self._taken = 0
        self._is_over = False
        self.controls: tuple[str, ...] = ()
        """Controls that are in force on this airlock."""
        self.missing: tuple[str, ...] = ()
        """Controls that this machine or user could not offer."""
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._pidfd = -1

    async def ready(self) -> None:
        """Wait until the airlock is confined. Raises HostError (`AIRLOCK_FAILED`)."""
        message = await self._next()
        if not isinstance(message, Ready):
            raise HostError(
                Code.AIRLOCK_FAILED,
                "The airlock ended before it was confined.",
                hint="Run `ironclaw doctor`; the daemon's error output says what it met.",
                detail=message.text if isinstance(message, Fault) else "",
            )
        self.controls, self.missing = message.controls, message.missing

    async def claim(self, claim: Claim) -> None:
        """Give the airlock its session."""
        await self._say(
            Bind(
                session=claim.session,
                epoch=claim.epoch,
                key=claim.key,
                out_seq=claim.out_seq,
                out_hash=claim.out_hash,
            )
        )

    async def publish(self, bodies: Sequence[InboundBody]) -> None:
        """Publish records in order, in as few segments as hold them, and ring."""
        for batch in _batches(bodies):
            owed = [body.message for body in batch if isinstance(body, Message) and body.engage]
            await self._say(Publish(bodies=batch), owed=owed)

    async def ack(self, seq: int) -> None:
        """Outbound records up to `seq` are committed."""
        await self._say(Ack(seq=seq))

    async def tell(self, event: ModelTell) -> None:
        """Send a model event to the box, if it is still there to hear it."""
        await self._say(Tell(event=event))

    async def offer_tools(self, offered: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Let the box have `tools.sock`, or take it away with every connection on it."""
        await self._say(Offer(tools=offered))

    async def tell_tool(self, used: Used) -> None:
        """Answer an `AskedTool`, if whoever asked is still there to hear it."""
        await self._say(UseTold(used=used))

    def stands_still(self, frozen: bool) -> None:  # noqa: FBT001 - one word, one meaning
        """Say whether the box is frozen. The airlock need not answer: nothing waits."""
        if not self._is_over and not self._writer.is_closing():
            self._writer.write(pack(StandsStill(frozen=frozen)))

    async def receive(self) -> LinkEvent | None:
        """Wait for the next event; None when the airlock has ended. May be cancelled safely."""
        while isinstance(message := await self._next(), Here):
            pass
        if message is None:
            return None
        if isinstance(message, Ready | Fault):
            self._over(message.text if isinstance(message, Fault) else "said Ready twice")
            return None
        if isinstance(message, Verified):
            for body in message.bodies:
                if isinstance(body, Step | TurnEnd):
                    over = (body.turn,) if isinstance(body, TurnEnd) else ()
                    for one in (*over, *body.heard):
                        self._watch.settled(one)
        return _event(message)

    def ask(self) -> None:
        """Ask the airlock whether it is there. It may not be reading: nothing waits."""
        if not self._writer.is_closing():
            self._writer.write(pack(Check()))

    def is_reading(self) -> bool:
        """Whether what the airlock says is taken. A core that is behind accuses nobody."""
        return self._transport.is_reading()

    def hung(self) -> None:
        """Kill it: `receive` then says that it has ended, and its session gets another."""
        if self._pidfd >= 0:
            _kill(self._pidfd)
        self._over("it hangs: it was asked and did not answer")

    async def close(self) -> None:
        """End the airlock and wait until its process is gone. Idempotent."""
        self._is_over = True
        self._watch.stop()
        # What an airlock that hangs has not read would be waited for.
        self._transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd < 0:
            return
        try:
            if not await _is_gone(pidfd):
                _kill(pidfd)
                await _is_gone(pidfd)
        finally:
            os.close(pidfd)

    async def _say(self, message: ToAirlock, *, owed: Sequence[str] = ()) -> None:
        if self._is_over or self._writer.is_closing():
            return  # `receive` says that it has ended; what was said is in the ledger
        self._watch.said(owed=owed)
        try:
            self._writer.write(pack(message))
            await self._writer.drain()
        except OSError:
            self._is_over = True

    async def _next(self) -> FromAirlock | None:
        if self._is_over:
            return None
        self._taken += 1
        if self._taken % _AT_ONCE == 0:
            await asyncio.sleep(0)
        try:
            if self._header is None:
                self._header = await self._reader.readexactly(_LENGTH.size)
            (size,) = _LENGTH.unpack(self._header)
            if size > MAX_LINK_BYTES:
                self._over("frame over its limit")
                return None
            body = await self._reader.readexactly(size)
            self._header = None
            return decode_from_airlock(body)
        except (asyncio.IncompleteReadError, OSError):
            self._is_over = True
        except ContractError as error:
            self._over(str(error))
        return None

    def _over(self, why: str) -> None:
        _log.error("airlock_failed", slot=self._name, pid=self.pid, why=why)
        self._is_over = True
        self._watch.stop()
        self._transport.abort()


def _kill(pidfd: int) -> None:
    """Kill a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _batches(bodies: Sequence[InboundBody]) -> Iterator[tuple[InboundBody, ...]]:
    batch: list[InboundBody] = []
    used = 0
    for body in bodies:
        size = len(encode_body(body))
        if batch and (used + size > _MAX_PUBLISH or len(batch) == MAX_RECORDS):
            yield tuple(batch)
            batch, used = [], 0
        batch.append(body)
        used += size
    if batch:
        yield tuple(batch)


def _event(message: _Event) -> LinkEvent:  # noqa: PLR0911 - one return for each kind
    match message:
        case Arrived(hello=hello):
            return BoxArrived(hello)
        case KeyTaken():
            return KeyRead()
        case Verified(first_seq=first, bodies=bodies, last_hash=last_hash):
            return Outbound(first, bodies, last_hash)
        case Ask(ask=ask):
            return Asked(ask)
        case UseAsked(use=use):
            return AskedTool(use)
        case Gone():
            return BoxGone()
        case Hung():
            return BoxHung()
        case Refused(reason=reason):
            return Tampered(reason.value)
        case _:
            assert_never(message)


async def _is_gone(pidfd: int) -> bool:
    """Wait at most `_END_S` until the process has ended; return whether it has."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(_END_S):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(pidfd)
    return True
