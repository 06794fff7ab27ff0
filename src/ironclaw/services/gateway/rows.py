"""Where the gateway keeps what it knows: `ironclaw.store.change_rows.ChangeRows`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ironclaw.core.ids import AgentId, ChangeId, GrantId, PrincipalId
    from ironclaw.domain.change import Change, Grant, Row, Status
    from ironclaw.domain.changes.base import HostDir, House, Op, Spec
    from ironclaw.domain.gateway import Loaded, Write
    from ironclaw.domain.model import Standing
    from ironclaw.domain.policy import Policy
    from ironclaw.domain.skills import KeptSkill


class Written(NamedTuple):
    """What a step has left."""

    row: Row
    ops: tuple[Op, ...]
    """As they were written; the live system has to be told of them."""
    event: int | None
    """Id of its newest event; None when it is none."""
    replaced: tuple[ChangeId, ...] = ()
    """Changes of whose grants it has left nothing; those have ended with it."""
    overtaken: tuple[ChangeId, ...] = ()
    """Requests that it has left nothing to do; those have ended with it too."""


class Waiting(NamedTuple):
    """Changes that nobody has decided on."""

    pending: int
    overdue: int
    """Those of them that wait for longer than the policy says (`escalate_s`)."""


class KeptEvent(NamedTuple):
    """An event as it is kept: the view is made when it is shown."""

    id: int
    kind: str
    at_ms: int
    change: ChangeId


class Due(NamedTuple):
    """Something that happens by itself when its time has come."""

    at_ms: int
    what: str
    """`expire`, `escalate` (a change) or `end` (a grant)."""
    change: ChangeId
    grant: GrantId | None


class ChangeStore(Protocol):
    """All methods raise HostError; what else is said. A step's own errors pass through."""

    async def request(
        self,
        change: Change,
        step: Callable[[Loaded], Write],
        *,
        house: House,
        directory: HostDir | None,
    ) -> Written:
        """Run a step for a change that is not there yet; `Loaded.row` is None.

        A step that returns a Write without `change` (the twin is taken) writes nothing; the row is
        the twin's then.
        """
        ...

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
        ...

    async def end_grant(
        self,
        grant: GrantId,
        step: Callable[[Loaded], Write],
        *,
        actor: PrincipalId | None,
        house: House,
        directory: HostDir | None,
    ) -> Written:
        """Run a step for a grant: `Loaded.row` is its change's. Raises UserError (`NOT_FOUND`)."""
        ...

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
        ...

    async def look_at(
        self, row: Row, *, actor: PrincipalId | None, house: House, directory: HostDir | None
    ) -> Loaded:
        """What a step for that change would be told; nothing is written."""
        ...

    async def look_at_grant(self, grant: GrantId, *, house: House) -> Loaded:
        """What a step for that grant would be told; nothing is written.

        Raises:
            UserError: `NOT_FOUND`.
        """
        ...

    async def row(self, change: ChangeId) -> Row:
        """One change. Raises UserError (`NOT_FOUND`)."""
        ...

    async def rows(
        self,
        *,
        agents: frozenset[AgentId] | None,
        statuses: frozenset[Status] | None,
        asker: PrincipalId | None = None,
        limit: int,
    ) -> list[Row]:
        """Changes, newest first.

        Args:
            agents: Only those about these agents; None: all, also those about the whole house.
            statuses: Only those that are there.
            asker: Beside them, those that this principal asked for.
            limit: At most.
        """
        ...

    async def waiting_changes(self) -> Waiting:
        """How many changes wait for a decision."""
        ...

    async def unfinished(self) -> list[ChangeId]:
        """Changes that a former core left approved or applied, oldest first.

        Also those of which `unreached` has something.
        """
        ...

    async def unreached(self, change: ChangeId) -> tuple[Op, ...]:
        """What `act` or `end_grant` has written last for a change and `reached` was not said of.

        Kept in the transaction that wrote it, so that a crash before the running system was told,
        of an effect or of its end, is made good at the next start. Empty when there is nothing.
        """
        ...

    async def reached(self, change: ChangeId) -> None:
        """The running system is as `unreached` says: forget that. Idempotent."""
        ...

    async def grants(
        self, *, agents: frozenset[AgentId] | None, ended: bool, limit: int, kind: str | None = None
    ) -> list[tuple[Grant, Row]]:
        """Grants with the changes that gave them, newest first; of one kind alone if it is said."""
        ...

    async def next_due(self) -> Due | None:
        """What comes first of all that happens by itself."""
        ...

    async def events(self, *, after: int, limit: int) -> Sequence[KeptEvent]:
        """Events with ids over `after`, oldest first."""
        ...

    async def last_event(self) -> int:
        """Id of the newest; 0 when there is none."""
        ...

    async def policy(self) -> Policy:
        """The policy in force."""
        ...

    async def standings_of(self, principal: PrincipalId) -> tuple[Standing, ...]:
        """What one principal holds, from memory where nothing has changed since."""
        ...

    async def person_of(self, principal: PrincipalId) -> PrincipalId:
        """Who a principal is; itself unless it was linked."""
        ...


class Reach(Protocol):
    """The running system, told of what was written: `services.reaching.Reaching`."""

    async def reach(self, ops: Sequence[Op]) -> None:
        """Bring running boxes, slots, tasks and keys to what the store says. Idempotent.

        Returns when it is so: a revoked right is gone from every running box. Raises
        IronClawError; it may be called again then.
        """
        ...

    async def holds(self, ops: Sequence[Op]) -> bool:
        """Whether the running system is as the ops say; looks, changes nothing."""
        ...


class Tell(Protocol):
    """How people and agents hear of it: `services.telling.Telling`."""

    async def tell_asker(self, row: Row, text: str) -> None:
        """Say something in the conversation that a change was asked for in; durable, once.

        The agent has it as context of its next turn, its people see it in the chat. Nothing for a
        change that a person, or the house, asked for.
        """
        ...


class Looks(Protocol):
    """What has to be looked up outside of the store before a step."""

    def house(self) -> House:
        """What does not change while the core runs, and the time."""
        ...

    async def skills(self) -> tuple[KeptSkill, ...]:
        """Skills that were imported."""
        ...

    async def directory(self, path: str) -> HostDir | None:
        """What is at a path of the host."""
        ...
