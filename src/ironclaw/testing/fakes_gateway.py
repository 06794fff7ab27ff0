"""What a gateway keeps, in memory.

`MemoryChanges` runs steps as the real store does: all that a step writes, or nothing.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from ironclaw.domain.audit import CORE
from ironclaw.domain.change import OPEN, Row, Status
from ironclaw.domain.changes.base import HostDir, House
from ironclaw.domain.gateway import Loaded, Voice, Write, row_of
from ironclaw.domain.overtaking import overtaken
from ironclaw.services.gateway.rows import Due, KeptEvent, Waiting, Written
from ironclaw.services.gateway.sight import no_change, no_grant
from ironclaw.testing.fake_setting import Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.core.clock import Clock
    from ironclaw.core.errors import IronClawError
    from ironclaw.core.ids import AgentId, ChangeId, GrantId, PrincipalId
    from ironclaw.domain.audit import AuditEntry, By
    from ironclaw.domain.change import Change, Grant
    from ironclaw.domain.changes.base import Op, Spec
    from ironclaw.domain.model import Standing
    from ironclaw.domain.policy import Policy


class MemoryChanges:
    """Implements `services.gateway.rows.ChangeStore`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.setting = Setting()
        self.audit: list[tuple[AuditEntry, By]] = []
        self.broken: IronClawError | None = None
        """Raised by every write while it is set."""
        self._rows: dict[ChangeId, Row] = {}
        self._atoms: dict[ChangeId, frozenset[str]] = {}
        self._denied: list[ChangeId] = []
        self._inverses: dict[GrantId, Spec | None] = {}
        self._unreached: dict[ChangeId, tuple[Op, ...]] = {}
        self._events: list[KeptEvent] = []

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
        await self._turn()
        loaded = self._load(
            change.spec, change.asker.principal, None, house, directory, grant_s=change.grant_s
        )
        asker = None if change.asker.is_agent else change.asker.principal
        loaded = self._acted(loaded, asker)
        write = step(loaded)
        if write.change is None:
            if loaded.twin is None:
                raise AssertionError("a request wrote no change and has no twin")
            return Written(loaded.twin, (), None)
        self._rows[change.id] = Row(
            change=write.change,
            hash=write.hash,
            status=write.status or Status.PENDING,
            updated_ms=self.clock.now_ms(),
        )
        self._atoms[change.id] = write.atoms
        return self._write(change.id, write, house)

    async def act(
        self,
        change: ChangeId,
        step: Callable[[Loaded], Write],
        *,
        actor: PrincipalId | None,
        house: House,
        directory: HostDir | None,
    ) -> Written:
        """Run a step for a change that is there."""
        await self._turn()
        row = await self.row(change)
        loaded = self._load(row.change.spec, row.change.asker.principal, row, house, directory)
        return self._write(change, step(self._acted(loaded, actor)), house)

    async def end_grant(
        self,
        grant: GrantId,
        step: Callable[[Loaded], Write],
        *,
        actor: PrincipalId | None,
        house: House,
        directory: HostDir | None,
    ) -> Written:
        """Run a step for a grant."""
        await self._turn()
        loaded = self._given(grant, house, directory)
        row = row_of(loaded)
        return self._write(row.change.id, step(self._acted(loaded, actor)), house)

    async def look_at_grant(self, grant: GrantId, *, house: House) -> Loaded:
        """What a step for that grant would be told."""
        return self._given(grant, house, None)

    def _given(self, grant: GrantId, house: House, directory: HostDir | None) -> Loaded:
        row = self._of_grant(grant)
        spec = row.change.spec
        loaded = self._load(spec, row.change.asker.principal, row, house, directory)
        inverse = self._inverses.get(grant)
        live = None if inverse is None else self.setting.live(inverse, house, directory)
        return loaded._replace(inverse=inverse, inverse_live=live, later=self._later(row))

    async def look(
        self,
        spec: Spec,
        *,
        asker: PrincipalId | None,
        actor: PrincipalId | None,
        house: House,
        directory: HostDir | None,
    ) -> Loaded:
        """What a step for that spec would be told."""
        return self._acted(self._load(spec, asker, None, house, directory), actor)

    async def look_at(
        self, row: Row, *, actor: PrincipalId | None, house: House, directory: HostDir | None
    ) -> Loaded:
        """What a step for that change would be told."""
        loaded = self._load(row.change.spec, row.change.asker.principal, row, house, directory)
        return self._acted(loaded, actor)

    # --- looking ----------------------------------------------------------------------------------

    async def row(self, change: ChangeId) -> Row:
        """One change."""
        if change not in self._rows:
            raise no_change(change)
        return self._rows[change]

    async def rows(
        self,
        *,
        agents: frozenset[AgentId] | None,
        statuses: frozenset[Status] | None,
        asker: PrincipalId | None = None,
        limit: int,
    ) -> list[Row]:
        """Changes, newest first."""
        found = [
            row
            for row in reversed(self._rows.values())
            if (statuses is None or row.status in statuses)
            and (
                agents is None
                or row.change.spec.agent_id in agents
                or (asker is not None and row.change.asker.principal == asker)
            )
        ]
        return found[:limit]

    async def waiting_changes(self) -> Waiting:
        """How many wait."""
        found = [row for row in self._rows.values() if row.status is Status.PENDING]
        return Waiting(len(found), sum(row.escalated for row in found))

    async def unfinished(self) -> list[ChangeId]:
        """Changes that a former core left on their way."""
        return [
            id_
            for id_, row in self._rows.items()
            if row.status in {Status.APPROVED, Status.APPLIED} or id_ in self._unreached
        ]

    async def unreached(self, change: ChangeId) -> tuple[Op, ...]:
        """What was written and not reached."""
        return self._unreached.get(change, ())

    async def reached(self, change: ChangeId) -> None:
        """It was reached."""
        await self._turn()
        self._unreached.pop(change, None)

    async def grants(
        self, *, agents: frozenset[AgentId] | None, ended: bool, limit: int, kind: str | None = None
    ) -> list[tuple[Grant, Row]]:
        """Grants, newest first."""
        found = [
            (row.grant, row)
            for row in reversed(self._rows.values())
            if row.grant is not None
            and (ended or row.grant.ended_ms is None)
            and (agents is None or row.grant.agent in agents)
            and kind in {None, row.grant.kind}
        ]
        return found[:limit]

    async def next_due(self) -> Due | None:
        """What comes first."""
        policy = self.setting.policy
        dues = []
        for id_, row in self._rows.items():
            if row.status is Status.PENDING:
                dues.append(Due(row.change.expires_ms, "expire", id_, None))
                if not row.escalated:
                    at_ms = row.change.created_ms + policy.escalate_s * 1000
                    dues.append(Due(at_ms, "escalate", id_, None))
            grant = row.grant
            if grant is not None and grant.ended_ms is None and grant.expires_ms is not None:
                dues.append(Due(grant.expires_ms, "end", id_, grant.id))
        return min(dues, default=None, key=lambda due: due.at_ms)

    async def events(self, *, after: int, limit: int) -> Sequence[KeptEvent]:
        """Kept events."""
        return self._events[max(after, 0) :][:limit]

    async def last_event(self) -> int:
        """Id of the newest."""
        return len(self._events)

    async def policy(self) -> Policy:
        """The policy in force."""
        return self.setting.policy

    async def standings_of(self, principal: PrincipalId) -> tuple[Standing, ...]:
        """What one principal holds."""
        return self.setting.of(principal)

    async def person_of(self, principal: PrincipalId) -> PrincipalId:
        """Who a principal is."""
        return self.setting.person(principal)

    # --- inside of a transaction ------------------------------------------------------------------

    async def _turn(self) -> None:
        """Let others run, as a real store would; nothing is interleaved after that."""
        await asyncio.sleep(0)
        if self.broken is not None:
            raise self.broken

    def _load(
        self,
        spec: Spec,
        asker: PrincipalId | None,
        row: Row | None,
        house: House,
        directory: HostDir | None,
        *,
        grant_s: int | None = None,
    ) -> Loaded:
        setting = self.setting
        mine = [one for one in self._rows.values() if one.change.asker.principal == asker]
        waiting = [one for one in mine if one.status is Status.PENDING]
        is_person = asker is not None and not asker.startswith("agent:")
        return Loaded(
            live=setting.live(spec, house, directory),
            row=row,
            asker_person=setting.person(asker) if is_person and asker is not None else None,
            asker_standings=setting.of(asker),
            voices={
                one.principal: Voice(setting.person(one.principal), setting.of(one.principal))
                for one in (() if row is None else row.decisions)
                if one.principal
            },
            deciders={
                one.principal: Voice(setting.person(one.principal), setting.of(one.principal))
                for one in setting.standings
                if row is not None and one.agent in {None, spec.agent_id}
            },
            pending=len(waiting),
            twin=next(
                (
                    one
                    for one in mine
                    if one.status in OPEN
                    and (one.change.spec, one.change.grant_s) == (spec, grant_s)
                ),
                None,
            ),
            denial=self._denial(spec),
            lent=self._lent(spec),
        )

    def _lent(self, spec: Spec) -> Grant | None:
        atoms = spec.atoms()
        given = [
            (row.grant.expires_ms, row.grant)
            for row in self._rows.values()
            if row.grant is not None
            and row.grant.expires_ms is not None
            and row.grant.ended_ms is None
            and (row.grant.topic, row.grant.agent) == (spec.topic, spec.agent_id)
            and self._atoms[row.change.id] & atoms
        ]
        return max(given, key=lambda one: one[0])[1] if given else None

    def _acted(self, loaded: Loaded, actor: PrincipalId | None) -> Loaded:
        if actor is None:
            return loaded
        person = self.setting.person(actor)
        return loaded._replace(standings=self.setting.of(actor), person=person)

    def _denial(self, spec: Spec) -> Row | None:
        since = self.clock.now_ms() - self.setting.policy.remember_s * 1000
        for id_ in reversed(self._denied):
            row = self._rows[id_]
            if row.updated_ms > since and self._atoms[id_] & spec.atoms():
                return row
        return None

    def _of_grant(self, grant: GrantId) -> Row:
        for row in self._rows.values():
            if row.grant is not None and row.grant.id == grant:
                return row
        raise no_grant(grant)

    def _later(self, row: Row) -> Row | None:
        after = False
        for one in self._rows.values():
            is_over = one.status in {Status.APPLIED, Status.DONE} and (
                one.grant is None or one.grant.ended_why not in {"revoked", "expired"}
            )
            same = (one.change.spec.topic, one.change.spec.agent_id) == (
                row.change.spec.topic,
                row.change.spec.agent_id,
            )
            if after and is_over and same:
                return one
            after = after or one.change.id == row.change.id
        return None

    def _write(self, change: ChangeId, write: Write, house: House) -> Written:
        now_ms = self.clock.now_ms()
        row = self._rows[change]
        if write._replace(by=CORE) == Write():
            return Written(row, (), None)
        for op in write.ops:
            self.setting.put(op)
        if write.ops:
            self._unreached[change] = write.ops
        if write.grant is not None:
            row = msgspec.structs.replace(row, grant=write.grant)
            self._inverses[write.grant.id] = write.inverse
        if write.end is not None and row.grant is not None:
            ended = msgspec.structs.replace(
                row.grant,
                ended_ms=now_ms,
                ended_why=write.end.why,
                ended_by=write.end.by,
                ended_words=write.end.words,
            )
            row = msgspec.structs.replace(row, grant=ended)
        row = msgspec.structs.replace(
            row,
            status=write.status or row.status,
            decisions=(*row.decisions, write.decision) if write.decision else row.decisions,
            before=row.before if write.before is None else write.before,
            code=write.code or ("" if write.status else row.code),
            problem=write.problem or ("" if write.status else row.problem),
            escalated=row.escalated or write.escalated,
            updated_ms=now_ms,
        )
        self._rows[change] = row
        if write.status is Status.APPLIED:
            # Somebody has approved since what was denied once.
            given = self._atoms[change]
            self._denied = [one for one in self._denied if not self._atoms[one] & given]
        if write.is_denied:
            self._denied.append(change)
        self.audit += [(entry, write.by) for entry in write.audit]
        self.audit += [(entry, CORE) for entry in write.ruled]
        event = None
        if write.event is not None:
            event = len(self._events) + 1
            self._events.append(KeptEvent(event, write.event, now_ms, change))
        over = self._end_overtaken(row, house) if write.ops else ()
        return Written(row, write.ops, len(self._events) if over else event, overtaken=over)

    def _end_overtaken(self, written: Row, house: House) -> tuple[ChangeId, ...]:
        """End requests that what was just written has left nothing to do."""
        about = (written.change.spec.topic, written.change.spec.agent_id)
        over = []
        for id_, row in list(self._rows.items()):
            spec = row.change.spec
            if (
                id_ != written.change.id
                and row.status in {Status.PENDING, Status.FAILED}
                and (spec.topic, spec.agent_id) == about
            ):
                loaded = self._load(spec, row.change.asker.principal, row, house, None)
                write = overtaken(loaded)
                if write.status is not None:
                    self._write(id_, write, house)
                    over.append(id_)
        return tuple(over)
