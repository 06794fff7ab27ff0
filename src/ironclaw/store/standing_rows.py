"""Standings: which principal holds which role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import AuditEntry, AuditEvent
from ironclaw.domain.model import Role, Standing
from ironclaw.store.audit_rows import append
from ironclaw.store.rows import Memory, Rows

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store

_MAX_PRINCIPAL: Final = 256


class StandingRows(Rows):
    """The table of standings."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._held = self._memory(Memory[PrincipalId, tuple[Standing, ...]]())

    async def standings(self) -> list[Standing]:
        """Who holds which role. Raises HostError."""
        rows = await self._store.read(
            lambda db: list(
                db.execute(
                    "SELECT principal, role, agent FROM standing ORDER BY principal, role, agent"
                )
            )
        )
        return [_standing(*row) for row in rows]

    async def standings_of(self, principal: PrincipalId) -> tuple[Standing, ...]:
        """What one principal holds. Raises HostError."""
        if (known := self._held.get(principal)) is not None:
            return known
        generation = self._held.generation
        rows = await self._store.read(
            lambda db: list(
                db.execute(
                    "SELECT principal, role, agent FROM standing WHERE principal = ?", (principal,)
                )
            )
        )
        held = tuple(_standing(*row) for row in rows)
        # Strangers are not remembered: they could fill the memory.
        if held:
            self._held.put(principal, held, generation=generation)
        return held

    async def give(self, principal: PrincipalId, role: Role, agent: AgentId | None) -> Standing:
        """Give a role, globally (None) or for one agent. Giving it twice changes nothing.

        Raises:
            UserError: `INVALID`: an owner is always global; a principal is `<channel>:<handle>`.
            HostError: From the store.
        """
        if role is Role.OWNER and agent is not None:
            raise UserError(
                Code.INVALID, "An owner owns everything.", hint="Give `admin` for one agent."
            )
        channel, colon, handle = principal.partition(":")
        if not (channel and colon and handle) or len(principal) > _MAX_PRINCIPAL:
            raise UserError(
                Code.INVALID,
                f"A principal is `<channel>:<handle>`, at most {_MAX_PRINCIPAL} characters.",
                hint="For example `api:desk`.",
            )
        entry = AuditEntry(
            event=AuditEvent.ROLE_GIVEN, principal=principal, role=role.value, agent=agent
        )
        now, by = self._clock.now_ms(), acting()

        def work(db: apsw.Connection) -> None:
            db.execute(
                "INSERT INTO standing VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (principal, role.value, agent or ""),
            )
            if db.changes():
                append(db, entry, at_ms=now, by=by)

        await self._change(work)
        return Standing(principal=principal, role=role, agent=agent)

    async def take(self, principal: PrincipalId, role: Role, agent: AgentId | None) -> None:
        """Take a role away; in force on return. Raises UserError (`NOT_FOUND`), HostError."""
        entry = AuditEntry(
            event=AuditEvent.ROLE_TAKEN, principal=principal, role=role.value, agent=agent
        )
        now, by = self._clock.now_ms(), acting()

        def work(db: apsw.Connection) -> None:
            db.execute(
                "DELETE FROM standing WHERE principal = ? AND role = ? AND agent = ?",
                (principal, role.value, agent or ""),
            )
            if not db.changes():
                raise UserError(
                    Code.NOT_FOUND,
                    f"{principal[:80]} does not hold that role.",
                    hint="Roles are held globally or for one agent: name the one it was given for.",
                )
            append(db, entry, at_ms=now, by=by)

        await self._change(work)


def _standing(principal: str, role: str, agent: str) -> Standing:
    return Standing(
        principal=PrincipalId(principal), role=Role(role), agent=AgentId(agent) if agent else None
    )
