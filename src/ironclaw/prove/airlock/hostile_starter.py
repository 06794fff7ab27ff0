"""The core's end of hostile airlocks: starts them as production does, and hears how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, Final, Self

import msgspec

from ironclaw.airlock.link import open_link
from ironclaw.airlock.messages import (
    MAX_LINK_BYTES,
    Fault,
    Ready,
    decode_from_airlock,
)
from ironclaw.airlock.starter import AirlockStarter
from ironclaw.prove.airlock.hostile import MODULE, Plan, ending
from ironclaw.prove.model import ERROR, MAX_OUTCOME_CHARS, could_not

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from ironclaw.airlock.link import Link
    from ironclaw.domain.wall import SlotDir
    from ironclaw.prove.airlock.hostile_prey import Order

_ATTACK_S: Final = 10.0
_LENGTH: Final = struct.Struct(">I")


class HostileStarter(AirlockStarter):
    """Starts airlocks that attack. Use it as an async context.

    Args:
        place: Directory of the core's for the socket on which endings are told.
        removed: Controls to go without.
        told: Secrets that the zygote is told, in a twin.
    """

    def __init__(
        self, place: Path, *, removed: Sequence[str] = (), told: Sequence[str] = ()
    ) -> None:
        self._path = place / "deaths.sock"
        plan = Plan(str(self._path), tuple(removed), tuple(told))
        super().__init__(zygote=(MODULE, msgspec.json.encode(plan).decode()))
        self._deaths = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._deaths.setblocking(False)

    async def __aenter__(self) -> Self:
        self._deaths.bind(os.fspath(self._path))
        return await super().__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await super().__aexit__(exc_type, exc, traceback)
        self._deaths.close()
        self._path.unlink(missing_ok=True)

    async def attack(self, directory: SlotDir, order: Order) -> str:
        """Start an airlock on a slot, have it attack, and say what came of it."""
        link, pid = await self._ordered(directory, order)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ATTACK_S):
                ready = decode_from_airlock(await _frame(link))
                if not isinstance(ready, Ready):
                    text = ready.text if isinstance(ready, Fault) else type(ready).__name__
                    return f"{ERROR}it was not confined: {text}"
                said = await loop.sock_recv(link, 4 * MAX_OUTCOME_CHARS)
        except (TimeoutError, OSError, ValueError) as error:
            return could_not(error)
        finally:
            link.close()
            end = await self._end_of(pid)
        return said.decode("utf-8", "replace").strip() if said else end

    @contextlib.asynccontextmanager
    async def standing(self, directory: SlotDir, order: Order) -> AsyncIterator[Link]:
        """Start one and take its link, as the core does; end it on leaving.

        Raises:
            HostError: It was not confined.
        """
        sock, pid = await self._ordered(directory, order)
        link = await open_link(sock, pid=pid, name=directory.slot)
        try:
            async with asyncio.timeout(_ATTACK_S):
                await link.ready()
            yield link
        finally:
            await link.close()

    async def _ordered(self, directory: SlotDir, order: Order) -> tuple[socket.socket, int]:
        sock, pid = await self._fork(self._request(directory))
        told = msgspec.structs.replace(order, zygote_pid=self.zygote_pid)
        with contextlib.suppress(OSError):  # one that has ended says so itself, or its end does
            sock.send(msgspec.json.encode(told) + b"\n")
        return sock, pid

    async def _end_of(self, pid: int) -> str:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_ATTACK_S):
                while True:
                    who, status = (await loop.sock_recv(self._deaths, 64)).split()
                    if int(who) == pid:
                        return ending(int(status))
        except TimeoutError:
            return f"{ERROR}it did not end"


async def _frame(sock: socket.socket) -> bytes:
    (size,) = _LENGTH.unpack(await _exactly(sock, _LENGTH.size))
    if size > MAX_LINK_BYTES:
        raise ValueError(f"a frame of {size} bytes")
    return await _exactly(sock, size)


async def _exactly(sock: socket.socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = bytearray()
    while len(data) < size:
        more = await loop.sock_recv(sock, size - len(data))
        if not more:
            raise ValueError("it ended before it was confined")
        data += more
    return bytes(data)
