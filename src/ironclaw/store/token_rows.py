"""Tokens in the store: implements `TokenStore`, with all of them in memory.

open -> (tokens.json of before is taken over, once) -> find, on every request: a look in a
dictionary; mint and revoke: the row and its audit record in one transaction, then the dictionary.

When a token was used is written down at most once an hour for each, by `keep_uses`, off the path
of the request.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from typing import TYPE_CHECKING, Final, Self

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId, TokenId, new_id
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.tokens import (
    MAX_TOKENS,
    PREFIX,
    SECRET_BYTES,
    Minted,
    Scope,
    Token,
    check_wish,
    hash_of,
)
from ironclaw.store.audit_rows import append
from ironclaw.store.faults import edited
from ironclaw.store.old_tokens import set_old_file_aside, take_over

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store

USE_KEPT_MS: Final = 60 * 60 * 1000
"""How exactly the last use of a token is known after a restart."""
_TOKENS: Final = (
    "SELECT id, name, principal, scopes, created_ms, expires_ms, revoked_ms, hash, used_ms"
    " FROM token ORDER BY n"
)


class TokenRows:
    """The table of tokens. Make it with `open`."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tokens: dict[TokenId, Token] = {}
        self._by_hash: dict[str, Token] = {}
        self._used: dict[TokenId, int] = {}
        self._kept: dict[TokenId, int] = {}
        """Of the times of use, those that are on the disk."""
        self._owed: set[TokenId] = set()
        self._bell = asyncio.Event()

    @classmethod
    async def open(cls, store: Store, clock: Clock, *, old_file: Path | None = None) -> Self:
        """Read all tokens.

        Args:
            store: The open store.
            clock: What time it is.
            old_file: `tokens.json` of a house of before; taken over while the store has no token at
                all, and renamed to `tokens.json.imported`. One that turns up later gives nobody
                anything.

        Raises:
            HostError: `STORE_CORRUPT`: a row, or that file, is not what was written there.
        """
        found = cls(store, clock)
        if old_file is not None:
            old = await asyncio.to_thread(take_over, old_file)
            await found._import(old)
            await asyncio.to_thread(set_old_file_aside, old_file)
        await found._read()
        return found

    def find(self, secret: str) -> Token | None:
        """The active token with that secret; None for any other. Notes the time of use."""
        # A dictionary of hashes: how long the look-up takes says nothing about the secret.
        token = self._by_hash.get(hash_of(secret))
        now = self._clock.now_ms()
        if token is None or not token.is_active(now):
            return None
        self._used[token.id] = now
        if now - self._kept.get(token.id, -USE_KEPT_MS) >= USE_KEPT_MS:
            self._owed.add(token.id)
            self._bell.set()
        return token

    def last_used_ms(self, token: TokenId) -> int | None:
        """When it was last used, to the hour after a restart; None: never."""
        return self._used.get(token)

    async def tokens(self) -> list[Token]:
        """All tokens, revoked ones included, oldest first."""
        return list(self._tokens.values())

    async def mint(
        self,
        *,
        name: str,
        scopes: Iterable[Scope],
        ttl_s: int | None,
        principal: PrincipalId | None = None,
    ) -> Minted:
        """Make a token. Raises UserError (`INVALID`, `CONFLICT`), HostError."""
        granted = frozenset(scopes)
        whose = principal or PrincipalId(f"api:{name}")
        check_wish(name=name, scopes=granted, ttl_s=ttl_s, principal=whose)
        secret = PREFIX + base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode().lower()
        now, by = self._clock.now_ms(), acting()
        token = Token(
            id=TokenId(new_id("tok")),
            name=name,
            principal=whose,
            scopes=granted,
            created_ms=now,
            expires_ms=None if ttl_s is None else now + ttl_s * 1000,
            hash=hash_of(secret),
        )
        entry = _entry(AuditEvent.TOKEN_MINTED, token, words=tuple(sorted(granted)))

        def work(db: apsw.Connection) -> None:
            _check_free(db, token, is_new=principal is None)
            _add(db, token)
            append(db, entry, at_ms=now, by=by)

        await self._store.write(work)
        self._know(token)
        return Minted(token, secret)

    async def revoke(self, ref: str) -> Token:
        """End a token by id or name, at once. Raises UserError (`NOT_FOUND`), HostError."""
        token = next((one for one in self._tokens.values() if ref in (one.id, one.name)), None)
        if token is None:
            raise UserError(
                Code.NOT_FOUND,
                "There is no such token.",
                hint="`ironclaw token list` shows them.",
            )
        now, by = self._clock.now_ms(), acting()
        ended = msgspec.structs.replace(token, revoked_ms=now)
        entry = _entry(AuditEvent.TOKEN_REVOKED, token)

        def work(db: apsw.Connection) -> bool:
            db.execute(
                "UPDATE token SET revoked_ms = ? WHERE id = ? AND revoked_ms IS NULL",
                (now, token.id),
            )
            if not db.changes():
                return False
            append(db, entry, at_ms=now, by=by)
            return True

        if not await self._store.write(work):
            return self._tokens[token.id]
        self._know(ended)
        return ended

    # --- times of use -----------------------------------------------------------------------------

    async def keep_uses(self) -> None:
        """Write down when tokens were used, until cancelled. Raises HostError."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            await self.write_uses()

    async def write_uses(self) -> None:
        """Write down what is owed; at the end of the core, too. Raises HostError."""
        owed = {token: self._used[token] for token in self._owed}
        self._owed.clear()
        if not owed:
            return
        rows = [(used_ms, token) for token, used_ms in owed.items()]
        await self._store.write(
            lambda db: db.executemany("UPDATE token SET used_ms = ? WHERE id = ?", rows)
        )
        self._kept.update(owed)

    # ----------------------------------------------------------------------------------------------

    def _know(self, token: Token) -> None:
        self._tokens[token.id] = token
        self._by_hash[token.hash] = token

    async def _read(self) -> None:
        for *fields, used_ms in await self._store.read(lambda db: list(db.execute(_TOKENS))):
            token = _token(*fields)
            self._know(token)
            if used_ms is not None:
                self._used[token.id] = self._kept[token.id] = used_ms

    async def _import(self, old: tuple[Token, ...]) -> None:
        def work(db: apsw.Connection) -> None:
            if db.execute("SELECT 1 FROM token LIMIT 1").fetchone() is None:
                for token in old:
                    _add(db, token)

        if old:
            await self._store.write(work)


def _add(db: apsw.Connection, token: Token) -> None:
    db.execute(
        "INSERT INTO token (id, name, principal, scopes, created_ms, expires_ms, revoked_ms, hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token.id, token.name, token.principal,
            msgspec.json.encode(sorted(token.scopes)).decode(), token.created_ms, token.expires_ms,
            token.revoked_ms, token.hash,
        ),
    )  # fmt: skip


def _check_free(db: apsw.Connection, token: Token, *, is_new: bool) -> None:
    """Refuse a name that was given out before, and a new principal that is somebody's already."""
    same = "name = ?1 OR principal = ?2" if is_new else "name = ?1"
    taken = db.execute(
        f"SELECT 1 FROM token WHERE {same} LIMIT 1",  # noqa: S608 - one of two constants
        (token.name, token.principal) if is_new else (token.name,),
    ).fetchone()
    held = "SELECT 1 FROM standing WHERE principal = ? LIMIT 1"
    if taken is None and is_new:
        # In this transaction: a role may be given to that principal at the same moment.
        taken = db.execute(held, (token.principal,)).fetchone()
    if taken is not None:
        raise UserError(
            Code.CONFLICT,
            f"There is or was a token {token.name!r}, or {token.principal} is somebody already.",
            hint="Choose another name: names are never given out again.",
        )
    ((count,),) = list(db.execute("SELECT count(*) FROM token"))
    if count >= MAX_TOKENS:
        raise UserError(
            Code.CONFLICT,
            f"There are {MAX_TOKENS} tokens already.",
            hint="Use fewer: `ironclaw token list`.",
        )


def _entry(event: AuditEvent, token: Token, words: tuple[str, ...] = ()) -> AuditEntry:
    return AuditEntry(
        event=event, token=token.id, name=token.name, principal=token.principal, words=words
    )


def _token(  # noqa: PLR0917 - the columns, in their order
    id_: str,
    name: str,
    principal: str,
    scopes: str,
    created_ms: int,
    expires_ms: int | None,
    revoked_ms: int | None,
    digest: str,
) -> Token:
    try:
        granted = msgspec.json.decode(scopes, type=frozenset[Scope])
    except (ValueError, RecursionError) as error:
        raise edited(f"token {id_}: {error}") from error
    return Token(
        id=TokenId(id_),
        name=name,
        principal=PrincipalId(principal),
        scopes=granted,
        created_ms=created_ms,
        expires_ms=expires_ms,
        revoked_ms=revoked_ms,
        hash=digest,
    )
