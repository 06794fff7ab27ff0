"""Talks to the daemon's API over its unix socket, with the token of the state directory.

The standard library's HTTP client on purpose: it is loaded in a tenth of the time of a richer one,
and a command that takes 50 ms is used differently from one that takes 200.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple
from urllib.parse import quote

from ironclaw.cli.own_token import lost, read_token, refused
from ironclaw.core.codes import CODES, Code
from ironclaw.core.errors import HostError, IronClawError, PeerError, PolicyError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ironclaw.config.settings import Settings

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
TIMEOUT_S: Final = 60.0
MAX_LINE_BYTES: Final = 4 * 1024 * 1024
RESTART_S: Final = 15.0
"""How long a core that its keeper starts again may take to listen."""
_LOOK_S: Final = 0.05
_CHUNK: Final = 256 * 1024


class StreamEvent(NamedTuple):
    """One server-sent event."""

    kind: str
    id: str
    data: dict[str, Any]


class Download:
    """A document on its way."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def to(self, out: BinaryIO) -> int:
        """Write all of it; returns its size in bytes. Raises HostError."""
        size = 0
        try:
            while data := self._response.read(_CHUNK):
                out.write(data)
                size += len(data)
        except (http.client.HTTPException, OSError) as error:
            raise HostError(Code.UNAVAILABLE, "The file broke off.", hint="Try again.") from error
        return size


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, *, runtime_dir: Path, timeout_s: float) -> None:
        super().__init__("ironclaw", timeout=timeout_s)
        self._path = path
        self._runtime_dir = runtime_dir

    def connect(self) -> None:
        """Connect to the socket instead of a host; wait for a core that is being started again."""
        deadline = time.monotonic() + RESTART_S
        while True:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            try:
                self.sock.connect(self._path)
            except (FileNotFoundError, ConnectionRefusedError):
                self.sock.close()
                if time.monotonic() > deadline or not _has_keeper(self._runtime_dir):
                    raise
                time.sleep(_LOOK_S)
            else:
                return


class Client:
    """One connection to the daemon; opens at the first request and stays."""

    def __init__(self, settings: Settings) -> None:
        """Raises UserError (`NOT_RUNNING`, when there is no token yet), HostError."""
        self._path = str(settings.api_socket)
        self._runtime_dir = settings.runtime_dir
        self._connection: http.client.HTTPConnection | None = None
        token = read_token(settings)
        if token is None:
            has_keeper = _has_keeper(self._runtime_dir)
            raise lost(settings.token_file) if has_keeper else not_running()
        self._token = token
        self._headers = {"Authorization": f"Bearer {token.secret}", "User-Agent": "ironclaw-cli"}

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def interrupt(self) -> None:
        """End a `stream` that another thread is in."""
        connection = self._connection
        # Once: the other thread may just be closing it.
        sock = None if connection is None else connection.sock
        if sock is not None:
            # Closing it would leave the other thread where it is.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def get(self, *path: str, query: str = "") -> Any:
        """GET a JSON document."""
        return self.call("GET", *path, query=query)

    def call(
        self,
        method: str,
        *path: str,
        query: str = "",
        body: object = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Any:
        """Make one request; return the decoded answer, None when it has no body.

        Raises:
            IronClawError: What the daemon answered, as if it had been raised here; `NOT_RUNNING`
                when nobody answers.
        """
        response = self._request(method, path, query, body, timeout_s)
        raw = response.read(MAX_ANSWER_BYTES)
        if response.status >= 400:  # noqa: PLR2004 - HTTP's own split
            raise self._error(raw)
        return json.loads(raw) if raw else None

    def text(self, *path: str) -> str:
        """GET a document that is not JSON."""
        response = self._request("GET", path, "", None, TIMEOUT_S)
        raw = response.read(MAX_ANSWER_BYTES)
        if response.status >= 400:  # noqa: PLR2004
            raise self._error(raw)
        return raw.decode()

    @contextlib.contextmanager
    def download(self, *path: str) -> Iterator[Download]:
        """Get a document of any size and type.

        Raises:
            IronClawError: What the daemon answered.
        """
        response = self._request("GET", path, "", None, TIMEOUT_S)
        if response.status >= 400:  # noqa: PLR2004 - HTTP's own split
            raise self._error(response.read(MAX_ANSWER_BYTES))
        try:
            yield Download(response)
        finally:
            if not response.isclosed():
                # The rest of it was not read: nothing else can come over this connection.
                self.close()

    def stream(self, *path: str, after: int | None, timeout_s: float) -> Iterator[StreamEvent]:
        """Follow server-sent events until the daemon ends them.

        Args:
            path: Parts of the path.
            after: Begin after the event of this number; None: live ones only.
            timeout_s: Longest silence; heartbeats count as noise.

        Raises:
            IronClawError: What the daemon answered or sent as a `problem`.
        """
        query = "" if after is None else f"after={after}"
        response = self._request("GET", path, query, None, timeout_s)
        if response.status >= 400:  # noqa: PLR2004
            raise self._error(response.read(MAX_ANSWER_BYTES))
        kind = number = text = ""
        try:
            while raw := response.readline(MAX_LINE_BYTES):
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name == "id":
                    number = value
                elif name == "data":
                    text = value
                elif not name and text:
                    if kind == "problem":
                        raise self._error(text.encode())
                    yield StreamEvent(kind, number, json.loads(text))
                    kind = number = text = ""
        except TimeoutError as error:
            raise HostError(
                Code.UNAVAILABLE,
                f"The daemon was silent for {timeout_s:g} s.",
                hint="`ironclaw status` shows how it does; `ironclaw logs` what it does.",
            ) from error
        finally:
            self.close()

    def _error(self, raw: bytes) -> IronClawError:
        """The daemon's problem; of a refused token in the command line's own words."""
        error = _problem(raw)
        return refused(self._token.path) if error.code is Code.UNAUTHENTICATED else error

    def _request(
        self, method: str, path: tuple[str, ...], query: str, body: object, timeout_s: float
    ) -> http.client.HTTPResponse:
        target = "/" + "/".join(quote(part, safe="") for part in path)
        target += f"?{query}" if query else ""
        headers = dict(self._headers)
        raw = None
        if body is not None:
            raw = json.dumps(body).encode("utf-8", "surrogatepass")
            headers["Content-Type"] = "application/json"
        if self._connection is None:
            self._connection = _UnixConnection(
                self._path, runtime_dir=self._runtime_dir, timeout_s=timeout_s
            )
        try:
            self._connection.timeout = timeout_s
            if self._connection.sock is not None:
                self._connection.sock.settimeout(timeout_s)
            self._connection.request(method, target, body=raw, headers=headers)
            return self._connection.getresponse()
        except TimeoutError as error:
            self.close()
            raise HostError(
                Code.UNAVAILABLE,
                f"The daemon did not answer within {timeout_s:g} s.",
                hint="`ironclaw status` shows how it does; `ironclaw logs` what it does.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if _has_keeper(self._runtime_dir):
                raise HostError(
                    Code.UNAVAILABLE,
                    "The daemon ended before it answered; its keeper starts it again.",
                    hint="Try again; `ironclaw logs` says why it ended.",
                ) from error
            raise not_running() from error


def _has_keeper(runtime_dir: Path) -> bool:
    from ironclaw.sandbox.keeper import keeper_status  # noqa: PLC0415 - only when nobody answers

    return keeper_status(runtime_dir) is not None


def not_running() -> UserError:
    """Nobody answers."""
    return UserError(
        Code.NOT_RUNNING,
        "The daemon is not running.",
        hint="Start it with `ironclaw up`.",
    )


def _problem(raw: bytes) -> IronClawError:
    """The daemon's problem, as an error of the same code."""
    try:
        problem = json.loads(raw)
        code = Code(problem["code"])
        message, hint = str(problem["detail"]), str(problem["hint"])
    except (ValueError, KeyError, TypeError):
        return HostError(
            Code.UNAVAILABLE,
            "The daemon's answer makes no sense.",
            hint="Is something else listening on its socket? `ironclaw status`.",
        )
    return root_of(code)(code, message, hint=hint)


def root_of(code: Code) -> type[IronClawError]:
    """The root of errors that a code belongs to, by the table's ranges."""
    exit_code = CODES[code].exit_code
    roots = ((40, UserError), (50, PolicyError), (60, PeerError))
    if exit_code == CODES[Code.BUG].exit_code:
        return HostError
    return next((root for end, root in roots if exit_code < end), HostError)
