"""The first token and the first owner; tokens in a file, for tests of the edges."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.api.secret_file import read_private, write_private
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.core.ids import PrincipalId, TokenId, new_id
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.tokens import (
    MAX_TOKENS,
    MAX_TTL_S,
    NAME_RULE,
    PREFIX,
    Minted,
    Scope,
    Token,
    hash_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from ironclaw.core.clock import Clock
    from ironclaw.domain.tokens import TokenStore
    from ironclaw.services.trail import Trail


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's content."""

    version: int
    tokens: tuple[Token, ...]


class FileTokenStore:
    """Tokens in one 0600 JSON file, replaced as a whole, read once."""

    def __init__(self, path: Path, clock: Clock, *, trail: Trail | None = None) -> None:
        """Raises HostError (`STORE_CORRUPT`) when the file is there and not what we wrote.

        Args:
            path: The file.
            clock: What time it is.
            trail: The audit, told before a token is made or ended; None only where none is kept.
        """
        self._path = path
        self._clock = clock
        self._trail = trail
        self._lock = asyncio.Lock()
        self._used: dict[TokenId, int] = {}
        self._tokens: tuple[Token, ...] = _read(path)
        self._by_hash = {token.hash: token for token in self._tokens}

    def find(self, secret: str) -> Token | None:
        """The active token with that secret."""
        # A dictionary of hashes: how long the look-up takes says nothing about the secret.
        token = self._by_hash.get(hash_of(secret))
        now = self._clock.now_ms()
        if token is None or not token.is_active(now):
            return None
        self._used[token.id] = now
        return token

    def last_used_ms(self, token: TokenId) -> int | None:
        """When it was last used since the daemon started."""
        return self._used.get(token)

    async def tokens(self) -> list[Token]:
        """All tokens, oldest first."""
        return list(self._tokens)

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
        if not re.match(NAME_RULE, name):
            raise UserError(
                Code.INVALID,
                "A token's name has 1 to 63 of a-z, 0-9, '_', '.', '-' and starts with a letter "
                "or digit.",
                hint="For example `laptop` or `ci-bot`.",
            )
        if not granted:
            raise UserError(
                Code.INVALID,
                "A token needs at least one scope.",
                hint=f"Scopes are {', '.join(Scope)}.",
            )
        if ttl_s is not None and not 0 < ttl_s <= MAX_TTL_S:
            raise UserError(
                Code.INVALID,
                "A token lives for 1 second to 10 years.",
                hint="Leave the time out for a token that does not expire.",
            )
        async with self._lock:
            if any(token.name == name for token in self._tokens):
                raise UserError(
                    Code.CONFLICT,
                    f"There is or was a token {name!r}; its name is a principal's.",
                    hint="Choose another name.",
                )
            if len(self._tokens) >= MAX_TOKENS:
                raise UserError(
                    Code.CONFLICT,
                    f"There are {MAX_TOKENS} tokens already.",
                    hint="Use fewer: `ironclaw token list`.",
                )
            secret = PREFIX + base64.b32encode(secrets.token_bytes(20)).decode().lower()
            now = self._clock.now_ms()
            token = Token(
                id=TokenId(new_id("tok")),
                name=name,
                principal=principal or PrincipalId(f"api:{name}"),
                scopes=granted,
                created_ms=now,
                expires_ms=None if ttl_s is None else now + ttl_s * 1000,
                hash=hash_of(secret),
            )
            await self._record(AuditEvent.TOKEN_MINTED, token, words=tuple(sorted(granted)))
            await self._keep((*self._tokens, token))
            return Minted(token, secret)

    async def revoke(self, ref: str) -> Token:
        """End a token by id or name."""
        async with self._lock:
            for token in self._tokens:
                if ref in (token.id, token.name):
                    break
            else:
                raise UserError(
                    Code.NOT_FOUND,
                    "There is no such token.",
                    hint="`ironclaw token list` shows them.",
                )
            if token.revoked_ms is not None:
                return token
            await self._record(AuditEvent.TOKEN_REVOKED, token)
            ended = msgspec.structs.replace(token, revoked_ms=self._clock.now_ms())
            await self._keep(tuple(ended if kept is token else kept for kept in self._tokens))
            return ended

    async def _record(self, event: AuditEvent, token: Token, words: tuple[str, ...] = ()) -> None:
        # Before, not after: a crash between the two must not leave an effect without a record.
        if self._trail is not None:
            entry = AuditEntry(
                event=event,
                token=token.id,
                name=token.name,
                principal=token.principal,
                words=words,
            )
            await self._trail.append(entry, by=acting())

    async def _keep(self, tokens: tuple[Token, ...]) -> None:
        raw = msgspec.json.format(msgspec.json.encode(_File(1, tokens)), indent=1)
        await asyncio.to_thread(write_private, self._path, raw)
        self._tokens = tokens
        self._by_hash = {token.hash: token for token in tokens}


FIRST: Final = PrincipalId("api:cli")
"""The principal of the command line on this machine: the first owner."""


async def ensure_first_token(
    tokens: TokenStore,
    path: Path,
    *,
    ensure_owner: Callable[[PrincipalId], Awaitable[object]],
) -> None:
    """Have a token with scope `admin` in `path`, for the command line on this machine.

    The file stays when it holds an active token of the store; otherwise a fresh one is minted, for
    the same principal: whoever may read the file is whoever could before.

    Args:
        tokens: Where tokens are kept.
        path: The file.
        ensure_owner: Makes the token's principal an owner, unless there is one already.

    Raises:
        HostError: The file cannot be written.
    """
    present = await asyncio.to_thread(read_private, path)
    token = None if present is None else tokens.find(present)
    if token is None:
        taken = {token.name for token in await tokens.tokens()}
        name = next(name for name in _first_names() if name not in taken)
        minted = await tokens.mint(name=name, scopes=[Scope.ADMIN], ttl_s=None, principal=FIRST)
        await asyncio.to_thread(write_private, path, minted.secret.encode() + b"\n")
        token = minted.token
    await ensure_owner(token.principal)


def _first_names() -> Iterable[str]:
    yield "cli"
    for number in range(2, MAX_TOKENS + 2):
        yield f"cli-{number}"


def _read(path: Path) -> tuple[Token, ...]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise HostError(
            Code.STORE_FAILED, f"{path} cannot be read.", hint="Check its owner and mode."
        ) from error
    try:
        return msgspec.json.decode(raw, type=_File).tokens
    except (ValueError, RecursionError) as error:
        raise HostError(
            Code.STORE_CORRUPT,
            f"{path} is not a token file.",
            hint="Restore it from a backup, or remove it: all tokens are void then and "
            "`ironclaw up` makes a new first one.",
        ) from error
