"""Who came in with a token for the first time, and who tried without one: for the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.errors import IronClawError
from ironclaw.core.log import get_logger
from ironclaw.domain.audit import AuditEntry, AuditEvent, By, Via

if TYPE_CHECKING:
    from starlette.types import Scope

    from ironclaw.core.ids import TokenId
    from ironclaw.domain.tokens import Token
    from ironclaw.services.trail import Trail

CLI_AGENT: Final = b"ironclaw-cli"
"""What the command line says it is, in `User-Agent`."""

_log = get_logger("api.arrivals")


class Arrivals:
    """What the doors of one daemon share."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        # At most as many as there are tokens.
        self._seen: set[TokenId] = set()

    def refused(self, source: str) -> None:
        """Somebody at `source` had no valid token."""
        self._trail.note(AuditEntry(event=AuditEvent.AUTH_FAILED, source=source))

    async def came_in(self, token: Token, by: By, source: str) -> None:
        """Record the first use of a token since the daemon started.

        A full disk must not keep the owner out of looking at it: then the log has it, and the next
        use tries again.
        """
        if token.id in self._seen:
            return
        self._seen.add(token.id)
        try:
            entry = AuditEntry(event=AuditEvent.TOKEN_USED, token=token.id, source=source)
            await self._trail.append(entry, by=by)
        except IronClawError as error:
            self._seen.discard(token.id)
            _log.error("audit_failed", token=token.id, code=error.code)


def source_of(scope: Scope) -> str:
    """Where a request is from: an address, or `unix`."""
    client = scope.get("client")
    return str(client[0]) if client and client[0] else "unix"


def by_of(token: Token, scope: Scope, source: str) -> By:
    """Whose request it is, and through what. Only on the unix socket may it say it is the CLI."""
    is_cli = source == "unix" and (b"user-agent", CLI_AGENT) in scope["headers"]
    return By(token.principal, Via.CLI if is_cli else Via.API)
