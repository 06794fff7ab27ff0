"""Runs a step in the store, and what follows from it, to the end.

    request, act, end -> the step, in one transaction -> refused: the audit has it
                                                      -> approved: `applier.finish`
                                                      -> else: the asker hears

`whole` is how a caller runs one: what was begun goes on although the caller has gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, PolicyError
from ironclaw.domain import asking
from ironclaw.domain.change import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ironclaw.core.ids import ChangeId, GrantId, PrincipalId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.audit import By
    from ironclaw.domain.change import Change, Row
    from ironclaw.domain.gateway import Loaded, Write
    from ironclaw.domain.rights import Actor
    from ironclaw.services.gateway.applier import Applier
    from ironclaw.services.gateway.refused import Refused
    from ironclaw.services.gateway.rows import ChangeStore, Written
    from ironclaw.services.gateway.views import Views

_T = TypeVar("_T")


class Steps:
    """Runs steps."""

    def __init__(
        self,
        *,
        store: ChangeStore,
        views: Views,
        applier: Applier,
        refused: Refused,
        tasks: Tasks,
        happened: Callable[[Written], None],
    ) -> None:
        self._store = store
        self._views = views
        self._applier = applier
        self._refused = refused
        self._tasks = tasks
        self._happened = happened

    async def request(
        self,
        change: Change,
        step: Callable[[Loaded], Write],
        *,
        about: Callable[[], ChangeId | None],
        by: By,
    ) -> Row:
        """Run a step for a new change.

        Args:
            change: The new one.
            step: What to do.
            about: Says, after a refusal, which denial is the reason of it.
            by: Who asks.
        """
        house, directory = await self._views.around(change.spec)
        try:
            written = await self._store.request(change, step, house=house, directory=directory)
        except PolicyError as error:
            denial = about() if error.code is Code.DENIED else None
            await self._refused.record(asking.refusal(change.spec, error, denial, change.asker), by)
            raise
        self._happened(written)
        return await self._go_on(written.row)

    async def act(
        self, row: Row, step: Callable[[Loaded], Write], *, actor: Actor | None, by: By
    ) -> Row:
        """Run a step for a change that is there."""
        house, directory = await self._views.around(row.change.spec)
        try:
            written = await self._store.act(
                row.change.id, step, actor=_who(actor), house=house, directory=directory
            )
        except PolicyError as error:
            await self._refuse(row, error, by)
            raise
        self._happened(written)
        return await self._go_on(written.row)

    async def end(
        self,
        grant: GrantId,
        row: Row,
        step: Callable[[Loaded], Write],
        *,
        actor: Actor | None,
        by: By,
    ) -> Row:
        """End a grant; in force on return.

        Raises:
            HostError: `UNAVAILABLE`: it has ended, and not everywhere yet.
        """
        change = row.change.id
        house, directory = await self._views.around(row.change.spec)
        async with self._applier.alone(change):
            try:
                written = await self._store.end_grant(
                    grant, step, actor=_who(actor), house=house, directory=directory
                )
            except PolicyError as error:
                await self._refuse(row, error, by)
                raise
            self._happened(written)
            await self._applier.say_ended(written)
            ended = await self._applier.finish_alone(change)
        if self._applier.is_stuck(change):
            raise HostError(
                Code.UNAVAILABLE,
                "It is taken back, but the running system could not be told of it yet.",
                hint="It is told again by itself; `ironclaw status` says when that has failed.",
            )
        return ended

    async def whole(self, work: Coroutine[object, object, _T], name: str) -> _T:
        """Do all of it although the caller may go: an approval is never left half way.

        Raises:
            IronClawError: What the work raises.
        """

        async def settled() -> _T | IronClawError:
            # A refusal is an answer, not a failure of a task.
            try:
                return await work
            except IronClawError as error:
                return error

        result = await asyncio.shield(self._tasks.start(settled(), name=name))
        if isinstance(result, IronClawError):
            raise result
        return result

    async def _go_on(self, row: Row) -> Row:
        """What follows from where a change is now."""
        if row.status in {Status.APPROVED, Status.APPLIED}:
            return await self._applier.finish(row.change.id)
        await self._applier.say(row)
        return row

    async def _refuse(self, row: Row, error: PolicyError, by: By) -> None:
        await self._refused.record(asking.refusal(row.change.spec, error, row.change.id), by)


def _who(actor: Actor | None) -> PrincipalId | None:
    return None if actor is None else actor.principal
