"""The whole matrix: every endpoint with every scope, and with none."""

from __future__ import annotations

from typing import Any

import pytest

from ironclaw.api.app import ENDPOINTS
from ironclaw.api.scopes import IMPLIES, Scope

EXPECTED = {
    "POST /v1/agents/{agent}/chats/{name}/messages": "admin operate chat",
    "GET /v1/chats/{chat}/events": "admin operate chat read",
    "GET /v1/agents": "admin operate read",
    "POST /v1/agents": "admin operate",
    "GET /v1/agents/{agent}": "admin operate read",
    "POST /v1/agents/{agent}/archive": "admin operate",
    "GET /v1/wirings": "admin operate read",
    "POST /v1/wirings": "admin operate",
    "DELETE /v1/wirings/{wiring}": "admin operate",
    "GET /v1/standings": "admin operate read",
    "POST /v1/standings": "admin",
    "DELETE /v1/standings": "admin",
    "GET /v1/sessions": "admin operate read",
    "GET /v1/sessions/{session}": "admin operate read",
    "POST /v1/sessions/{session}/stop": "admin operate",
    "GET /v1/sessions/{session}/receipt": "admin operate read",
    "GET /v1/sessions/{session}/transcript": "admin operate read",
    "GET /v1/audit": "admin operate read",
    "GET /v1/audit/{number}": "admin operate read",
    "POST /v1/audit/checkpoint": "admin operate",
    "POST /v1/audit/rotate": "admin",
    "GET /v1/why": "admin operate read",
    "GET /v1/tokens": "admin",
    "POST /v1/tokens": "admin",
    "DELETE /v1/tokens/{token}": "admin",
    "GET /v1/status": "admin operate read",
    "GET /metrics": "admin operate read",
    "GET /healthz": "*",
    "GET /readyz": "*",
    "GET /openapi.json": "*",
}


def test_the_table_of_this_test_names_every_endpoint():
    assert {f"{row.method} {row.path}" for row in ENDPOINTS} == set(EXPECTED)


@pytest.mark.parametrize("scope", [*Scope, None])
@pytest.mark.parametrize("row", ENDPOINTS, ids=lambda row: f"{row.method} {row.path}")
async def test_each_scope_opens_exactly_its_endpoints(edge: Any, row: Any, scope: Any):
    path = row.path.replace("{agent}", "nobody").replace("{number}", "1")
    for name in ("name", "chat", "wiring", "session", "token"):
        path = path.replace(f"{{{name}}}", "nothing")
    wanted = EXPECTED[f"{row.method} {row.path}"]

    async with edge.client(scope) as client:
        answer = await client.request(row.method, path)

    if wanted == "*" or (scope is not None and scope in wanted.split()):
        assert answer.status_code not in {401, 403}
    elif scope is None:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    else:
        assert answer.status_code == 403
        assert answer.json()["code"] == "forbidden"


def test_no_scope_implies_admin_but_itself():
    assert [scope for scope, held in IMPLIES.items() if Scope.ADMIN in held] == [Scope.ADMIN]


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic abc", "Bearer icl_wrong", "icl_wrong", "Bearer \xff"],
)
async def test_a_header_that_is_no_token_is_unauthenticated(edge: Any, header: Any):
    async with edge.client(None) as client:
        answer = await client.get("/v1/agents", headers={"authorization": header.encode("latin-1")})

    assert answer.status_code == 401


async def test_a_revoked_and_an_expired_token_open_nothing(edge: Any):
    minted = await edge.tokens.mint(name="short", scopes=[Scope.READ], ttl_s=60)
    headers = {"authorization": f"Bearer {minted.secret}"}
    async with edge.client(None) as client:
        before = await client.get("/v1/agents", headers=headers)
        edge.clock.advance(61)
        expired = await client.get("/v1/agents", headers=headers)
    await edge.tokens.revoke("t-read")
    async with edge.client(Scope.READ) as client:
        revoked = await client.get("/v1/agents")

    assert [before.status_code, expired.status_code, revoked.status_code] == [200, 401, 401]


async def test_guessing_is_throttled_and_a_good_token_still_gets_in(edge: Any):
    async with edge.client(None) as stranger, edge.client(Scope.READ) as owner:
        codes = [(await stranger.get("/v1/agents")).status_code for _ in range(22)]
        good = await owner.get("/v1/agents")
        edge.clock.advance(120)
        later = await stranger.get("/v1/agents")

    assert codes == [401] * 20 + [429] * 2
    assert good.status_code == 200
    assert later.status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "[::2]"]
)
async def test_a_foreign_host_header_is_refused_even_with_a_token(edge: Any, host: Any):
    async with edge.client(Scope.ADMIN) as client:
        answer = await client.get("/v1/agents", headers={"host": host})

    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "[::1]:8787", "LOCALHOST"])
async def test_loopback_names_are_accepted(edge: Any, host: Any):
    async with edge.client(Scope.ADMIN) as client:
        answer = await client.get("/v1/agents", headers={"host": host})

    assert answer.status_code == 200


async def test_a_page_of_another_site_is_refused(edge: Any):
    async with edge.client(Scope.ADMIN) as client:
        answer = await client.get("/v1/agents", headers={"origin": "https://evil.example"})

    assert answer.status_code == 403
