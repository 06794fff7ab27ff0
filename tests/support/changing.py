"""Short ways to ask for changes and to carry them on, for tests of the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw

from ironclaw.core.ids import AgentId, ChangeId, GrantId, PrincipalId, SessionId
from ironclaw.domain.audit import AuditEntry, AuditEvent, By, Via
from ironclaw.domain.change import Asker, Change, Decision, Grant, Status, hash_of
from ironclaw.domain.changes.base import House
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.gateway import Loaded, Write, entry, tag_of
from ironclaw.domain.policy import Proof
from ironclaw.store.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from ironclaw.domain.changes.base import HostDir, Op, Spec
    from ironclaw.services.gateway.rows import Written
    from ironclaw.store.registry import Registry

ANN = PrincipalId("api:ann")
BOB = PrincipalId("api:bob")
NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
HOUSE = House(
    now_ms=NOW_MS,
    models=("scripted",),
    tools=("read_file", "write_file"),
    channels=("api", "web", "telegram", "mail"),
    mount_roots=(),
    own_dirs=(),
)
_numbers = iter(range(1, 1_000_000))


def migrated() -> apsw.Connection:
    """An empty store in memory."""
    db = apsw.Connection(":memory:")
    db.pragma("foreign_keys", 1)
    migrate(db, Path("memory"))
    return db


def tools(agent: AgentId, *names: str) -> SetTools:
    """A wish for tools."""
    return SetTools(agent=agent, add=names or ("write_file",))


def wish(spec: Spec, asker: PrincipalId = ANN, *, expires_ms: int = NOW_MS + DAY_MS) -> Change:
    """A request that nobody has made yet."""
    agent = AgentId(asker.partition(":")[2]) if asker.startswith("agent:") else None
    return Change(
        id=ChangeId(f"chg_{next(_numbers):016d}"),
        spec=spec,  # type: ignore[arg-type]  # a member of the table
        asker=Asker(principal=asker, agent=agent, session=SessionId("ses_a") if agent else None),
        reason="because",
        created_ms=NOW_MS,
        expires_ms=expires_ms,
    )


def kept(change: Change, **more: object) -> Write:
    """What keeps it, pending."""
    write = Write(
        change=change,
        hash=hash_of(change),
        atoms=change.spec.atoms(),
        status=Status.PENDING,
        audit=(entry(AuditEvent.CHANGE_REQUESTED, change),),
        by=By(change.asker.principal, Via.API),
        event="requested",
    )
    return write._replace(**more)


def decision(change: Change, who: PrincipalId = BOB, **more: object) -> Decision:
    """Somebody's yes."""
    fields: dict[str, object] = {
        "principal": who,
        "person": who,
        "approved": True,
        "hash": hash_of(change),
        "state": "sha256:state",
        "card": 1,
        "proof": Proof.TOKEN,
        "at_ms": NOW_MS,
        "words": "go on",
    }
    return Decision(**(fields | more))  # type: ignore[arg-type]


def grant(change: Change, *, expires_ms: int | None = None) -> Grant:
    """What it gives."""
    spec = change.spec
    return Grant(
        id=GrantId(f"grn_{change.id[4:]}"),
        change=change.id,
        topic=spec.topic,
        kind=tag_of(spec),
        agent=spec.agent_id,
        given_ms=NOW_MS,
        expires_ms=expires_ms,
    )


class Desk(NamedTuple):
    """Somebody who carries changes on, at one moment."""

    registry: Registry
    house: House = HOUSE

    def at(self, now_ms: int) -> Desk:
        """The same at another moment."""
        return self._replace(house=self.house._replace(now_ms=now_ms))

    async def ask(self, change: Change, **more: object) -> Written:
        """Keep a request."""
        return await self.registry.request(
            change, lambda _: kept(change, **more), house=self.house, directory=None
        )

    async def step(
        self,
        change: Change | ChangeId,
        step: Callable[[Loaded], Write],
        *,
        actor: PrincipalId | None = BOB,
        directory: HostDir | None = None,
    ) -> Written:
        """Run any step."""
        id_ = change.id if isinstance(change, Change) else change
        return await self.registry.act(
            id_, step, actor=actor, house=self.house, directory=directory
        )

    async def move(self, change: Change, status: Status, **more: object) -> Written:
        """Move it on, without a look."""
        return await self.step(change, lambda _: Write(status=status, **more))  # type: ignore[arg-type]

    async def apply(self, change: Change, *ops: Op, **more: object) -> Written:
        """Approve and apply it: what its spec says, unless `ops` say otherwise."""

        def step(loaded: Loaded) -> Write:
            spec, live = change.spec, loaded.live
            return Write(
                status=Status.APPLIED,
                decision=decision(change),
                ops=ops or spec.ops(live, change.id),
                before=spec.before(live),
                grant=grant(change),
                inverse=spec.inverse(live, change.id),
                audit=(AuditEntry(event=AuditEvent.CHANGE_APPLIED, change=change.id, kind="x"),),
                by=By(BOB, Via.API),
                event="applied",
            )._replace(**more)

        return await self.step(change, step)
