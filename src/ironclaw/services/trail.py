"""The audit as the edges may ask it, as one Protocol; `services.auditing` is the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ironclaw.domain.audit import AuditEntry, AuditRecord, By, Story
    from ironclaw.domain.audit_chain import Checkpoint


class Trail(Protocol):
    """The audit of a running house. All methods raise `IronClawError`s and nothing else."""

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is wrong with the audit, in words; empty when nothing is."""
        ...

    async def append(self, entry: AuditEntry, by: By) -> None:
        """Add an entry, durable on return."""
        ...

    def note(self, entry: AuditEntry) -> None:
        """Something that strangers can cause happened once more: recorded sparingly."""
        ...

    async def tail(self, *, limit: int, before: int | None) -> list[AuditRecord]:
        """The newest records before that number, oldest first."""
        ...

    async def record(self, number: int) -> AuditRecord:
        """One record. Raises UserError (`NOT_FOUND`)."""
        ...

    async def why(self, ref: str, *, limit: int) -> Story:
        """The newest records that tell of an id, oldest first."""
        ...

    async def sign(self) -> Checkpoint | None:
        """Sign the head now; None when it is. Raises PolicyError (`AUDIT_INVALID`)."""
        ...

    async def rotate(self, *, through: int, digest: str, by: By) -> AuditRecord:
        """Remove exported records up to a checkpoint. Raises UserError (`INVALID`)."""
        ...
