"""The first token and the first owner: how people get into a house that nobody has been in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ironclaw.api.secret_file import read_private, write_private
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.tokens import MAX_TOKENS, Scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from ironclaw.domain.tokens import TokenStore

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
