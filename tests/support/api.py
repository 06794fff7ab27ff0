"""A client of the HTTP API for tests, on its unix socket: well-formed calls, streams, and noise."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TIMEOUT_S = 60.0


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    body: Any
    """Decoded; None when there is none."""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of a host."""
        self.sock = open_socket(self._path)


class Api:
    """One kept connection, reopened after an error."""

    def __init__(self, path: Path, token: str) -> None:
        self._path = path
        self._headers = {"Authorization": f"Bearer {token}"}
        self._connection = _Connection(path)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, method: str, target: str, body: bytes | object = None) -> Answer:
        """One call; bytes are sent as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = self._headers | ({"Content-Type": "application/json"} if raw else {})
        try:
            self._connection.request(method, target, body=raw, headers=headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except BaseException:
            self._connection.close()
            raise
        return Answer(answer.status, json.loads(text) if text else None)

    def download(self, target: str) -> bytes:
        """What is no JSON, as it comes."""
        self._connection.request("GET", target, headers=self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        return data

    def get(self, target: str) -> Answer:
        """GET."""
        return self.call("GET", target)

    def ask_for(self, reason: str = "", **spec: object) -> Any:
        """Ask for a change and return it as it is then."""
        answer = self.call("POST", "/v1/changes", {"change": spec, "reason": reason})
        assert answer.status == 201, answer
        return answer.body

    def decide(self, view: Any, *, approve: bool = True) -> Answer:
        """Decide on a change exactly as `view` shows it."""
        card = view["card"]
        seen = {"hash": card["hash"], "state": card["state"], "card": card["version"]}
        target = f"/v1/changes/{view['row']['change']['id']}/decision"
        return self.call("POST", target, {"approve": approve} | seen)

    def change(self, **spec: object) -> Any:
        """Ask for a change, approve it oneself (solo mode), and return it: it is in force."""
        answer = self.decide(self.ask_for(**spec))
        assert answer.status == 200, answer
        assert answer.body["row"]["status"] == "done", answer
        return answer.body

    def be_solo(self) -> None:
        """Let the only owner approve what they ask for themselves."""
        policy = self.get("/v1/policy").body
        if not policy["solo"]:
            self.change(kind="policy", policy=policy | {"solo": True})

    def make_agent(self, name: str, **settings: object) -> Any:
        """Make an agent and return it."""
        self.be_solo()
        self.change(kind="agent.create", **({"name": name, "pool_size": 0} | settings))
        return self.get(f"/v1/agents/{name}").body

    def say(self, agent: str, text: str, *, chat: str = "main", wait: float = 45) -> Any:
        """Say something; with `wait` the reply is in what is returned."""
        target = f"/v1/agents/{agent}/chats/{chat}/messages"
        answer = self.call("POST", f"{target}?wait={wait}" if wait else target, {"text": text})
        assert answer.status in {200, 202}, answer
        return answer.body

    @contextmanager
    def follow(self, chat: str, *, after: int | None = None) -> Iterator[Iterator[dict[str, Any]]]:
        """Server-sent events of a chat, as dictionaries of their fields; `data` is decoded."""
        headers = dict(self._headers)
        if after is not None:
            headers["Last-Event-ID"] = str(after)
        with closing(_Connection(self._path)) as connection:
            connection.request("GET", f"/v1/chats/{chat}/events", headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield _events(answer)

    def noise(self, data: bytes) -> bytes:
        """Send bytes on a connection of their own; return all that comes back until the end."""
        with closing(open_socket(self._path)) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            pieces = []
            while piece := sock.recv(65536):
                pieces.append(piece)
            return b"".join(pieces)


def open_socket(path: Path) -> socket.socket:
    """A connected socket with a time limit."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_TIMEOUT_S)
    try:
        sock.connect(str(path))
    except OSError:
        sock.close()
        raise
    return sock


def _events(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    fields: dict[str, Any] = {}
    while line := answer.readline():
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "data":
            fields["data"] = json.loads(value)
        elif name and not line.startswith(b":"):
            fields[name] = value
        elif "data" in fields:
            yield fields
            fields = {}
