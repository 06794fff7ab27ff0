"""Bearer tokens: what one is, what it may do, and where they are kept. Pure.

`icl_` and 160 random bits, shown once, kept as a SHA-256 hash. A token stands for a principal and
can only take from what that one may do: `limit_of` says what it lets through. Its name is given out
once for ever, so that no record of one token is ever taken for another's.
"""

from __future__ import annotations

import enum
import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId, TokenId
from ironclaw.domain.rights import NOBODY, Right

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "icl_"
SECRET_BYTES: Final = 20
MAX_TOKENS: Final = 10_000
MAX_TTL_S: Final = 10 * 366 * 86_400
NAME_RULE: Final = r"\A[a-z0-9][a-z0-9_.\-]{0,62}\Z"
_PRINCIPAL: Final = r"\A[a-z0-9_.\-]{1,64}:[^\x00-\x1f\x7f]{1,180}\Z"


class Scope(enum.StrEnum):
    """One right of a token."""

    ADMIN = "admin"
    """Everything its principal may do."""
    OPERATE = "operate"
    """Ask for changes, stop sessions; talk and read."""
    APPROVE = "approve"
    """Approve and deny changes, revoke grants; read."""
    CHAT = "chat"
    """Send messages and follow chats."""
    READ = "read"
    """Look at everything, change nothing."""


LIMITS: Final[dict[Scope, frozenset[Right]]] = {
    Scope.ADMIN: frozenset(Right),
    Scope.OPERATE: frozenset({Right.TALK, Right.READ, Right.OPERATE, Right.REQUEST}),
    Scope.APPROVE: frozenset({Right.READ, Right.DECIDE}),
    Scope.CHAT: frozenset({Right.TALK}),
    Scope.READ: frozenset({Right.READ}),
}
"""What a token with the key lets through of its principal's rights."""


def limit_of(scopes: Iterable[Scope]) -> frozenset[Right]:
    """What a token with these scopes lets through; nothing without any."""
    return NOBODY.union(*(LIMITS[scope] for scope in scopes))


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One token as it is kept: without its secret."""

    id: TokenId
    name: str
    """Never given to another token, not even after this one was revoked."""
    principal: PrincipalId
    """Whom the core takes the bearer for. Several tokens may have the same."""
    scopes: frozenset[Scope]
    created_ms: int
    expires_ms: int | None = None
    revoked_ms: int | None = None
    hash: str
    """Hexadecimal SHA-256 of the secret text."""

    def is_active(self, now_ms: int) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


class Minted(NamedTuple):
    """A new token, with the one and only sight of its secret."""

    token: Token
    secret: str


class TokenStore(Protocol):
    """Where tokens are kept: `ironclaw.store.token_rows.TokenRows`."""

    def find(self, secret: str) -> Token | None:
        """The active token with that secret; None for any other. Notes the time of use."""
        ...

    def last_used_ms(self, token: TokenId) -> int | None:
        """When it was last used, to the hour after a restart; None: never."""
        ...

    async def tokens(self) -> list[Token]:
        """All tokens, revoked ones included, oldest first."""
        ...

    async def mint(
        self,
        *,
        name: str,
        scopes: Iterable[Scope],
        ttl_s: int | None,
        principal: PrincipalId | None = None,
    ) -> Minted:
        """Make a token.

        Args:
            name: Of the token, never used before.
            scopes: One at least.
            ttl_s: Seconds until it expires; None: never.
            principal: Whom it stands for; None: `api:<name>`, a new one. Whether the caller may
                hand out that principal is the caller's to check.

        Raises:
            UserError: `INVALID`, `CONFLICT`.
            HostError: From where they are kept.
        """
        ...

    async def revoke(self, ref: str) -> Token:
        """End a token by id or name, at once. Raises UserError (`NOT_FOUND`), HostError."""
        ...


def check_wish(
    *, name: str, scopes: frozenset[Scope], ttl_s: int | None, principal: PrincipalId
) -> None:
    """Refuse a token that cannot be.

    Raises:
        UserError: `INVALID`.

    Trust:
        All of it comes from a client.
    """
    if not re.match(NAME_RULE, name):
        raise UserError(
            Code.INVALID,
            "A token's name has 1 to 63 of a-z, 0-9, '_', '.', '-' and starts with a letter or "
            "digit.",
            hint="For example `laptop` or `ci-bot`.",
        )
    if not scopes:
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
    if not re.match(_PRINCIPAL, principal) or principal.startswith("agent:"):
        raise UserError(
            Code.INVALID,
            "A token stands for a person, whose principal is `<channel>:<handle>`.",
            hint="Leave the principal out for a new one.",
        )


def hash_of(secret: str) -> str:
    """Hash a token's secret. Its 160 random bits need no salt and no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
