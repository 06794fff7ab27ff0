"""Tokens in memory, for tests of the edges."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId, TokenId, new_id
from ironclaw.domain.tokens import PREFIX, SECRET_BYTES, Minted, Token, check_wish, hash_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ironclaw.core.clock import Clock
    from ironclaw.domain.tokens import Scope


class FakeTokens:
    """Implements `ironclaw.domain.tokens.TokenStore`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_hash: dict[str, Token] = {}
        self._used: dict[TokenId, int] = {}

    def find(self, secret: str) -> Token | None:
        """The active token with that secret."""
        token = self._by_hash.get(hash_of(secret))
        now = self._clock.now_ms()
        if token is None or not token.is_active(now):
            return None
        self._used[token.id] = now
        return token

    def last_used_ms(self, token: TokenId) -> int | None:
        """When it was last used."""
        return self._used.get(token)

    async def tokens(self) -> list[Token]:
        """All tokens."""
        return list(self._by_hash.values())

    async def mint(
        self,
        *,
        name: str,
        scopes: Iterable[Scope],
        ttl_s: int | None,
        principal: PrincipalId | None = None,
    ) -> Minted:
        """Make a token."""
        granted = frozenset(scopes)
        whose = principal or PrincipalId(f"api:{name}")
        check_wish(name=name, scopes=granted, ttl_s=ttl_s, principal=whose)
        for one in self._by_hash.values():
            if one.name == name or (principal is None and one.principal == whose):
                raise UserError(
                    Code.CONFLICT, "There is or was such a token.", hint="Choose another name."
                )
        now = self._clock.now_ms()
        secret = PREFIX + base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode().lower()
        token = Token(
            id=TokenId(new_id("tok")),
            name=name,
            principal=whose,
            scopes=granted,
            created_ms=now,
            expires_ms=None if ttl_s is None else now + ttl_s * 1000,
            hash=hash_of(secret),
        )
        self._by_hash[token.hash] = token
        return Minted(token, secret)

    async def revoke(self, ref: str) -> Token:
        """End a token by id or name."""
        for token in self._by_hash.values():
            if ref in {token.id, token.name}:
                ended = token
                if token.revoked_ms is None:
                    ended = msgspec.structs.replace(token, revoked_ms=self._clock.now_ms())
                self._by_hash[token.hash] = ended
                return ended
        raise UserError(
            Code.NOT_FOUND, "There is no such token.", hint="`ironclaw token list` shows them."
        )
