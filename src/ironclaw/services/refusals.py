"""Refusals of the router, with the audit told of them: who and why, never what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.domain.audit import AuditEntry, AuditEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.services.router import Refusals


class AuditedRefusals:
    """Implements `router.Refusals`.

    Args:
        kept: Where each refusal is counted.
        note: Tells the audit, sparingly: strangers can cause as many as they like.
    """

    def __init__(self, kept: Refusals, note: Callable[[AuditEntry], None]) -> None:
        self._kept = kept
        self._note = note

    async def refuse(self, *, channel: str, platform_id: str, handle: str, reason: str) -> None:
        """Record who was not let in and why. Raises HostError."""
        await self._kept.refuse(
            channel=channel, platform_id=platform_id, handle=handle, reason=reason
        )
        self._note(
            AuditEntry(
                event=AuditEvent.ROUTER_REFUSED,
                channel=channel,
                principal=f"{channel}:{handle}",
                reason=reason,
            )
        )
