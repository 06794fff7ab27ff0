"""Who may look at what, by what the store knows of them at this moment.

Who may not look at a change is told the same as for one that is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.rights import Right, rights

if TYPE_CHECKING:
    from ironclaw.core.ids import AgentId, ChangeId, GrantId
    from ironclaw.domain.change import Asker, Row
    from ironclaw.domain.rights import Actor
    from ironclaw.services.gateway.rows import ChangeStore


class Sight:
    """Answers by roles and the limit of a token."""

    def __init__(self, store: ChangeStore) -> None:
        self._store = store

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
