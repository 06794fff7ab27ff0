"""From approved to done: the one place where an approval becomes an effect, and an end of one.

    finish: approved -> applied (one transaction: state, status, audit)
                     -> the running system is told -> it is seen to be so -> done -> the asker hears

Each change has one at a time; different ones run side by side. Everything on the way is idempotent
and durable before the next thing begins, so whatever was cut off is finished by the same call. What
the running system could not be told is tried again, later and later, and is a word until then.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import weakref
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError, UserError
from ironclaw.core.log import get_logger
from ironclaw.domain import applying
from ironclaw.domain.change import Status
from ironclaw.services.gateway.words import words_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from ironclaw.core.ids import ChangeId
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.change import Row
    from ironclaw.domain.gateway import Loaded, Write
    from ironclaw.services.gateway.rows import ChangeStore, Reach, Tell, Written
    from ironclaw.services.gateway.views import Views

BASE_S: Final = 1.0
CAP_S: Final = 300.0
"""The n-th time again waits BASE * 2^n seconds, at most CAP."""
_LATER: Final = 500
"""Newest changes looked at for one that was applied since."""

_log = get_logger("gateway")


class Applier:
    """Finishes changes.

    Args:
        store: Keeps them.
        reach: Tells the running system.
        tell: Tells the asker.
        views: Looks at the live state.
        tasks: Own what is tried again.
        happened: Called for each step that was written.
    """

    def __init__(
        self,
        *,
        store: ChangeStore,
        reach: Reach,
        tell: Tell,
        views: Views,
        tasks: Tasks,
        happened: Callable[[Written], None],
    ) -> None:
        self._store = store
        self._reach = reach
        self._tell = tell
        self._views = views
        self._tasks = tasks
        self._happened = happened
        # A lock lives as long as somebody holds it or waits for it.
        self._locks: weakref.WeakValueDictionary[ChangeId, asyncio.Lock] = (
            weakref.WeakValueDictionary()
        )
        self._stuck: dict[ChangeId, str] = {}
        self._retrying: set[ChangeId] = set()

    @property
    def degraded(self) -> tuple[str, ...]:
        """Changes that are not in force everywhere yet, in words."""
        return tuple(f"gateway: {id_}: {why}" for id_, why in self._stuck.items())

    @contextlib.asynccontextmanager
    async def alone(self, change: ChangeId) -> AsyncIterator[None]:
        """Hold off everybody else who would write an effect of that change, or end one."""
        if (lock := self._locks.get(change)) is None:
            lock = self._locks[change] = asyncio.Lock()
        async with lock:
            yield

    async def finish(self, change: ChangeId) -> Row:
        """Bring a change as far as it goes now; a repeat does no harm.

        Returns:
            Where it is then: done, failed, or applied while the running system is told again.

        Raises:
            HostError: The store cannot even keep that it failed; it is tried again by itself.
        """
        async with self.alone(change):
            return await self.finish_alone(change)

    def is_stuck(self, change: ChangeId) -> bool:
        """Whether the running system is still to be told of something about it."""
        return change in self._stuck

    async def finish_alone(self, change: ChangeId) -> Row:
        """Do as `finish`, for whoever is `alone` already."""
        try:
            row = await self._store.row(change)
            if row.status is Status.APPROVED:
                row = await self._apply(row)
            if row.status is Status.APPLIED or await self._store.unreached(change):
                row = await self._bring(row)
            else:
                self._stuck.pop(change, None)
        except UserError:
            # There is no such change.
            self._stuck.pop(change, None)
            raise
        except IronClawError as error:
            self._again(change, f"{error.code}: {error.message}")
            raise
        except Exception:
            self._again(change, "a fault of IronClaw itself; the log has it")
            raise
        return row

    async def say(self, row: Row) -> None:
        """Tell whoever asked where a change is now. A store that fails is only logged.

        What was not said is said at the next start: see `GatewayService.resume`.
        """
        if (text := words_for(row)) == "":
            return
        try:
            await self._tell.tell_asker(row, text)
        except IronClawError as error:
            _log.error("asker_not_told", change=row.change.id, code=error.code)

    async def say_ended(self, written: Written) -> None:
        """Tell those who asked for what a step has left nothing of, or nothing to do."""
        for change in (*written.replaced, *written.overtaken):
            await self.say(await self._store.row(change))

    # --- the way ----------------------------------------------------------------------------------

    async def _apply(self, row: Row) -> Row:
        """Write the effect, or that it failed."""
        try:
            row = await self._step(row, applying.applied)
        except IronClawError as error:
            _log.error("change_not_applied", change=row.change.id, code=error.code)
            row = await self._fail(row, error)
        if row.status in {Status.FAILED, Status.OVERTAKEN}:
            await self.say(row)
        return row

    async def _bring(self, row: Row) -> Row:
        """Bring what is written to the running system, and see that it is so."""
        change = row.change.id
        try:
            ops = await self._store.unreached(change)
            await self._reach.reach(ops)
            if not await self._reach.holds(ops):
                raise HostError(
                    Code.UNAVAILABLE,
                    "The running system is not what was written.",
                    hint=f"`ironclaw change retry {change}` tells it again.",
                )
            if row.status is Status.APPLIED and not await self._is_in_force(row):
                raise HostError(
                    Code.STORE_FAILED,
                    "What was written is not the state that it should be.",
                    hint=f"`ironclaw change retry {change}` looks again.",
                )
        except IronClawError as error:
            _log.error("change_not_in_force", change=change, code=error.code, detail=error.detail)
            if row.status is Status.APPLIED and row.code != error.code:
                row = await self._fail(row, error)
                await self.say(row)
            self._again(change, f"{error.code}: {error.message}")
            return row
        if row.status is Status.APPLIED:
            row = await self._step(row, applying.done)
        # Done first: cut off in between, it is told of twice, never not at all.
        await self._store.reached(change)
        self._stuck.pop(change, None)
        await self.say(row)
        return row

    async def _is_in_force(self, row: Row) -> bool:
        """Whether the live state is as the change says, or was altered again since."""
        spec = row.change.spec
        loaded = await self._views.look(spec, asker=row.change.asker.principal, actor=None)
        if spec.before(loaded.live) == spec.after(loaded.live):
            return True
        current = await self._store.row(row.change.id)
        if current.grant is not None and current.grant.ended_ms is not None:
            return True
        others = await self._store.rows(
            agents=None, statuses=frozenset({Status.APPLIED, Status.DONE}), limit=_LATER
        )
        return any(
            one.change.id != row.change.id
            and one.updated_ms >= row.change.created_ms
            and spec.agent_id in {None, one.change.spec.agent_id}
            for one in others
        )

    async def _fail(self, row: Row, error: IronClawError) -> Row:
        problem = functools.partial(applying.failed, code=error.code, problem=error.message)
        return await self._step(row, problem)

    async def _step(self, row: Row, step: Callable[[Loaded], Write]) -> Row:
        house, directory = await self._views.around(row.change.spec)
        written = await self._store.act(
            row.change.id, step, actor=None, house=house, directory=directory
        )
        self._happened(written)
        await self.say_ended(written)
        return written.row

    # --- again ------------------------------------------------------------------------------------

    def _again(self, change: ChangeId, why: str) -> None:
        """Try again later."""
        self._stuck[change] = why
        if change not in self._retrying:
            self._retrying.add(change)
            self._tasks.start(self._retry(change), name=f"again {change}")

    async def _retry(self, change: ChangeId) -> None:
        wait_s = BASE_S
        try:
            while change in self._stuck:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, CAP_S)
                try:
                    await self.finish(change)
                except IronClawError as error:
                    _log.error("change_stuck", change=change, code=error.code, again_s=wait_s)
        finally:
            self._retrying.discard(change)
