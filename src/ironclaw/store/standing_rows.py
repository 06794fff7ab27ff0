"""Standings: which principal holds which role, and which principals are one person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import AgentId, PrincipalId
from ironclaw.domain.acting import acting
from ironclaw.domain.changes.base import DropStanding, PutStanding
from ironclaw.domain.model import Role, Standing
from ironclaw.domain.principals import check_principal
from ironclaw.store.change_ops import Cause, execute
from ironclaw.store.person_links import person_of
from ironclaw.store.rows import Memory, Rows

if TYPE_CHECKING:
    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.store.engine import Store


class StandingRows(Rows):
    """The tables of standings and persons."""

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._held = self._memory(Memory[PrincipalId, tuple[Standing, ...]]())
        self._persons = self._memory(Memory[PrincipalId, PrincipalId]())

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
        held = await self._store.read(lambda db: standings_of(db, principal))
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
        check_principal(principal)
        standing = Standing(principal=principal, role=role, agent=agent)
        cause = Cause(self._clock.now_ms(), acting())
        await self._change(lambda db: execute(db, PutStanding(standing), cause))
        return standing

    async def take(self, principal: PrincipalId, role: Role, agent: AgentId | None) -> None:
        """Take a role away; in force on return. Raises UserError (`NOT_FOUND`), HostError."""
        standing = Standing(principal=principal, role=role, agent=agent)
        cause = Cause(self._clock.now_ms(), acting())

        def work(db: apsw.Connection) -> None:
            if not execute(db, DropStanding(standing), cause):
                raise UserError(
                    Code.NOT_FOUND,
                    f"{principal[:80]} does not hold that role.",
                    hint="Roles are held globally or for one agent: name the one it was given for.",
                )

        await self._change(work)

    async def ensure_first_owner(self, principal: PrincipalId) -> bool:
        """Make somebody the owner of a house that has none; whether that was so.

        The core does this by its own rules, for whoever has the first token. Raises HostError.
        """
        standing = Standing(principal=principal, role=Role.OWNER)
        cause = Cause(self._clock.now_ms())

        def work(db: apsw.Connection) -> bool:
            if db.execute(
                "SELECT 1 FROM standing WHERE role = ? AND agent = ''", (Role.OWNER.value,)
            ).fetchone():
                return False
            return execute(db, PutStanding(standing), cause)

        return await self._change(work)

    async def person_of(self, principal: PrincipalId) -> PrincipalId:
        """Who a principal is; itself unless it was linked. Raises HostError."""
        if (known := self._persons.get(principal)) is not None:
            return known
        generation = self._persons.generation
        person = await self._store.read(lambda db: person_of(db, principal))
        if person != principal:
            self._persons.put(principal, person, generation=generation)
        return person

    async def persons(self) -> dict[PrincipalId, PrincipalId]:
        """Principals that are one with another, and who that is. Raises HostError."""
        rows = await self._store.read(
            lambda db: list(db.execute("SELECT principal, person FROM person ORDER BY principal"))
        )
        return {PrincipalId(principal): PrincipalId(person) for principal, person in rows}


def standings_of(db: apsw.Connection, principal: PrincipalId) -> tuple[Standing, ...]:
    """What one principal holds, in a transaction."""
    rows = db.execute(
        "SELECT principal, role, agent FROM standing WHERE principal = ?", (principal,)
    )
    return tuple(_standing(*row) for row in rows)


def _standing(principal: str, role: str, agent: str) -> Standing:
    return Standing(
        principal=PrincipalId(principal), role=Role(role), agent=AgentId(agent) if agent else None
    )
