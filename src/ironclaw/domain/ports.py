"""The ports of what is durable, as Protocols: the ledger, the audit, and the sessions' keys.

Those of the rest of the outside are `domain.wall`, `domain.channels` and `domain.providers`.
Adapters implement them and never import each other; only `ironclaw.composition` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from ironclaw_contract.records import Answer

if TYPE_CHECKING:
    from ironclaw.core.codes import Code
    from ironclaw.core.ids import DeliveryId, MessageId, SessionId
    from ironclaw.domain.audit import AuditEntry, AuditRecord
    from ironclaw.domain.model import Delivery, Message, Session
    from ironclaw.domain.wall import Outbound
    from ironclaw_contract.entries import Entry


class Audit(Protocol):
    """The record of what must not be forgotten. Nothing in it is ever changed or removed."""

    async def append(self, entry: AuditEntry) -> None:
        """Add an entry, durable on return. Raises HostError."""
        ...

    async def tail(self, *, limit: int) -> list[AuditRecord]:
        """The newest `limit` records, oldest first. Raises HostError."""
        ...


class Resume(NamedTuple):
    """What a fresh box is told of the past."""

    entries: tuple[Entry, ...]
    """Ended turns, oldest first, the newest that fit."""
    turn: MessageId | None
    """An open turn, if a former box left one."""
    turn_entries: tuple[Entry, ...]
    turn_index: int
    """Next step of the open turn."""
    summary: str = ""
    """Of all that was said before `entries`, if it was summed up."""
    worked_ms: int = 0
    """How long the open turn has taken."""


class Worked(NamedTuple):
    """How long a turn has taken so far."""

    turn: MessageId
    ms: int


class Committed(NamedTuple):
    """What committing outbound records changed."""

    deliveries: tuple[Delivery, ...]
    answered: tuple[MessageId, ...]


class Ledger(Protocol):
    """The durable record of every message. Each method is one transaction, durable on return."""

    async def backlog(self, session: SessionId) -> list[Message]:
        """Messages the agent has not dealt with, oldest first, accumulated context included."""
        ...

    async def answers(self, session: SessionId) -> list[Answer]:
        """What came of the questions that its turn under way asked people, in order."""
        ...

    async def begin_epoch(self, session: SessionId, *, workspace: str) -> Session:
        """Start the next life of the session's box: epoch + 1, outbound chain at 0."""
        ...

    async def worked(self, session: SessionId) -> Worked | None:
        """How long the turn has taken that a session has begun and not ended, if there is one."""
        ...

    async def note_worked(self, session: SessionId, worked: Worked) -> None:
        """Keep how long a turn has taken that a box began and did not end."""
        ...

    async def resume(self, session: SessionId, *, limit_bytes: int) -> Resume:
        """The conversation so far, for a fresh box."""
        ...

    async def commit(
        self, session: SessionId, epoch: int, out: Outbound, *, worked: Worked | None = None
    ) -> Committed:
        """Take outbound records in: transcript, deliveries, answered messages.

        Records at or below the session's `out_seq` are ignored, so a repeat changes nothing.

        Args:
            session: Whose box wrote them.
            epoch: In which of its lives.
            out: The records.
            worked: How long the turn under way has taken, to be kept with its records.

        Raises:
            PeerError: The epoch is not the session's, the first new record does not follow
                `out_seq`, or a record names a message that is not of this session (`TAMPER`).
        """
        ...

    async def fail_message(self, message: MessageId, *, text: str, code: Code) -> Committed:
        """Close a pending message with the host's own words; the person is told."""
        ...

    async def notify(self, session: SessionId, *, text: str, code: Code) -> Committed:
        """Say something in the host's own words where the session was last spoken to.

        At most once in each life of its box. Nothing happens where nobody has spoken to it.
        """
        ...

    async def quarantine(self, session: SessionId, *, reason: str) -> None:
        """Stop a session for good. Its pending messages fail with a clear word."""
        ...

    async def due(self, *, now_ms: int, limit: int) -> list[Delivery]:
        """Deliveries whose time has come, oldest first."""
        ...

    async def delivered(self, delivery: DeliveryId, *, platform_id: str) -> None:
        """The channel has it."""
        ...

    async def postpone(self, delivery: DeliveryId, *, next_ms: int | None, error: str) -> None:
        """The channel failed: try again at `next_ms`, or never (None = dead letter)."""
        ...


class Custodian(Protocol):
    """Holds the per-session keys."""

    async def create(self, session: SessionId) -> None:
        """Make and seal the key of a new session."""
        ...

    def key(self, session: SessionId) -> bytes:
        """The session's 32-byte key. Raises HostError (`KEY_UNUSABLE`), never makes a new one."""
        ...

    async def forget(self, session: SessionId) -> None:
        """Destroy the session's keys: its content can never be read again. Idempotent."""
        ...
