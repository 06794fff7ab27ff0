"""Keys of providers are nowhere that a box can read, nor in what it receives: planted, then sought.

The provider is a server that writes whatever it was sent into its answers, its tool calls and its
errors. Without the part that takes keys out of them, the same search finds every one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.support.house import House, remove_as_owner
from tests.support.model_answers import Wanted, thinking_openai
from tests.support.model_servers import Asked, ModelServer, Reply, failed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]

HERE: Final = Path(__file__).parent
TWIN: Final = "import ironclaw.models.host.redact as r; r.Redactor.learn = lambda self, key: None"
"""A host that knows no key by sight."""
TOOLS: Final = ("read_file", "write_file", "memory_write", "memory_read")


class Echo(ModelServer):
    """Answers with what it was sent: words, thoughts, tool calls, errors; header by header."""

    def reply_to(self, asked: Asked) -> Reply:
        secret = " ".join(f"{name}={value}" for name, value in asked.headers.items())
        text = str(asked.json["messages"][-1].get("content"))
        if "fail" in text:
            headers = tuple((f"X-Echo-{name}", value) for name, value in asked.headers.items())
            return failed(400, {"error": {"message": secret, "code": secret}}, *headers)
        pieces = tuple(secret[start : start + 7] for start in range(0, len(secret), 7))
        if asked.json["messages"][-1]["role"] == "tool" or "use" not in text:
            return thinking_openai(Wanted(pieces, (), secret))
        calls = (
            ("write_file", {"path": "found.txt", "content": secret}),
            ("memory_write", {"topic": "found", "text": secret}),
        )
        return thinking_openai(Wanted(pieces, calls, secret))


@contextmanager
def serving() -> Iterator[str]:
    """The provider, in a thread of its own."""
    ready, done = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def serve() -> None:
        async with Echo() as server:
            found.extend((server.url, asyncio.get_running_loop()))
            ready.set()
            await done.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        found[1].call_soon_threadsafe(done.set)
        thread.join()


@pytest.fixture
def planted(houses_of: Houses) -> Iterator[tuple[House, dict[str, str]]]:
    """A house that is down, with a key in a variable, one in a file, one in the configuration."""
    place = Path(tempfile.mkdtemp(prefix="h-", dir=houses_of.place))
    house = House(place, houses_of.person, houses_of.image, houses_of.python)
    keys = {name: f"sk-{name}-{secrets.token_hex(12)}" for name in ("env", "file", "header")}
    (place / "key").write_text(keys["file"])
    with serving() as url:
        tables = [
            f'[models.providers.{name}]\nkind = "openai"\nbase_url = "{url}/v1"\nkey = "{key}"\n'
            f'headers = {{ "X-Team" = "Bearer {keys["header"]}" }}\n'
            for name, key in (("env", "env:CANARY"), ("file", f"file:{place}/key"))
        ]
        (place / "config.toml").write_text("\n".join(tables))
        for path in (place / "key", place / "config.toml", place):
            path.chmod(0o700 if path == place else 0o600)
            if houses_of.person is not None:
                os.chown(path, houses_of.person.uid, houses_of.person.gid)
        yield house, keys
    house.cli("down")
    remove_as_owner(place)
    shutil.rmtree(place, ignore_errors=True)


def start(house: House, keys: dict[str, str], patch: str = "") -> None:
    words = dict(word.split("=", 1) for word in house.argv() if word.startswith("IRONCLAW_"))
    words |= {"IRONCLAW_CONFIG": str(house.place / "config.toml"), "CANARY": keys["env"]}
    program = (house.python, "-s", "-P", str(HERE / "tapped_core.py"), str(house.place / "tap"))
    argv = house.as_user(*program, patch, environment=words)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False, cwd="/")
    assert done.returncode == 0, done.stderr


def live(house: House) -> tuple[list[str], str]:
    """Turns with each provider; what the API said of them, and a session."""
    said = []
    session = ""
    with house.api() as api:
        for name in ("env", "file"):
            api.make_agent(f"talks-{name}", model=f"{name}/some-model", tools=list(TOOLS))
            for text in ("Tell me.", "Now use your tools.", "Now fail.", "And tell me again."):
                answer = api.say(f"talks-{name}", text)
                assert (answer["status"] == "answered") is ("fail" not in text), answer
                said.append(json.dumps(answer))
                session = answer["session"] or session
        paths = ("/v1/agents", "/v1/models", "/v1/status", "/v1/sessions", "/v1/audit")
        said += [json.dumps(api.call("GET", path).body) for path in paths]
        said.append(json.dumps(api.get(f"/v1/sessions/{session}/receipt").body))
    return said, session


def forms(key: str) -> list[str]:
    raw = key.encode()
    ways = [raw, raw.hex().encode(), base64.b64encode(raw), key[::-1].encode()]
    return [way.hex() for way in ways]


def look(house: House, keys: dict[str, str], said: list[str], session: str) -> dict[str, set[str]]:
    """Where each key is found, of all that a box can read or receive, and of all that is told."""
    wanted = json.dumps({name: forms(key) for name, key in keys.items()})
    box = house.box_of(session)
    script = str(HERE / "grep_tree.py")
    places = [str(house.state), str(house.runtime), str(house.view / "slots")]
    trees = json.loads(house.in_nest(house.python, script, *places, stdin=wanted))
    assert trees["seen"] > 5
    argv = [house.python, "-I", str(HERE / "box_memory.py"), str(box.sentry)]
    memory = json.loads(house.in_nest(*argv, stdin=wanted))
    assert memory["seen"] > 10 * 1024 * 1024
    tap = (house.place / "tap").read_bytes()
    assert tap.count(b"TO-BOX ") > 20
    assert tap.count(b"FROM-BOX ") > 20
    told = "\n".join(said)
    return {
        "files": {name for name, _ in trees["hits"]},
        "memory": set(memory["hits"]),
        "frames": {name for name, key in keys.items() if key.encode() in tap},
        "api": {name for name, key in keys.items() if key in told},
    }


def test_no_key_is_anywhere_that_a_box_can_read(
    planted: tuple[House, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    house, keys = planted
    start(house, keys)
    said, session = live(house)

    assert any("redacted" in each for each in said), "the provider did write them into its answers"
    found = look(house, keys, said, session)
    assert found == {"files": set(), "memory": set(), "frames": set(), "api": set()}


def test_without_what_takes_them_out_they_are_found(
    planted: tuple[House, dict[str, str]],
) -> None:
    house, keys = planted
    start(house, keys, TWIN)
    said, session = live(house)

    found = look(house, keys, said, session)
    assert found["frames"] == set(keys)
    assert found["api"] == set(keys)
    assert found["memory"] >= {"file", "header"}, "what the newest box has been told"
    assert found["files"] >= {"file", "header"}, "what it wrote down"
