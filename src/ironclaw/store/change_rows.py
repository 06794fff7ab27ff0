"""Changes, what people said to them, and what they gave: implements `ChangeStore`.

request | act | end_grant -> one transaction (`change_steps`) -> the registry forgets what it read

A step that raises, or an op that finds its subject changed, leaves nothing behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.change import Status
from ironclaw.domain.changes.base import ForgetSession
from ironclaw.domain.gateway import row_of
from ironclaw.domain.policy import Policy
from ironclaw.services.gateway.rows import Due, KeptEvent, Waiting, Written
from ironclaw.store import change_lists, grant_rows, live
from ironclaw.store import change_record as record
from ironclaw.store.change_steps import find, load, load_given, load_kept, write_all
from ironclaw.store.op_codec import unpack_ops
from ironclaw.store.rows import Memory
from ironclaw.store.session_rows import SessionRows
from ironclaw.store.standing_rows import StandingRows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import apsw

    from ironclaw.core.clock import Clock
    from ironclaw.core.ids import AgentId, ChangeId, GrantId, PrincipalId
    from ironclaw.domain.change import Change, Grant, Row
    from ironclaw.domain.changes.base import HostDir, House, Op, Spec
    from ironclaw.domain.gateway import Loaded, Write
    from ironclaw.store.engine import Store


class ChangeRows(SessionRows, StandingRows):
    """The tables of changes, decisions, grants and of the policy.

    With those of sessions and standings, because what is applied empties their memories too.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store, clock)
        self._policies = self._memory(Memory[str, Policy]())

    # --- steps ------------------------------------------------------------------------------------

    async def request(
        self,
        change: Change,
        step: Callable[[Loaded], Write],
        *,
        house: House,
        directory: HostDir | None,
    ) -> Written:
        """Run a step for a change that is not there yet."""
        asker = change.asker

        def work(db: apsw.Connection) -> Written:
            loaded = load(
                db,
                change.spec,
                asker=asker.principal,
                actor=None if asker.is_agent else asker.principal,
                house=house,
                directory=directory,
                grant_s=change.grant_s,
            )
            write = step(loaded)
            if write.change is not None:
                return write_all(db, None, change.spec, loaded, write)
            if loaded.twin is None:
                raise ValueError("a step has kept no change, and there is no twin")
            return Written(loaded.twin, (), None)

        return await self._apply(work)

    async def act(
        self,
        change: ChangeId,
        step: Callable[[Loaded], Write],
        *,
        actor: PrincipalId | None,
        house: House,
        directory: HostDir | None,
    ) -> Written:
        """Run a step for a change that is there. Raises UserError (`NOT_FOUND`)."""

        def work(db: apsw.Connection) -> Written:
            row, number = find(db, change)
            loaded = load_kept(db, row, actor=actor, house=house, directory=directory)
            return write_all(db, number, row.change.spec, loaded, step(loaded))

        return await self._apply(work)

    async def end_grant(
        self,
        grant: GrantId,
        step: Callable[[Loaded], Write],
        *,
        actor: PrincipalId | None,
        house: House,
        directory: HostDir | None,
    ) -> Written:
        """Run a step for a grant. Raises UserError (`NOT_FOUND`)."""

        def work(db: apsw.Connection) -> Written:
            change = _given_by(db, grant)
            number = record.number_of(db, change)
            loaded = load_given(db, change, grant, actor=actor, house=house, directory=directory)
            return write_all(db, number, row_of(loaded).change.spec, loaded, step(loaded))

        return await self._apply(work)

    async def look_at_grant(self, grant: GrantId, *, house: House) -> Loaded:
        """What a step for that grant would be told. Raises UserError (`NOT_FOUND`)."""
        return await self._store.read(
            lambda db: load_given(
                db, _given_by(db, grant), grant, actor=None, house=house, directory=None
            )
        )

    async def look(
        self,
        spec: Spec,
        *,
        asker: PrincipalId | None,
        actor: PrincipalId | None,
        house: House,
        directory: HostDir | None,
    ) -> Loaded:
        """What a step for that spec would be told; nothing is written."""
        return await self._store.read(
            lambda db: load(db, spec, asker=asker, actor=actor, house=house, directory=directory)
        )

    async def look_at(
        self, row: Row, *, actor: PrincipalId | None, house: House, directory: HostDir | None
    ) -> Loaded:
        """What a step for that change would be told; nothing is written."""
        return await self._store.read(
            lambda db: load_kept(db, row, actor=actor, house=house, directory=directory)
        )

    async def _apply(self, work: Callable[[apsw.Connection], Written]) -> Written:
        written = await self._change(work)
        if any(isinstance(op, ForgetSession) for op in written.ops):
            self._seats.empty()
        return written

    # --- what there is ----------------------------------------------------------------------------

    async def row(self, change: ChangeId) -> Row:
        """One change. Raises UserError (`NOT_FOUND`)."""
        return await self._store.read(lambda db: find(db, change)[0])

    async def rows(
        self,
        *,
        agents: frozenset[AgentId] | None,
        statuses: frozenset[Status] | None,
        asker: PrincipalId | None = None,
        limit: int,
    ) -> list[Row]:
        """Changes, newest first."""
        wanted = sorted(frozenset(Status) if statuses is None else statuses)

        def work(db: apsw.Connection) -> list[Row]:
            numbers = set(change_lists.newest(db, "agent", agents, wanted, limit))
            if asker is not None and agents is not None:
                numbers.update(change_lists.newest(db, "asker", (asker,), wanted, limit))
            newest = sorted(numbers, reverse=True)[:limit]
            return [record.load_row(db, number) for number in newest]

        return await self._store.read(work)

    async def waiting_changes(self) -> Waiting:
        """How many changes wait for a decision."""
        return await self._store.read(change_lists.waiting)

    async def unfinished(self) -> list[ChangeId]:
        """Changes that are approved or applied, or that `unreached` has something of."""
        return await self._store.read(change_lists.unfinished)

    async def unreached(self, change: ChangeId) -> tuple[Op, ...]:
        """What was written last for a change and `reached` was not said of."""
        row = await self._store.read(
            lambda db: db.execute("SELECT unreached FROM change WHERE id = ?", (change,)).fetchone()
        )
        return () if row is None or row[0] is None else unpack_ops(row[0])

    async def reached(self, change: ChangeId) -> None:
        """The running system is as `unreached` says: forget that. Idempotent."""
        await self._store.write(
            lambda db: db.execute("UPDATE change SET unreached = NULL WHERE id = ?", (change,))
        )

    async def grants(
        self, *, agents: frozenset[AgentId] | None, ended: bool, limit: int, kind: str | None = None
    ) -> list[tuple[Grant, Row]]:
        """Grants with the changes that gave them, newest first; of one kind alone if it is said."""

        def work(db: apsw.Connection) -> list[tuple[Grant, Row]]:
            found = grant_rows.newest_grants(db, agents=agents, ended=ended, limit=limit, kind=kind)
            return [(grant, find(db, grant.change)[0]) for grant in found]

        return await self._store.read(work)

    async def next_due(self) -> Due | None:
        """What comes first of all that happens by itself."""
        return await self._store.read(change_lists.next_due)

    async def events(self, *, after: int, limit: int) -> Sequence[KeptEvent]:
        """Events with ids over `after`, oldest first."""
        rows = await self._store.read(
            lambda db: list(
                db.execute(
                    "SELECT id, kind, at_ms, change FROM change_event WHERE id > ? ORDER BY id"
                    " LIMIT ?",
                    (after, limit),
                )
            )
        )
        return [KeptEvent(*row) for row in rows]

    async def last_event(self) -> int:
        """Id of the newest; 0 when there is none."""
        row = await self._store.read(
            lambda db: db.execute("SELECT max(id) FROM change_event").fetchone()
        )
        return 0 if row is None or row[0] is None else int(row[0])

    async def policy(self) -> Policy:
        """The policy in force."""
        if (known := self._policies.get("")) is not None:
            return known
        generation = self._policies.generation
        policy = await self._store.read(live.policy_of)
        self._policies.put("", policy, generation=generation)
        return policy


def _given_by(db: apsw.Connection, grant: GrantId) -> ChangeId:
    change = grant_rows.change_of(db, grant)
    if change is None:
        raise _no_grant(grant)
    return change


def _no_grant(grant: GrantId) -> UserError:
    return UserError(
        Code.NOT_FOUND,
        f"There is no grant {grant[:80]!r}.",
        hint="`ironclaw grant list` shows those there are.",
    )
