"""Who may look at what, by what the store knows of them at this moment.

Who may not look at a change is told the same as for one that is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.changes.destinations import AddDestination
from ironclaw.domain.gateway import row_of
from ironclaw.domain.revoking import reached
from ironclaw.domain.rights import Right, rights

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId, ChangeId, GrantId
    from ironclaw.domain.change import Asker, Grant, Row
    from ironclaw.domain.rights import Actor
    from ironclaw.services.gateway.rows import ChangeStore, Looks

_WAY: Final = str(AddDestination.__struct_config__.tag)
"""The kind whose grants may be ways to other agents."""


class Sight:
    """Answers by roles and the limit of a token."""

    def __init__(self, store: ChangeStore, looks: Looks) -> None:
        self._store = store
        self._looks = looks

    async def rights(self, actor: Actor, agent: AgentId | None) -> frozenset[Right]:
        """What somebody may do: what the roles give and the token lets through."""
        return rights(await self._store.standings_of(actor.principal), agent) & actor.limit

    async def anywhere(self, actor: Actor, right: Right) -> frozenset[AgentId] | None:
        """The agents with which somebody has that right; None: with all, and the house."""
        standings = await self._store.standings_of(actor.principal)
        if right not in actor.limit:
            return frozenset()
        if right in rights(standings, None):
            return None
        agents = {one.agent for one in standings if one.agent is not None}
        return frozenset(agent for agent in agents if right in rights(standings, agent))

    async def readable(self, actor: Actor, about: AgentId | None) -> frozenset[AgentId] | None:
        """The agents whose changes somebody may look at, all or those about one alone."""
        agents = await self.anywhere(actor, Right.READ)
        if about is None:
            return agents
        return frozenset({about}) if agents is None or about in agents else frozenset()

    async def may_look(self, row: Row, actor: Actor) -> bool:
        """Whether somebody may look at a change: at what they may read, and at their own."""
        if Right.READ in await self.rights(actor, row.change.spec.agent_id):
            return True
        asker = row.change.asker
        if asker.is_agent or not actor.limit & {Right.READ, Right.REQUEST}:
            return False
        person = await self._store.person_of(actor.principal)
        return person == await self._store.person_of(asker.principal)

    async def visible(self, change: ChangeId, actor: Actor) -> Row:
        """A change that somebody may look at. Raises UserError (`NOT_FOUND`)."""
        try:
            row = await self._store.row(change)
        except UserError as error:
            raise no_change(change) from error
        if not await self.may_look(row, actor):
            raise no_change(change)
        return row

    async def own(self, change: ChangeId, asker: Asker | None) -> Row:
        """A change that this agent asked for. Raises UserError (`NOT_FOUND`)."""
        try:
            row = await self._store.row(change)
        except UserError as error:
            raise no_change(change) from error
        if asker is None or not asker.is_agent or asker.agent != row.change.asker.agent:
            raise no_change(change)
        return row

    async def grant(self, grant: GrantId, actor: Actor) -> tuple[Row, AgentId | None]:
        """The change that gave something, and whom of theirs it reaches if that is all they see.

        Raises:
            UserError: `NOT_FOUND`.
        """
        try:
            loaded = await self._store.look_at_grant(grant, house=self._looks.house())
        except UserError as error:
            raise no_grant(grant) from error
        row = row_of(loaded)
        if await self.may_look(row, actor):
            return row, None
        far = reached(loaded)
        if far is None or Right.DECIDE not in await self.rights(actor, far):
            raise no_grant(grant)
        return row, far

    async def ways(
        self, actor: Actor, about: AgentId | None, *, limit: int
    ) -> list[tuple[Grant, AgentId]]:
        """Ways of other agents to those that the actor decides for, or to one of them alone.

        Args:
            actor: Who looks.
            about: To this one alone.
            limit: How many of the newest are looked at.
        """
        mine = await self.anywhere(actor, Right.DECIDE)
        if mine == frozenset():
            return []
        found = []
        for grant, row in await self._store.grants(
            agents=None, ended=False, limit=limit, kind=_WAY
        ):
            if row.change.spec.needs().peer is None:
                continue
            loaded = await self._store.look_at_grant(grant.id, house=self._looks.house())
            far = reached(loaded)
            if far is not None and (mine is None or far in mine) and about in {None, far}:
                found.append((grant, far))
        return found


def no_change(change: ChangeId) -> UserError:
    """There is none of that id for them: in the very words of the store, for one that is not."""
    return UserError(
        Code.NOT_FOUND,
        f"There is no change {change[:80]!r}.",
        hint="`ironclaw change list` shows those there are.",
    )


def no_grant(grant: GrantId) -> UserError:
    """There is none of that id for them: in the very words of the store, for one that is not."""
    return UserError(
        Code.NOT_FOUND,
        f"There is no grant {grant[:80]!r}.",
        hint="`ironclaw grant list` shows those there are.",
    )
