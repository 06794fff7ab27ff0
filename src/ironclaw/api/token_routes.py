"""Tokens: mint, list, revoke.

Who may administer the house mints for fresh principals and ends any token. Everybody mints further
tokens for themselves, none of which lets through more, or lives longer, than the one they use.
Nobody mints for a principal that is somebody else: that would be speaking in their name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.api.access import require
from ironclaw.api.bodies import MintedToken, MintToken, TokenList, TokenOut
from ironclaw.api.endpoint import Call, Endpoint, encode
from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.rights import Right
from ironclaw.domain.tokens import limit_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from ironclaw.domain.tokens import Token


MAX_OWN: Final = 50
"""Tokens, ended ones included, that a principal can have minted: those of all have an end too."""


async def list_tokens(call: Call) -> Response:
    """Tokens, without their secrets: all of them, or one's own."""
    sees_all = await _administers(call)
    found = [
        token_out(call, token)
        for token in await call.parts.tokens.tokens()
        if sees_all or token.principal == call.actor.principal
    ]
    return encode(TokenList(tokens=found))


async def mint_token(call: Call) -> Response:
    """Make a token; its secret is in this answer and nowhere else."""
    body: MintToken = call.body
    is_own = body.principal == call.actor.principal
    if is_own:
        await _check_own(call, body)
    else:
        await require(call.parts.house, call.actor, Right.ADMINISTER, None)
        await _check_fresh(call, body)
    minted = await call.parts.tokens.mint(
        name=body.name,
        scopes=body.scopes,
        ttl_s=body.ttl_s,
        # None is a new one: the store makes sure of that in its own transaction.
        principal=call.actor.principal if is_own else None,
    )
    answer = MintedToken(token=token_out(call, minted.token), secret=minted.secret)
    return encode(answer, status=201)


async def _check_own(call: Call, body: MintToken) -> None:
    """A second token of one's own is no way to more rights, nor to longer ones."""
    own = call.actor.principal
    held = sum(one.principal == own for one in await call.parts.tokens.tokens())
    if held >= MAX_OWN:
        raise PolicyError(
            Code.RATE_LIMITED,
            f"{own} has had {held} tokens; it mints no more for itself.",
            hint="Ask somebody who may administer the house for a token of a new principal.",
        )
    if not limit_of(body.scopes) <= call.actor.limit:
        raise PolicyError(
            Code.FORBIDDEN,
            "The new token would let through more than the one in use.",
            hint=f"Ask for no other scopes than its own: {', '.join(sorted(call.holder.scopes))}.",
        )
    end_ms = call.holder.expires_ms
    if end_ms is None:
        return
    left_s = (end_ms - call.parts.clock.now_ms()) // 1000
    if body.ttl_s is None or body.ttl_s > left_s:
        raise PolicyError(
            Code.FORBIDDEN,
            "The new token would outlive the one in use.",
            hint=f"Let it expire within {max(1, left_s)} s.",
        )


async def _check_fresh(call: Call, body: MintToken) -> None:
    """A new principal holds nothing, not even what somebody was given beforehand."""
    principal = PrincipalId(body.principal or f"api:{body.name}")
    known = {one.principal for one in await call.parts.house.principals()}
    if body.principal is None and principal not in known:
        return
    tokens = await call.parts.tokens.tokens()
    if body.principal is None and any(one.name == body.name for one in tokens):
        return  # A name that was used: the store says so.
    raise PolicyError(
        Code.FORBIDDEN,
        f"A token for {principal} would speak in somebody else's name.",
        hint="Leave `principal` out and choose a name that nobody has had; then give roles to "
        "the new principal, or link it to the person.",
    )


async def revoke_token(call: Call) -> Response:
    """End a token at once: one's own, or anybody's."""
    ref = call.path("token")
    sees_all = await _administers(call)
    theirs = [
        one
        for one in await call.parts.tokens.tokens()
        if sees_all or one.principal == call.actor.principal
    ]
    # A name may look like the id of somebody else's token: the id counts, and only what is theirs.
    found = [one for one in theirs if one.id == ref] or [one for one in theirs if one.name == ref]
    if not found:
        raise UserError(
            Code.NOT_FOUND,
            "There is no such token that you may revoke.",
            hint="`ironclaw token list` shows them.",
        )
    return encode(token_out(call, await call.parts.tokens.revoke(found[0].id)))


async def _administers(call: Call) -> bool:
    return Right.ADMINISTER in await call.parts.house.gateway.rights(call.actor, None)


def token_out(call: Call, token: Token) -> TokenOut:
    """A token as it is shown."""
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
    Endpoint("GET", "/v1/tokens", None, "own", "List tokens", list_tokens, reply=TokenList),
    Endpoint(
        "POST",
        "/v1/tokens",
        None,
        "own",
        "Mint a token: for a new principal, or a further one of one's own",
        mint_token,
        body=MintToken,
        reply=MintedToken,
        status=201,
    ),
    Endpoint(
        "DELETE",
        "/v1/tokens/{token}",
        None,
        "own",
        "Revoke a token: one's own, or with the right to administer anybody's",
        revoke_token,
        reply=TokenOut,
    ),
)
