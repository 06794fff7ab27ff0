"""A gateway in memory, for the pure steps: what they write is kept, and what they are told made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from tests.unit.domain.changes.world import BOB, DESK, NOW_MS, SESSION, World

from ironclaw.core.ids import ChangeId, PrincipalId
from ironclaw.domain.applying import applied
from ironclaw.domain.asking import asked
from ironclaw.domain.audit_kinds import check
from ironclaw.domain.change import (
    CARD_VERSION,
    Asker,
    Change,
    Grant,
    Row,
    Seen,
    Status,
    hash_of,
    state_version,
)
from ironclaw.domain.deciding import decided
from ironclaw.domain.gateway import Loaded, Voice, Write
from ironclaw.domain.policy import Proof
from ironclaw.domain.revoking import revoked
from ironclaw.domain.rights import Actor

if TYPE_CHECKING:
    from ironclaw.domain.changes.base import Spec

AGENT = Asker(principal=PrincipalId("agent:agt_bob"), agent=BOB, session=SESSION)


def by_token(principal: PrincipalId) -> Actor:
    """Somebody with a token that takes nothing of their rights."""
    return Actor(principal, proof=Proof.TOKEN)


class Gateway:
    """One change at a time in one world."""

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.row: Row | None = None
        self.inverse: Spec | None = None
        self.denial: Row | None = None
        self.twin: Row | None = None
        self.lent: Grant | None = None
        self.pending = 0
        self.last = Write()

    # What steps are told.

    def loaded(self, spec: Spec, actor: Actor | None, asker: Asker) -> Loaded:
        world = self.world
        standings = tuple(
            one for one in world.standings if actor and one.principal == actor.principal
        )
        asking = tuple(one for one in world.standings if one.principal == asker.principal)
        said = {one.principal for one in self.row.decisions} if self.row else set()
        return Loaded(
            live=world.of(spec),
            row=self.row,
            standings=standings,
            person=world.person(actor.principal) if actor else None,
            asker_person=None if asker.is_agent else world.person(asker.principal),
            asker_standings=asking,
            voices={
                who: Voice(
                    world.person(who),
                    tuple(one for one in world.standings if one.principal == who),
                )
                for who in said
                if who
            },
            pending=self.pending,
            twin=self.twin,
            denial=self.denial,
            lent=self.lent,
            inverse=self.inverse,
            inverse_live=None if self.inverse is None else world.of(self.inverse),
        )

    def told(self, actor: Actor | None = None) -> Loaded:
        row = self.kept
        return self.loaded(row.change.spec, actor, row.change.asker)

    @property
    def kept(self) -> Row:
        assert self.row is not None
        return self.row

    @property
    def seen(self) -> Seen:
        spec = self.kept.change.spec
        state = state_version(spec.before(self.world.of(spec)))
        return Seen(self.kept.hash, state, CARD_VERSION)

    # What they want written.

    def keep(self, write: Write) -> Write:
        for entry in write.audit:
            check(entry)
        if write.change is not None:
            self.row = Row(
                change=write.change,
                hash=write.hash,
                status=Status.PENDING,
                updated_ms=NOW_MS,
            )
        row = self.kept
        self.world.do(write.ops)
        grant = write.grant or row.grant
        if write.end is not None and grant is not None:
            grant = msgspec.structs.replace(
                grant, ended_ms=self.world.house.now_ms, ended_why=write.end.why
            )
        self.row = msgspec.structs.replace(
            row,
            status=write.status or row.status,
            code=write.code if write.status else row.code,
            problem=write.problem if write.status else row.problem,
            decisions=row.decisions + ((write.decision,) if write.decision else ()),
            escalated=row.escalated or write.escalated,
            grant=grant,
            before=write.before or row.before,
        )
        self.inverse = write.inverse or self.inverse
        self.last = write
        return write

    # The usual steps.

    def ask(
        self,
        spec: Spec,
        who: PrincipalId | Asker = DESK,
        *,
        actor: Actor | None = None,
        grant_s: int | None = None,
        despite: ChangeId | None = None,
        reason: str = "It is time.",
    ) -> Write:
        asker = who if isinstance(who, Asker) else Asker(principal=who)
        if not asker.is_agent and actor is None:
            actor = by_token(asker.principal)
        change = Change(
            id=ChangeId("chg_one"),
            spec=spec,  # type: ignore[arg-type]  # every kind is one of the table's
            asker=asker,
            reason=reason,
            created_ms=NOW_MS,
            expires_ms=NOW_MS + 3_600_000,
            grant_s=grant_s,
            despite=despite,
        )
        self.row = None
        told = self.loaded(spec, actor, asker)
        write = asked(told, change, actor=actor)
        return write if write.change is None else self.keep(write)

    def decide(
        self,
        who: PrincipalId | Actor,
        *,
        approve: bool = True,
        seen: Seen | None = None,
        words: str = "",
    ) -> Write:
        actor = who if isinstance(who, Actor) else by_token(who)
        seen = seen or self.seen
        return self.keep(
            decided(self.told(actor), actor=actor, approve=approve, seen=seen, words=words)
        )

    def apply(self) -> Write:
        return self.keep(applied(self.told()))

    def revoke(self, who: PrincipalId) -> Write:
        actor = by_token(who)
        return self.keep(revoked(self.told(actor), actor=actor))

    @property
    def grant(self) -> Grant:
        assert self.kept.grant is not None
        return self.kept.grant

    def later(self, seconds: int) -> None:
        self.world.house = self.world.house._replace(
            now_ms=self.world.house.now_ms + seconds * 1000
        )


def row_of(spec: Spec, change: str, status: Status) -> Row:
    """Another change that there was."""
    other = Change(
        id=ChangeId(change),
        spec=spec,  # type: ignore[arg-type]  # every kind is one of the table's
        asker=AGENT,
        created_ms=NOW_MS,
        expires_ms=NOW_MS + 1000,
    )
    return Row(change=other, hash=hash_of(other), status=status, updated_ms=NOW_MS)
