"""Who is let in at all; what they may do then is in `test_authorisation`."""

from __future__ import annotations

from typing import Any

import pytest

from ironclaw.domain.tokens import Scope


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic abc", "Bearer icl_wrong", "icl_wrong", "Bearer \xff"],
)
async def test_a_header_that_is_no_token_is_unauthenticated(edge: Any, header: Any):
    async with edge.client(None) as client:
        answer = await client.get("/v1/agents", headers={"authorization": header.encode("latin-1")})

    assert answer.status_code == 401


async def test_a_revoked_and_an_expired_token_open_nothing(edge: Any):
    minted = await edge.tokens.mint(
        name="short", scopes=[Scope.READ], ttl_s=60, principal="api:t-read"
    )
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
