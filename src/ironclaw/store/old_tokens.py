"""The token file of houses of before: read once, then put aside under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import PrincipalId, TokenId
from ironclaw.domain.tokens import MAX_TOKENS, Scope, Token
from ironclaw.store.faults import os_fault

if TYPE_CHECKING:
    from pathlib import Path

_TOKEN_BYTES: Final = 1024
"""One token in the file, with room; a real one has about 250."""


class _OldToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One token; its principal is `api:<name>` where none is named."""

    id: TokenId
    name: str
    scopes: frozenset[Scope]
    created_ms: int
    hash: str
    expires_ms: int | None = None
    revoked_ms: int | None = None
    principal: PrincipalId | None = None


class _OldFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    tokens: tuple[_OldToken, ...]


def take_over(path: Path) -> tuple[Token, ...]:
    """The tokens of a file, in its order; none when there is no such file. Blocks.

    Raises:
        HostError: `STORE_CORRUPT`, and the file stays as it is; `STORE_FAILED`.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_TOKENS * _TOKEN_BYTES)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise os_fault(error, path) from error
    try:
        # One that is cut is no JSON any more.
        old = msgspec.json.decode(raw, type=_OldFile).tokens
    except (ValueError, RecursionError) as error:
        raise HostError(
            Code.STORE_CORRUPT,
            f"{path} is not a token file.",
            hint="Restore it from a backup, or remove it: all tokens are void then and "
            "`ironclaw up` makes a new first one.",
        ) from error
    return tuple(
        Token(
            id=one.id,
            name=one.name,
            principal=one.principal or PrincipalId(f"api:{one.name}"),
            scopes=one.scopes,
            created_ms=one.created_ms,
            expires_ms=one.expires_ms,
            revoked_ms=one.revoked_ms,
            hash=one.hash,
        )
        for one in old
    )


def set_old_file_aside(path: Path) -> None:
    """Rename it, so that it is not read again. Idempotent; blocks. Raises HostError."""
    try:
        path.replace(path.with_name(f"{path.name}.imported"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise os_fault(error, path) from error
