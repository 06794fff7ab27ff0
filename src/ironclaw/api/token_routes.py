"""Tokens: mint, list, revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.api.bodies import MintedToken, MintToken, TokenList, TokenOut
from ironclaw.api.endpoint import Call, Endpoint, encode
from ironclaw.api.scopes import Scope

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.api.tokens import Token

_ADMIN = frozenset({Scope.ADMIN})


async def list_tokens(call: Call) -> Response:
    """All tokens, without their secrets."""
    found = [_out(call, token) for token in await call.parts.tokens.tokens()]
    return encode(TokenList(tokens=found))


async def mint_token(call: Call) -> Response:
    """Make a token; its secret is in this answer and nowhere else."""
    body: MintToken = call.body
    minted = await call.parts.tokens.mint(name=body.name, scopes=body.scopes, ttl_s=body.ttl_s)
    answer = MintedToken(token=_out(call, minted.token), secret=minted.secret)
    return encode(answer, status=201)


async def revoke_token(call: Call) -> Response:
    """End a token at once."""
    return encode(_out(call, await call.parts.tokens.revoke(call.path("token"))))


def _out(call: Call, token: Token) -> TokenOut:
    return TokenOut(
        id=token.id,
        name=token.name,
        principal=token.principal,
        scopes=sorted(token.scopes),
        active=token.is_active(call.parts.clock.now_ms()),
        created_ms=token.created_ms,
        expires_ms=token.expires_ms,
        revoked_ms=token.revoked_ms,
        last_used_ms=call.parts.tokens.last_used_ms(token.id),
    )


ENDPOINTS = (
    Endpoint("GET", "/v1/tokens", _ADMIN, "List tokens", list_tokens, reply=TokenList),
    Endpoint(
        "POST",
        "/v1/tokens",
        _ADMIN,
        "Mint a token",
        mint_token,
        body=MintToken,
        reply=MintedToken,
        status=201,
    ),
    Endpoint(
        "DELETE",
        "/v1/tokens/{token}",
        _ADMIN,
        "Revoke a token",
        revoke_token,
        reply=TokenOut,
    ),
)
