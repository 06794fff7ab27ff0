"""The gateway: nothing about an agent changes unless a known human saw exactly that and said yes.

    submit -> (rights, checks, denials, policy: one step in the store) -> pending | approved
    decide -> (rights, what was seen, who else: one step)              -> denied | approved
    approved -> `applier`: in force, also in running boxes, when the call returns
    revoke, the end of a grant -> the way back, the same way

Rights are checked here for every caller, by what the store knows of them at that moment. Whatever
was begun is finished although its caller has gone, and after a crash by `resume`.
"""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from ironclaw.core.errors import IronClawError, UserError
from ironclaw.core.ids import ChangeId, new_id
from ironclaw.core.log import get_logger
from ironclaw.domain import applying, asking, deciding, overtaking, revoking
from ironclaw.domain.acting import acting
from ironclaw.domain.audit import CORE, By, Via
from ironclaw.domain.change import OPEN, Change, as_kept, canonical
from ironclaw.domain.principals import HOUSE_CHANNEL, channel_of
from ironclaw.domain.rights import Right
from ironclaw.services.gateway.applier import Applier
from ironclaw.services.gateway.deadlines import Deadlines
from ironclaw.services.gateway.events import Feed
from ironclaw.services.gateway.flood import Flood
from ironclaw.services.gateway.port import ChangeEvent, EventKind
from ironclaw.services.gateway.refused import Refused
from ironclaw.services.gateway.sight import Sight, no_grant
from ironclaw.services.gateway.steps import Steps
from ironclaw.services.gateway.views import Views, card_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, GrantId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.audit import AuditEntry
    from ironclaw.domain.cards import Card
    from ironclaw.domain.change import Asker, Row, Seen
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.changes.table import AnySpec
    from ironclaw.domain.gateway import Loaded, Write
    from ironclaw.domain.policy import Policy
    from ironclaw.domain.rights import Actor
    from ironclaw.services.gateway.events import Watch
    from ironclaw.services.gateway.port import ChangeView, GrantView
    from ironclaw.services.gateway.rows import (
        ChangeStore,
        Due,
        KeptEvent,
        Looks,
        Reach,
        Tell,
        Waiting,
        Written,
    )
    from ironclaw.services.gateway.views import Names

MAX_LISTED: Final = 500
RETOLD: Final = 64
"""Newest events whose askers are told again at a start, for the case that they were not: more
than can happen between an event and the word about it."""

_log = get_logger("gateway")


class Parts(NamedTuple):
    """What the gateway works with."""

    store: ChangeStore
    reach: Reach
    tell: Tell
    looks: Looks
    names: Names
    record: Callable[[AuditEntry, By], Awaitable[None]]
    """Adds to the audit what no step of the store does: refusals."""
    clock: Clock
    tasks: Tasks
    """Own what goes on without a caller."""


class GatewayService:
    """Implements `port.Gateway`. Begin with `resume`, then let `run` go on in the background."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._clock = parts.clock
        self._tasks = parts.tasks
        self._names = parts.names
        self._sight = Sight(parts.store, parts.looks)
        self._flood = Flood(parts.clock)
        self._views = Views(store=parts.store, looks=parts.looks, names=parts.names)
        self._feed = Feed(parts.store, self._event)
        self._deadlines = Deadlines(store=parts.store, clock=parts.clock, happen=self._due)
        self._applier = Applier(
            store=parts.store,
            reach=parts.reach,
            tell=parts.tell,
            views=self._views,
            tasks=parts.tasks,
            happened=self._happened,
        )
        self._steps = Steps(
            store=parts.store,
            views=self._views,
            applier=self._applier,
            refused=Refused(parts.record, parts.clock),
            tasks=parts.tasks,
            happened=self._happened,
        )

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is not as it should be, in words; empty when all is well."""
        trouble = self._deadlines.trouble
        return (*self._applier.degraded, *((trouble,) if trouble else ()))

    @property
    def watching(self) -> int:
        """Open watches."""
        return self._feed.watching

    # --- at the start, and by itself --------------------------------------------------------------

    async def resume(self) -> None:
        """Finish what a former core began, oldest first, and what became due since.

        After boxes were adopted and before any is woken: what was revoked is gone from them then.
        A change that cannot be finished holds up no other; it is tried again by itself.

        Raises:
            HostError: The store cannot be read.
        """
        await self._feed.start()
        for change in await self._store.unfinished():
            # A task of its own: whatever goes wrong with one is reported, and ends there.
            await asyncio.wait(
                {self._tasks.start(self._applier.finish(change), name=f"resume {change}")}
            )
        await self._tell_again()
        await self._deadlines.catch_up()

    async def run(self) -> None:
        """Let requests expire and escalate, and grants end, until cancelled."""
        await self._deadlines.run()

    # --- asking -----------------------------------------------------------------------------------

    async def submit(
        self,
        spec: Spec,
        *,
        asker: Asker,
        actor: Actor | None,
        reason: str,
        grant_s: int | None = None,
        despite: ChangeId | None = None,
    ) -> ChangeView:
        """Ask for a change. The policy may deny or apply it at once; else it waits for a person."""
        change = await self._change(spec, asker, reason, grant_s, despite)
        by = _by_itself(asker) if actor is None else _by(actor)
        if actor is not None:
            self._flood.take(actor.principal, len(canonical(change)))
        denial: ChangeId | None = None
        is_twin = False

        def step(loaded: Loaded) -> Write:
            nonlocal denial, is_twin
            denial = None if loaded.denial is None else loaded.denial.change.id
            write = asking.asked(loaded, change, actor=actor, by=by)
            if write.change is not None:
                # What no card can show is never kept.
                card_of(change, loaded)
            is_twin = write.change is None
            return write

        def about() -> ChangeId | None:
            return denial

        work = self._steps.request(change, step, about=about, by=by)
        view = await self._look(await self._steps.whole(work, "submit"), actor)
        return msgspec.structs.replace(view, is_twin=is_twin)

    async def preview(
        self,
        spec: Spec,
        *,
        asker: Asker,
        actor: Actor,
        reason: str,
        grant_s: int | None = None,
        despite: ChangeId | None = None,
    ) -> Card:
        """Make the card that `submit` would show; nothing is kept."""
        change = await self._change(spec, asker, reason, grant_s, despite)
        loaded = await self._views.look(spec, asker=asker.principal, actor=actor)
        asking.check_request(loaded, change, actor)
        return card_of(change, loaded, agent_name=await self._views.name_of(spec.agent_id))

    async def withdraw(
        self, change: ChangeId, *, actor: Actor | None, asker: Asker | None = None
    ) -> ChangeView:
        """Take a request back: its asker may, and whoever may decide on it."""
        if actor is not None:
            row = await self._sight.visible(change, actor)
        else:
            row = await self._sight.own(change, asker)
        by = _by(actor) if actor is not None else By(row.change.asker.principal, Via.AGENT)
        step = functools.partial(deciding.withdrawn, actor=actor, asker=asker, by=by)
        row = await self._steps.whole(self._steps.act(row, step, actor=actor, by=by), "withdraw")
        return await self._views.view(row, actor)

    # --- deciding ---------------------------------------------------------------------------------

    async def decide(
        self, change: ChangeId, *, actor: Actor, approve: bool, seen: Seen, words: str = ""
    ) -> ChangeView:
        """Approve or deny. An approval that completes it is applied before this returns."""
        row = await self._sight.visible(change, actor)
        by = _by(actor)

        def step(loaded: Loaded) -> Write:
            write = deciding.decided(
                loaded, actor=actor, approve=approve, seen=seen, words=words, by=by
            )
            if approve:
                # Nobody can have seen what has no card.
                card_of(row.change, loaded)
            return write

        row = await self._steps.whole(self._steps.act(row, step, actor=actor, by=by), "decide")
        return await self._views.view(row, actor)

    async def retry(self, change: ChangeId, *, actor: Actor) -> ChangeView:
        """Try an approved change again that could not be applied."""
        row = await self._sight.visible(change, actor)
        by = _by(actor)
        step = functools.partial(applying.retried, actor=actor, by=by)
        row = await self._steps.whole(self._steps.act(row, step, actor=actor, by=by), "retry")
        return await self._views.view(row, actor)

    async def revoke(self, grant: GrantId, *, actor: Actor, words: str = "") -> GrantView:
        """Take back what a change gave; in force, also in running boxes, on return."""
        row, far = await self._sight.grant(grant, actor)
        by = _by(actor)
        step = functools.partial(revoking.revoked, actor=actor, words=words, by=by)
        work = self._steps.end(grant, row, step, actor=actor, by=by)
        row = await self._steps.whole(work, "revoke")
        if row.grant is None:
            raise no_grant(grant)
        if far is not None:
            return await self._views.far_grant(row.grant, far)
        return await self._views.grant(row.grant, row)

    # --- looking ----------------------------------------------------------------------------------

    async def show(self, change: ChangeId, *, actor: Actor) -> ChangeView:
        """One change, now; one that has nothing left to do has ended then."""
        return await self._look(await self._sight.visible(change, actor), actor)

    async def changes(
        self, *, actor: Actor, agent: str | None = None, is_open: bool = True, limit: int = 100
    ) -> list[ChangeView]:
        """Changes that the actor may look at, newest first.

        What turns out to have nothing left to do has ended then, and is open no more.
        """
        about = None if agent is None else (await self._names.agent(agent)).id
        agents = await self._sight.readable(actor, about)
        own = actor.principal if actor.limit & {Right.READ, Right.REQUEST} else None
        rows = await self._store.rows(
            agents=agents,
            statuses=OPEN if is_open else None,
            asker=own,
            limit=max(1, min(limit, MAX_LISTED)),
        )
        views = [
            await self._look(row, actor)
            for row in rows
            if about is None or row.change.spec.agent_id == about
        ]
        return [view for view in views if not is_open or view.row.status in OPEN]

    async def grants(
        self, *, actor: Actor, agent: str | None = None, ended: bool = False
    ) -> list[GrantView]:
        """What applied changes gave, newest first; ways of other agents to one's own after that."""
        about = None if agent is None else (await self._names.agent(agent)).id
        agents = await self._sight.readable(actor, about)
        found = await self._store.grants(agents=agents, ended=ended, limit=MAX_LISTED)
        views = [await self._views.grant(grant, row) for grant, row in found]
        if agents is None:
            return views
        shown = {view.grant.id for view in views}
        ways = await self._sight.ways(actor, about, limit=MAX_LISTED)
        return views + [
            await self._views.far_grant(grant, far) for grant, far in ways if grant.id not in shown
        ]

    async def waiting_changes(self) -> Waiting:
        """How many changes wait for a decision, over the whole house."""
        return await self._store.waiting_changes()

    async def policy(self) -> Policy:
        """The policy in force."""
        return await self._store.policy()

    async def rights(self, actor: Actor, agent: AgentId | None) -> frozenset[Right]:
        """What somebody may do: what the roles give and the token lets through."""
        return await self._sight.rights(actor, agent)

    async def may_anywhere(self, actor: Actor, right: Right) -> frozenset[AgentId] | None:
        """The agents with which somebody has that right; None: with all, and the house."""
        return await self._sight.anywhere(actor, right)

    def watch(self, *, actor: Actor, after: int | None) -> Watch:
        """Events of changes that the actor may look at: kept ones after `after`, then live."""
        return self._feed.watch(actor, after=after)

    # --- parts ------------------------------------------------------------------------------------

    async def _look(self, row: Row, actor: Actor | None) -> ChangeView:
        """A change as somebody sees it; it ends first when it has nothing left to do.

        A store that cannot keep that keeps nobody from looking: the next look tries again.
        """
        loaded = await self._views.load(row, actor)
        if overtaking.overtaken(loaded).status is None:
            return await self._views.view(row, actor, loaded)
        work = self._steps.act(row, overtaking.overtaken, actor=None, by=CORE)
        try:
            row = await self._steps.whole(work, "overtaken")
        except IronClawError as error:
            _log.error("request_not_ended", change=row.change.id, code=error.code)
        return await self._views.view(row, actor)

    async def _due(self, due: Due) -> None:
        """Carry out what is due. Raises IronClawError."""
        row = await self._store.row(due.change)
        match due.what:
            case "expire":
                await self._steps.act(row, deciding.expired, actor=None, by=CORE)
            case "escalate":
                await self._steps.act(row, deciding.escalated, actor=None, by=CORE)
            case _ if due.grant is not None:
                await self._steps.end(due.grant, row, revoking.ended, actor=None, by=CORE)

    async def _tell_again(self) -> None:
        """Say what a former core may have died before saying; who has heard it hears nothing."""
        newest = await self._store.last_event()
        kept = await self._store.events(after=newest - RETOLD, limit=RETOLD)
        for change in dict.fromkeys(one.change for one in kept):
            await self._applier.say(await self._store.row(change))

    def _happened(self, written: Written) -> None:
        self._feed.happened(written.event)
        self._deadlines.wake()

    async def _event(self, kept: KeptEvent, actor: Actor) -> ChangeEvent | None:
        """A kept event as somebody sees it now; None when it is not theirs to see."""
        try:
            row = await self._sight.visible(kept.change, actor)
        except UserError:
            return None
        return ChangeEvent(
            id=kept.id,
            kind=msgspec.convert(kept.kind, EventKind),
            at_ms=kept.at_ms,
            change=kept.change,
            view=await self._views.view(row, actor),
        )

    async def _change(
        self,
        spec: Spec,
        asker: Asker,
        reason: str,
        grant_s: int | None,
        despite: ChangeId | None,
    ) -> Change:
        """The change that is asked for, checked as it will be read again.

        Raises:
            UserError: `INVALID` or `TOO_LARGE`.
        """
        now_ms = self._clock.now_ms()
        policy = await self._store.policy()
        change = Change(
            id=ChangeId(new_id("chg")),
            spec=cast("AnySpec", spec),
            asker=asker,
            reason=reason,
            created_ms=now_ms,
            expires_ms=now_ms + policy.pending_s * 1000,
            grant_s=grant_s,
            despite=despite,
        )
        return as_kept(change)


def _by_itself(asker: Asker) -> By:
    """An agent, the house by its own rules, or somebody who knocks in a chat."""
    if channel_of(asker.principal) == HOUSE_CHANNEL:
        return CORE
    return By(asker.principal, Via.AGENT if asker.is_agent else Via.CHAT)


def _by(actor: Actor) -> By:
    """Who acts, as the edge has made sure of; and through what, as it says."""
    return By(actor.principal, acting().via)
