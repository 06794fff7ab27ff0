"""Changes as somebody is shown them, now: the card, whether they may decide, what they can press.

A view is never kept: it is made of the row, the live state and the rights of whoever looks, each
time anew. A change that has no card any more is still listed, and cannot be approved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from ironclaw.core.errors import IronClawError, UserError
from ironclaw.domain.cards import Card, Told, render
from ironclaw.domain.change import Status
from ironclaw.domain.changes.base import Topic
from ironclaw.domain.characters import Findings
from ironclaw.domain.deciding import (
    approvals,
    deciding_roles,
    hindrance,
    is_only_owner,
    is_own,
    lacks,
)
from ironclaw.domain.overtaking import NotYet, not_yet
from ironclaw.domain.policy import needed
from ironclaw.domain.revoking import is_left, way_back
from ironclaw.domain.rights import Right, rights
from ironclaw.domain.summaries import summary
from ironclaw.domain.visible import quoted
from ironclaw.services.gateway.port import Button, ChangeView, GrantView
from ironclaw.services.gateway.rendered import Rendered

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.core.ids import AgentId, PrincipalId
    from ironclaw.domain.change import Change, Grant, Row
    from ironclaw.domain.changes.base import HostDir, House, Spec
    from ironclaw.domain.gateway import Loaded
    from ironclaw.domain.model import Agent
    from ironclaw.domain.rights import Actor
    from ironclaw.services.gateway.port import Action
    from ironclaw.services.gateway.rows import ChangeStore, Looks

_LABELS: Final[dict[Action, str]] = {
    "approve": "Approve",
    "deny": "Deny",
    "withdraw": "Withdraw",
    "retry": "Try again",
    "revoke": "Take back",
}


class Names(Protocol):
    """Who an agent is: `ironclaw.store.registry.Registry`."""

    async def agent(self, ref: str) -> Agent:
        """One agent by id or name, archived ones too. Raises UserError (`NOT_FOUND`)."""
        ...


class Around(NamedTuple):
    """What is looked up outside of the store for one step."""

    house: House
    directory: HostDir | None


class Views:
    """Makes views."""

    def __init__(self, *, store: ChangeStore, looks: Looks, names: Names) -> None:
        self._store = store
        self._looks = looks
        self._names = names
        self._rendered = Rendered()

    async def around(self, spec: Spec) -> Around:
        """Look at what a spec needs to be told of the house."""
        path = spec.needs().path
        directory = None if path is None else await self._looks.directory(path)
        return Around(await self.house(spec.topic), directory)

    async def house(self, topic: Topic | None) -> House:
        """The house, with what a change of that topic has to be told of it."""
        house = self._looks.house()
        # They are looked up on the disk.
        return house._replace(skills=await self._looks.skills()) if topic is Topic.SKILLS else house

    async def look(self, spec: Spec, *, asker: PrincipalId, actor: Actor | None) -> Loaded:
        """What a step for that spec would be told now."""
        house, directory = await self.around(spec)
        return await self._store.look(
            spec,
            asker=asker,
            actor=None if actor is None else actor.principal,
            house=house,
            directory=directory,
        )

    async def name_of(self, agent: AgentId | None) -> str:
        """The name of an agent; empty when there is none."""
        if agent is None:
            return ""
        try:
            return (await self._names.agent(agent)).name
        except UserError:
            return ""

    async def load(self, row: Row, actor: Actor | None) -> Loaded:
        """What a step for that change would be told now."""
        house, directory = await self.around(row.change.spec)
        who = None if actor is None else actor.principal
        return await self._store.look_at(row, actor=who, house=house, directory=directory)

    async def view(self, row: Row, actor: Actor | None, loaded: Loaded | None = None) -> ChangeView:
        """A change as somebody sees it; None: as the agent that asked does.

        Args:
            row: The change.
            actor: Who looks.
            loaded: What `load` said of the two a moment ago.
        """
        change = row.change
        if loaded is None:
            loaded = await self.load(row, actor)
        why_not = "" if actor is None else hindrance(loaded, row, actor)
        waits = not_yet(loaded, change) if row.status is Status.PENDING else None
        agent_name = await self.name_of(change.spec.agent_id)
        asker_name = await self.name_of(change.asker.agent)
        try:
            card = card_of(
                change,
                loaded,
                row=row,
                asker_name=asker_name,
                agent_name=agent_name,
                waits=waits,
                rendering=self._rendered.render,
            )
        except IronClawError as error:
            # Nobody approves what cannot be shown: no hash fits this one.
            card = _without_look(row, error, agent_name)
            why_not = why_not or error.message
        policy = loaded.live.policy
        said = approvals(loaded, card.state) if row.status is Status.PENDING else ()
        may_decide = actor is not None and not why_not
        buttons: tuple[Button, ...] = ()
        if actor is not None:
            buttons = _buttons(row, loaded, actor, may_decide=may_decide, waits=waits is not None)
        return ChangeView(
            row=row,
            card=card,
            may_decide=may_decide,
            why_not=why_not,
            deciders=deciding_roles(policy, change.spec),
            people=needed(policy, change.spec).people,
            approvals=len(said),
            not_yet="" if waits is None else waits.why,
            way_on="" if waits is None else waits.way,
            buttons=buttons,
            agent_name=agent_name,
            asker_name=asker_name,
            link=f"/changes/{change.id}",
        )

    async def grant(self, grant: Grant, row: Row) -> GrantView:
        """A grant as it is shown."""
        spec = row.change.spec
        name = await self.name_of(grant.agent)
        view = GrantView(
            grant=grant, title=summary(spec, agent=name, before=row.before), agent_name=name
        )
        if grant.ended_ms is not None:
            return view
        house = await self.house(grant.topic)
        given = await self._store.look_at_grant(grant.id, house=house)
        return msgspec.structs.replace(
            view, is_left=is_left(given), way_back=await self._way_back(given)
        )

    async def far_grant(self, grant: Grant, to: AgentId) -> GrantView:
        """A way of another agent to one's own, as its people are shown it: that it is there.

        Trust:
            Nothing of what the other agent calls it, or of why it was given, is theirs to know.
        """
        name, own = await self.name_of(grant.agent), await self.name_of(to)
        is_active = grant.ended_ms is None
        return GrantView(
            grant=grant,
            title=f"Let the agent {name} write to the agent {own}",
            agent_name=name,
            way_back=f"Take from the agent {name} that it may write to {own}" if is_active else "",
            is_left=is_active,
        )

    async def _way_back(self, given: Loaded) -> str:
        """What taking back a grant would do now, in a line."""
        if (way := way_back(given)) is None or given.inverse_live is None:
            return ""
        name = await self.name_of(way.agent_id)
        return summary(way, agent=name, before=way.before(given.inverse_live))


def card_of(
    change: Change,
    loaded: Loaded,
    *,
    row: Row | None = None,
    asker_name: str = "",
    agent_name: str = "",
    waits: NotYet | None = None,
    rendering: Callable[[Change, Told], Card] = render,
) -> Card:
    """Render a change against the state that was loaded, or against the one that it changed.

    Args:
        change: Which one.
        loaded: What a step for it would be told now.
        row: Where it is; None for one that is only being asked for.
        asker_name: Of the agent that asks.
        agent_name: Of the agent that it is about.
        waits: Why it cannot be approved as things are.
        rendering: Makes it.

    Raises:
        UserError: `INVALID` or `TOO_LARGE`: it has no card.
    """
    spec, live = change.spec, loaded.live
    told = Told(
        before=spec.before(live) if row is None or row.before is None else row.before,
        after=spec.after(live),
        bearing=spec.bearing(live),
        revocable=spec.has_way_back,
        agent_name=agent_name or ("" if live.agent is None else live.agent.name),
        asker_name=asker_name,
        solo=live.policy.solo
        and not change.asker.is_agent
        and not change.asker.is_at_the_door(spec)
        and not change.asker.is_house(spec),
        only_owner=spec.topic is Topic.POLICY and is_only_owner(live, loaded.asker_person),
        people=needed(live.policy, spec).people,
        not_yet="" if waits is None else f"{waits.why} {waits.way}".rstrip(),
    )
    return rendering(change, told)


def _without_look(row: Row, error: IronClawError, agent_name: str) -> Card:
    return Card(
        version=0,
        change=row.change.id,
        hash="",
        state="",
        title=summary(row.change.spec, agent=agent_name, before=row.before),
        asker=quoted(row.change.asker.principal, Findings()),
        reason=(),
        about=(),
        fields=(),
        diff=(),
        notices=(f"This change cannot be shown, so it cannot be approved: {error.message}",),
        warnings=(),
    )


def _buttons(
    row: Row, loaded: Loaded, actor: Actor, *, may_decide: bool, waits: bool
) -> tuple[Button, ...]:
    spec = row.change.spec
    may_rule = not lacks(loaded, spec, actor)
    may_take_back = not lacks(loaded, spec, actor, gives=False)
    held = rights(loaded.standings, spec.agent_id) & actor.limit
    actions: list[Action] = []
    if may_decide:
        actions += ["deny"] if waits else ["approve", "deny"]
    if row.status in {Status.PENDING, Status.FAILED} and (
        may_rule or (is_own(loaded) and Right.REQUEST in actor.limit)
    ):
        actions.append("withdraw")
    has_failed = row.status is Status.FAILED or (row.status is Status.APPLIED and row.code)
    if has_failed and held & {Right.OPERATE, Right.DECIDE}:
        actions.append("retry")
    grant = row.grant
    if grant is not None and grant.ended_ms is None and grant.revocable and may_take_back:
        actions.append("revoke")
    return tuple(Button(label=_LABELS[one], action=one) for one in actions)
