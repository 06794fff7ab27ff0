"""The gateway as the edges, the tools of agents and the core see it, as one Protocol.

`services.gateway.service.GatewayService` is the real one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from ironclaw.core.ids import ChangeId
from ironclaw.domain.cards import Card
from ironclaw.domain.change import Grant, Row
from ironclaw.domain.model import Role
from ironclaw.domain.rights import Actor, Right

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.core.ids import AgentId, GrantId
    from ironclaw.domain.change import Asker, Seen
    from ironclaw.domain.changes.base import Spec
    from ironclaw.domain.policy import Policy
    from ironclaw.services.gateway.rows import Waiting


Action = Literal["approve", "deny", "withdraw", "retry", "revoke"]


class Button(msgspec.Struct, frozen=True, kw_only=True):
    """Something to press on a card, where a surface has buttons."""

    label: str
    action: Action


class ChangeView(msgspec.Struct, frozen=True, kw_only=True):
    """A change as it is shown to somebody, now."""

    row: Row
    card: Card
    """Against the live state of now while it is pending; else against the state that it changed."""
    may_decide: bool
    """Whether whoever asks may decide on it now."""
    why_not: str = ""
    """Why they may not, in words."""
    not_yet: str = ""
    """Why nobody can approve it as things are, though it waits, and can be denied; in words."""
    way_on: str = ""
    """What would help then, in words."""
    deciders: tuple[Role, ...] = ()
    """Whose decision it needs: each of these roles is enough to give all that it gives."""
    people: int = 1
    """How many of them."""
    approvals: int = 0
    """How many of them have said yes to it as it is now, while it waits."""
    is_twin: bool = False
    """Of a request: whether its asker had asked for the same before, and this is that one."""
    buttons: tuple[Button, ...] = ()
    agent_name: str = ""
    """Of the agent that it is about; empty for the whole house."""
    asker_name: str = ""
    """Of the agent that asks; empty for a person."""
    link: str = ""
    """Path of the console's page of it: `/changes/chg_…`."""


class GrantView(msgspec.Struct, frozen=True, kw_only=True):
    """A grant as it is shown."""

    grant: Grant
    title: str
    """What it gave, in a line; foreign characters made visible."""
    agent_name: str = ""
    way_back: str = ""
    """What taking it back would do now, in a line; empty when nothing can, or it has ended."""
    is_left: bool = False
    """Whether anything of what it gave is in force still."""


EventKind = Literal[
    "requested",
    "decided",
    "applied",
    "done",
    "failed",
    "denied",
    "expired",
    "escalated",
    "withdrawn",
    "overtaken",
    "revoked",
    "grant_expired",
    "replaced",
]
"""The last three end what an applied change gave: on somebody's word, with its time, and because
nothing of it was left."""


class ChangeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a change, for channels and the console to build cards from."""

    id: int
    """Grows by one over all changes, survives restarts."""
    kind: EventKind
    at_ms: int
    change: ChangeId
    view: ChangeView


class Gateway(Protocol):
    """All methods raise `IronClawError`s and nothing else.

    Rights are checked here, by what the store knows of the principal, so that no surface can forget
    it. Somebody without the right to look at a change is told `NOT_FOUND`, as for one that is not.
    """

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is not in force everywhere yet, in words; empty when all is well."""
        ...

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
        """Ask for a change. The policy may deny or apply it at once; else it waits for a person.

        The same wish, asked for again by the same asker while it is pending, is the same change.

        Args:
            spec: What shall be, with ids in place of names.
            asker: Who asks.
            actor: The person who asks; None when an agent does.
            reason: In the asker's own words.
            grant_s: How long what it gives shall last, in seconds.
            despite: A denial to be set aside; agents cannot.

        Raises:
            UserError: `INVALID`, `NOT_FOUND`, `CONFLICT` (nothing to do), `TOO_LARGE`.
            PolicyError: `FORBIDDEN` (no right to ask), `DENIED` (by rule, or denied before; the
                message names the change), `RATE_LIMITED` (too many wait).
        """
        ...

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
        """The card that `submit` would show, and nothing kept. Takes, and raises, as `submit`."""
        ...

    async def show(self, change: ChangeId, *, actor: Actor) -> ChangeView:
        """One change, now. Raises UserError (`NOT_FOUND`)."""
        ...

    async def changes(
        self, *, actor: Actor, agent: str | None = None, is_open: bool = True, limit: int = 100
    ) -> list[ChangeView]:
        """Changes that the actor may look at, newest first."""
        ...

    async def decide(
        self, change: ChangeId, *, actor: Actor, approve: bool, seen: Seen, words: str = ""
    ) -> ChangeView:
        """Approve or deny. An approval that completes it is applied before this returns.

        One that has come true meanwhile, or whose subject is gone, ends as overtaken: no error.

        Raises:
            UserError: `NOT_FOUND`; `CONFLICT`: decided already, what was seen is not what is, or a
                yes could not be carried out as things are (it goes on waiting).
            PolicyError: `FORBIDDEN`: not theirs to decide; the message says why.
        """
        ...

    async def withdraw(
        self, change: ChangeId, *, actor: Actor | None, asker: Asker | None = None
    ) -> ChangeView:
        """Take a request back: its asker may, and whoever may decide on it."""
        ...

    async def retry(self, change: ChangeId, *, actor: Actor) -> ChangeView:
        """Try an approved change again that could not be applied."""
        ...

    async def grants(
        self, *, actor: Actor, agent: str | None = None, ended: bool = False
    ) -> list[GrantView]:
        """What applied changes gave, newest first."""
        ...

    async def revoke(self, grant: GrantId, *, actor: Actor, words: str = "") -> GrantView:
        """Take back what a change gave; in force, also in running boxes, on return.

        Raises:
            UserError: `NOT_FOUND`; `CONFLICT`: it has ended, there is no way back, or a later
                change stands on it (the message names that).
            PolicyError: `FORBIDDEN`.
        """
        ...

    async def waiting_changes(self) -> Waiting:
        """How many changes wait for a decision, over the whole house."""
        ...

    async def policy(self) -> Policy:
        """The policy in force."""
        ...

    async def rights(self, actor: Actor, agent: AgentId | None) -> frozenset[Right]:
        """What somebody may do: what the roles give and the token lets through."""
        ...

    async def may_anywhere(self, actor: Actor, right: Right) -> frozenset[AgentId] | None:
        """The agents with which somebody has that right; None: with all, and the house."""
        ...

    def watch(self, *, actor: Actor, after: int | None) -> AsyncIterator[ChangeEvent]:
        """Events of changes that the actor may look at: kept ones after `after`, then live."""
        ...
