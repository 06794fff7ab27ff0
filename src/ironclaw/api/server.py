"""Serves the application on loopback TCP and on a unix socket, as a task of the daemon.

The daemon owns signals and the end: cancelling `serve` ends it, streams included.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING, Final, NamedTuple

import uvicorn

from ironclaw.api.connections import MAX_CONNECTIONS, Connection, allow_files
from ironclaw.api.gate import MAX_HEADER_BYTES
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.log import get_logger
from ironclaw.core.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from ironclaw.config.settings import Settings

DRAIN_S: Final = 1
"""Seconds that requests get to finish when the daemon ends."""

_log = get_logger("api.server")


class Listening(NamedTuple):
    """Where the API can be reached."""

    socket: Path
    host: str | None
    """None when TCP is switched off."""
    port: int | None


class _Server(uvicorn.Server):
    """A server that leaves signals to its owner, says when it listens, and waits without a tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()
        self._is_over = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections."""
        await super().startup(sockets=sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn's own loop looks for it ten times a second."""
        self.server_state.default_headers = self.config.encoded_headers
        await self._is_over.wait()

    def stop(self) -> None:
        """Accept nothing more and end."""
        self.should_exit = True
        self._is_over.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def serve(app: ASGIApp, settings: Settings, *, ready: Callable[[Listening], object]) -> None:
    """Serve until cancelled.

    Args:
        app: What `create_app` made.
        settings: Addresses.
        ready: Called once, when connections are accepted.

    Raises:
        UserError: `CONFLICT`, when the port or the socket is somebody else's.
        HostError: The address cannot be listened on.
    """
    allow_files()
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(_unix_socket(settings.api_socket))]
        host = port = None
        if settings.api.tcp:
            tcp = stack.enter_context(_tcp_socket(settings.api.host, settings.api.port))
            host, port = tcp.getsockname()[:2]
            sockets.append(tcp)
        config = uvicorn.Config(
            app,
            loop="none",
            http=Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            backlog=256,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=DRAIN_S,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        server = _Server(config)
        async with Tasks("api", on_failure=_failed) as tasks:
            serving = tasks.start(server.serve(sockets=sockets), name="serve")
            listening = tasks.start(server.listening.wait(), name="listening")
            try:
                await asyncio.wait({serving, listening}, return_when=asyncio.FIRST_COMPLETED)
                if listening.done():
                    ready(Listening(settings.api_socket, host, port))
                await asyncio.shield(serving)
            finally:
                await _end(server, serving)


async def _end(server: _Server, serving: asyncio.Task[None]) -> None:
    """Let requests finish for a moment, then cut off those that do not, streams mostly."""
    requests = set(server.server_state.tasks)
    server.stop()
    if not serving.done():
        await asyncio.wait({serving}, timeout=2 * DRAIN_S)
    for request in requests:
        request.cancel()
    if requests:
        await asyncio.wait(requests, timeout=DRAIN_S)


def _failed(name: str, error: BaseException) -> None:
    _log.error("the API stopped", task=name, error=type(error).__name__)


@contextlib.contextmanager
def _tcp_socket(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Without this a restart within a minute finds its own port "in use".
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small answers must not wait for an acknowledgement; accepted sockets inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise _cannot_listen(f"{host} port {port}", error) from error
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead(path)
        mask = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise _cannot_listen(str(path), error) from error
        finally:
            os.umask(mask)
        yield listener
    finally:
        listener.close()
        path.unlink(missing_ok=True)


def _remove_dead(path: Path) -> None:
    """Remove a socket nobody answers on any more, and nothing else."""
    try:
        info = path.lstat()
    except FileNotFoundError:
        return
    alive = False
    if stat.S_ISSOCK(info.st_mode):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            with contextlib.suppress(OSError):
                probe.connect(str(path))
                alive = True
    if alive or not stat.S_ISSOCK(info.st_mode):
        raise UserError(
            Code.ALREADY_RUNNING if alive else Code.CONFLICT,
            f"{path} is in use by another process." if alive else f"{path} is not a socket.",
            hint="`ironclaw status` shows what runs; `ironclaw down` ends it."
            if alive
            else "Remove it, or choose another paths.runtime_dir.",
        )
    path.unlink(missing_ok=True)


def _cannot_listen(where: str, error: OSError) -> UserError | HostError:
    if error.errno == 98:  # noqa: PLR2004 - EADDRINUSE
        return UserError(
            Code.CONFLICT,
            f"{where} is taken by another program.",
            hint="Set api.port (IRONCLAW_API_PORT) to a free port, or api.tcp = false.",
        )
    return HostError(
        Code.HOST_UNSUITED,
        f"Listening on {where} failed: {error.strerror}.",
        hint="Check [api] in the configuration.",
    )
