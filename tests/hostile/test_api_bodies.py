"""Garbage, floods and slow clients against the API, over the real server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ironclaw.api.app import ENDPOINTS, create_app
from ironclaw.api.endpoint import decode
from ironclaw.api.server import Listening, serve
from ironclaw.config.settings import ApiSettings, PathSettings, Settings
from ironclaw.core.clock import ManualClock
from ironclaw.core.errors import UserError
from ironclaw.core.tasks import Tasks
from ironclaw.domain.model import Role
from ironclaw.domain.tokens import Scope
from ironclaw.testing.fake_house import open_fake_house
from ironclaw.testing.fake_tokens import FakeTokens

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.hostile

SEND = "/v1/agents/demo/chats/main/messages"
BODIES = sorted({row.body for row in ENDPOINTS if row.body}, key=lambda body: body.__name__)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(raw=st.binary(max_size=2000))
@pytest.mark.parametrize("body", BODIES)
def test_bytes_are_a_body_or_a_refusal(body: Any, raw: Any):
    """Nothing else comes out of decoding, whatever goes in."""
    try:
        assert isinstance(decode(body, raw), body)
    except UserError as refusal:
        hint = refusal.hint
    else:
        return
    assert hint


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00",
        b"\xff\xfe{",
        b"[]",
        b"null",
        b"{" * 100_000,
        b'{"text":"x","text":1}',
        b'{"text":"\\ud800"}',
        b'{"text":"x","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"text":' + b"9" * 5000 + b"}",
    ],
)
async def test_each_known_nasty_body_is_a_400(api: Any, raw: Any):
    async with api() as client:
        answer = await client.post(SEND, content=raw)

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert "Traceback" not in answer.text


@pytest.fixture
async def api(tmp_path: Any) -> AsyncIterator[Any]:
    """A real server on a free port and a unix socket; yields a maker of clients."""
    tokens = FakeTokens(ManualClock())
    secret = (await tokens.mint(name="bot", scopes=[Scope.CHAT], ttl_s=None)).secret
    runtime = tmp_path / "run"
    runtime.mkdir()
    config = Settings(api=ApiSettings(port=0), paths=PathSettings(runtime_dir=runtime))
    started: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()

    def client(**extra: Any) -> httpx2.AsyncClient:
        where = started.result()
        headers = {"authorization": f"Bearer {secret}"}
        return httpx2.AsyncClient(
            base_url=f"http://{where.host}:{where.port}", headers=headers, trust_env=False, **extra
        )

    async with (
        open_fake_house() as house,
        Tasks("test", on_failure=lambda _name, error: started.set_exception(error)) as tasks,
    ):
        house.give("api:bot", Role.MEMBER, house.add_agent("demo"))
        app = create_app(house, tokens, config)
        tasks.start(serve(app, config, ready=started.set_result), name="serve")
        await started
        yield client
    assert list(runtime.iterdir()) == []


async def test_too_many_megabytes_are_refused_and_the_client_gets_to_read_why(api: Any):
    async with api() as client:
        answer = await client.post(SEND, content=b"x" * 50_000_000)
        alive = await client.get("/healthz")

    assert answer.status_code == 413
    assert answer.json()["code"] == "too_large"
    assert answer.json()["hint"]
    assert alive.status_code == 200


async def test_as_many_without_a_length_are_refused_too(api: Any):
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(720):
            yield b"x" * 65_536

    async with api() as client:
        answer = await client.post(SEND, content=chunks())

    assert answer.status_code == 413


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(value=JSON)
async def test_any_json_is_a_message_or_a_clear_refusal(api: Any, value: Any):
    async with api() as client:
        answer = await client.post(
            SEND, content=httpx2.Request("POST", "http://x", json=value).content
        )

    assert answer.status_code in {202, 400}


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"\x00" * 4096,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_good_http_are_refused_without_a_trace(api: Any, raw: Any):
    async with api() as client:
        host, port = client.base_url.host, client.base_url.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(raw)
        async with asyncio.timeout(10):
            await writer.drain()
            writer.write_eof()
            answer = await reader.read()
        writer.close()
        alive = await client.get("/healthz")

    assert answer.split(b"\r\n")[0].split()[1:2] in ([b"400"], [b"403"], [b"413"])
    assert b"Traceback" not in answer
    assert alive.status_code == 200


async def test_a_unix_socket_that_others_could_open_is_never_made(api: Any, tmp_path: Any):
    assert (tmp_path / "run" / "api.sock").stat().st_mode & 0o777 == 0o600
    transport = httpx2.AsyncHTTPTransport(uds=str(tmp_path / "run" / "api.sock"))
    async with httpx2.AsyncClient(transport=transport, base_url="http://ironclaw") as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_the_end_of_the_daemon_does_not_wait_for_a_stream(tmp_path: Any) -> None:
    tokens = FakeTokens(ManualClock())
    secret = (await tokens.mint(name="bot", scopes=[Scope.CHAT], ttl_s=None)).secret
    config = Settings(api=ApiSettings(port=0), paths=PathSettings(runtime_dir=tmp_path))
    started: asyncio.Future[Listening] = asyncio.get_running_loop().create_future()
    async with (
        open_fake_house() as house,
        Tasks("test", on_failure=lambda _name, error: started.set_exception(error)) as tasks,
    ):
        house.give("api:bot", Role.MEMBER, house.add_agent("demo"))
        app = create_app(house, tokens, config)
        serving = tasks.start(serve(app, config, ready=started.set_result), name="serve")
        where = await started
        async with httpx2.AsyncClient(
            base_url=f"http://{where.host}:{where.port}",
            headers={"authorization": f"Bearer {secret}"},
            trust_env=False,
        ) as client:
            chat = (await client.post(SEND, json={"text": "hello"})).json()["chat"]
            async with client.stream("GET", f"/v1/chats/{chat}/events") as stream:
                assert stream.status_code == 200
                serving.cancel()
                done, _pending = await asyncio.wait({serving}, timeout=5)
    assert done == {serving}
    assert house.watchers == 0
