"""Starts airlocks and sweeps: the core's end of the zygote."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import ironclaw
from ironclaw.airlock.link import open_link
from ironclaw.airlock.messages import (
    MAX_TOLD_BYTES,
    Start,
    StartAirlock,
    StartCount,
    StartMemory,
    StartSweep,
    decode_counted,
    decode_memory,
    decode_started,
    pack_control,
)
from ironclaw.airlock.sweep import DONE
from ironclaw.airlock.watch import Patience
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.log import get_logger
from ironclaw.domain.disk import Holding, Usage
from ironclaw.domain.memories import MemoryAnswer, TopicView, pack

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from ironclaw.airlock.link import Link
    from ironclaw.domain.memories import MemoryAsk
    from ironclaw.domain.wall import Box, SlotDir

_log = get_logger(__name__)
_START_S: Final = 10.0
"""Seconds for one fork, and for a fresh airlock to be confined."""
_SWEEP_S: Final = 60.0
_COUNT_S: Final = 20.0
_MEMORY_S: Final = 15.0
_ROOT: Final = str(Path(ironclaw.__file__).parent.parent)
# `-I` ignores the environment and the working directory; the code is the core's own.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from {} import main; main(int(sys.argv[2]))"
)
_ZYGOTE: Final = ("ironclaw.airlock.zygote",)


class AirlockStarter:
    """Implements `domain.wall.Airlocks`. Use it as an async context; leaving it ends the zygote.

    Args:
        ping_s: Seconds between the watchdog's pings of a box.
        pong_s: Seconds a box has to answer one.
        patience: How long an airlock itself may be silent.
        zygote: The module whose `main` is the zygote, then arguments for it: a proof of the
            airlock's confinement brings a hostile one.
    """

    def __init__(
        self,
        *,
        ping_s: float = 60.0,
        pong_s: float = 30.0,
        patience: Patience | None = None,
        zygote: Sequence[str] = _ZYGOTE,
    ) -> None:
        self._zygote = zygote
        self._patience = patience
        self._ping_s = ping_s
        self._pong_s = pong_s
        self._lock = asyncio.Lock()
        self._control: socket.socket | None = None
        self._is_weakness_said = False
        self.zygote_pid = 0
        """The zygote's process id; 0 when none runs."""

    async def __aenter__(self) -> Self:
        async with self._lock:
            self._ensure_zygote()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        async with self._lock:
            await asyncio.to_thread(self._end_zygote)

    async def start(self, directory: SlotDir) -> Link:
        """Start a confined airlock on a slot's directories.

        Raises:
            HostError: `AIRLOCK_FAILED`.
        """
        ours, pid = await self._fork(self._request(directory))
        link = await open_link(ours, pid=pid, name=directory.slot, patience=self._patience)
        try:
            async with asyncio.timeout(_START_S):
                await link.ready()
        except TimeoutError as error:
            await link.close()
            raise _failed("The airlock was not confined in time.") from error
        except BaseException:
            await link.close()
            raise
        if link.missing and not self._is_weakness_said:
            self._is_weakness_said = True
            _log.warning("airlock_weaker", slot=directory.slot, missing=list(link.missing))
        return link

    def _request(self, directory: SlotDir) -> StartAirlock:
        return StartAirlock(
            path=str(directory.path),
            uid=directory.airlock_uid,
            gid=directory.group,
            box_uid=directory.box_uid,
            ping_s=self._ping_s,
            pong_s=self._pong_s,
        )

    async def sweep(self, directory: SlotDir) -> None:
        """Empty the slot's `out/`.

        Raises:
            HostError: `AIRLOCK_FAILED`, when something in it does not go.
        """
        await self.sweep_path(directory.path / "out", uid=directory.box_uid, gid=directory.group)

    async def sweep_path(self, path: Path, *, uid: int, gid: int) -> None:
        """Empty any directory that a box of that uid and gid could write; it stays itself.

        Raises:
            HostError: `AIRLOCK_FAILED`, when something in it does not go.
        """
        ours, _ = await self._fork(StartSweep(path=str(path), uid=uid, gid=gid))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_SWEEP_S):
                report = await loop.sock_recv(ours, 256)
        except TimeoutError as error:
            raise _failed("A sweep did not end in time.") from error
        finally:
            ours.close()
        if report != DONE:
            raise _failed("A sweep did not empty its directory.", report.decode("ascii", "replace"))

    async def count(
        self,
        directory: SlotDir,
        box: Box | None,
        *,
        workspace: Path,
        memory: Path,
        most_files: int,
    ) -> Holding:
        """Count what a box holds in its durable directories, in a confined process.

        Raises:
            HostError: `AIRLOCK_FAILED`.
        """
        base = Path(os.path.commonpath((workspace, memory)))
        names = tuple(str(path.relative_to(base)) for path in (workspace, memory))
        request = StartCount(
            base=str(base),
            names=names,
            uid=directory.box_uid,
            gid=directory.group,
            pids=() if box is None else tuple(pid for pid in (box.pid, box.gofer) if pid),
            most_files=most_files,
        )
        ours, _ = await self._fork(request)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_COUNT_S):
                raw = await loop.sock_recv(ours, 4096)
            counted = decode_counted(raw)
        except (TimeoutError, OSError, ValueError) as error:
            raise _failed("What a box holds was not counted.", str(error)) from error
        finally:
            ours.close()
        if counted.error or len(counted.places) != len(names):
            raise _failed("What a box holds could not be counted.", counted.error)
        found, kept = (Usage(place.bytes, place.files, place.is_whole) for place in counted.places)
        return Holding(found._replace(bytes=found.bytes + counted.held_bytes), kept)

    async def memory(self, path: Path, *, uid: int, gid: int, ask: MemoryAsk) -> MemoryAnswer:
        """Look into an agent's memory or change it, in a confined process.

        Args:
            path: The memory.
            uid: Who may write there.
            gid: That one's group.
            ask: What is to be done.

        Raises:
            HostError: `AIRLOCK_FAILED`.
        """
        data = ask.data or pack(ask.foreign)
        size = len(data)
        start = StartMemory(str(path), uid, gid, ask.act, ask.topic, ask.session, ask.was, size)
        ours, _ = await self._fork(start)
        try:
            async with asyncio.timeout(_MEMORY_S):
                if data:
                    # One that failed early has ended; its report says why.
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        await asyncio.get_running_loop().sock_sendall(ours, data)
                told = decode_memory(await _receive_all(ours, MAX_TOLD_BYTES))
        except (TimeoutError, OSError, ValueError) as error:
            raise _failed("An agent's memory was not looked into.", str(error)) from error
        finally:
            ours.close()
        if told.error:
            raise _failed("An agent's memory could not be looked into or changed.", told.error)
        return MemoryAnswer(
            topics=tuple(
                TopicView(
                    topic=topic.name,
                    bytes=topic.bytes,
                    notes=topic.notes,
                    tainted=topic.tainted,
                    changed_ms=topic.changed_ms,
                )
                for topic in told.topics
            ),
            is_whole=told.is_whole,
            text=told.text,
            removed=told.removed,
            refused=told.refused,
            is_changed=told.is_changed,
        )

    async def _fork(self, request: Start) -> tuple[socket.socket, int]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                pid = await self._ask(request, theirs.fileno())
        except BaseException:
            ours.close()
            raise
        return ours, pid

    async def _ask(self, request: Start, fd: int) -> int:
        loop = asyncio.get_running_loop()
        async with self._lock:
            control = self._ensure_zygote()
            try:
                async with asyncio.timeout(_START_S):
                    socket.send_fds(control, [pack_control(request)], [fd])
                    raw = await loop.sock_recv(control, 4096)
                return decode_started(raw).pid
            except BaseException as error:
                # An answer that comes late would be taken for the next one's: start afresh.
                await asyncio.to_thread(self._end_zygote)
                if isinstance(error, OSError | ValueError | TimeoutError):
                    raise _failed("The zygote did not fork an airlock.", str(error)) from error
                raise

    def _ensure_zygote(self) -> socket.socket:
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            ours.setblocking(False)
            module, *arguments = self._zygote
            argv = [sys.executable, "-I", "-c", _BOOT.format(module), _ROOT, "3", *arguments]
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)]
            if theirs.fileno() == 3:  # noqa: PLR2004 - dup2 onto itself keeps close-on-exec
                os.set_inheritable(3, True)
                actions = []
            try:
                self.zygote_pid = os.posix_spawn(
                    sys.executable, argv, {"PATH": "/usr/bin:/bin"}, file_actions=actions
                )
            except OSError as error:
                ours.close()
                raise _failed("The zygote did not start.", str(error)) from error
        self._control = ours
        return ours

    def _end_zygote(self) -> None:
        control, self._control = self._control, None
        pid, self.zygote_pid = self.zygote_pid, 0
        if control is not None:
            control.close()
            # It holds nothing; a signal also ends one that hangs.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


async def _receive_all(ours: socket.socket, limit: int) -> bytes:
    """All that comes until the other side ends. Raises ValueError when it is over `limit`."""
    loop = asyncio.get_running_loop()
    data = bytearray()
    # The other side may end without having read all that it was sent.
    with contextlib.suppress(ConnectionResetError):
        while piece := await loop.sock_recv(ours, 64 * 1024):
            data += piece
            if len(data) > limit:
                raise ValueError("the report is over its limit")
    return bytes(data)


def _failed(message: str, detail: str = "") -> HostError:
    return HostError(
        Code.AIRLOCK_FAILED,
        message,
        hint="Run `ironclaw doctor`; if the machine is short of memory or processes, free some.",
        detail=detail,
    )
