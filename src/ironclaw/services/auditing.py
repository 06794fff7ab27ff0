"""The audit while a core runs: its beginning and end, and when its head is signed.

begin -> (a record is durable -> `appended` -> run signs after COUNT or INTERVAL_S) -> end

At rest nothing runs: a timer exists only while there is something that is not signed yet.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, Protocol

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError
from ironclaw.core.log import get_logger
from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent
from ironclaw.domain.audit_chain import is_signed
from ironclaw.domain.audit_check import Break
from ironclaw.services.sparing import Sparing

if TYPE_CHECKING:
    from ironclaw.core.tasks import Tasks
    from ironclaw.domain.audit import AuditRecord, By, Story
    from ironclaw.domain.audit_chain import AuditSigner, Checkpoint

COUNT: Final = 64
"""Records after which the head is signed at once."""
INTERVAL_S: Final = 60.0
"""Seconds after which the head is signed, from the first record that is not."""

_log = get_logger("audit")


class Rows(Protocol):
    """The store's side: `ironclaw.store.audit_rows.AuditRows`."""

    async def append(self, *entries: AuditEntry, by: By = CORE) -> None:
        """Add entries, durable on return."""
        ...

    async def tail(self, *, limit: int, before: int | None = None) -> list[AuditRecord]:
        """The newest records before that number, oldest first."""
        ...

    async def record(self, number: int) -> AuditRecord:
        """One record. Raises UserError (`NOT_FOUND`)."""
        ...

    async def story(self, ref: str, *, limit: int) -> Story:
        """The records that tell of an id."""
        ...

    async def last_of_daemon(self) -> AuditEvent | None:
        """The newest `daemon.started` or `daemon.stopped`."""
        ...

    async def has_checkpoint(self, one: Checkpoint) -> bool:
        """Whether this very checkpoint is in the store."""
        ...

    async def newest_checkpoint(self) -> Checkpoint | None:
        """The newest one in the store."""
        ...

    async def checkpoint(self, signer: AuditSigner) -> Checkpoint | Break | None:
        """Sign the head; None when it is signed; a break instead of signing a broken chain."""
        ...

    async def rotate(self, *, through: int, digest: str, by: By) -> AuditRecord:
        """Remove what was exported."""
        ...


class Head(Protocol):
    """Where the newest checkpoint is kept outside of the store."""

    def read(self) -> Checkpoint | None:
        """The checkpoint, if there is one that can be read."""
        ...

    async def keep(self, one: Checkpoint) -> None:
        """Replace it, durable on return."""
        ...


class Auditing:
    """The audit of one core.

    Args:
        rows: The store's side.
        head: Where the newest checkpoint is kept outside of the store.
        signer: Whose key signs checkpoints.
        count: Records after which the head is signed.
        interval_s: Seconds after which it is signed.
    """

    def __init__(
        self,
        *,
        rows: Rows,
        head: Head,
        signer: AuditSigner,
        count: int = COUNT,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._rows = rows
        self._head = head
        self._signer = signer
        self._count = count
        self._interval_s = interval_s
        self._bell = asyncio.Event()
        self._pending = 0
        self._signing = asyncio.Lock()
        # In the store, but not outside of it yet.
        self._unkept: Checkpoint | None = None
        self._troubles: dict[str, str] = {}
        self._sparing: Sparing | None = None

    @property
    def degraded(self) -> tuple[str, ...]:
        """What is wrong with the audit, in words; empty when nothing is."""
        return tuple(self._troubles.values())

    async def begin(self, *, version: str) -> None:
        """Say that a core has started, and what it found.

        Raises:
            HostError: From the store.
        """
        entries = []
        known = await asyncio.to_thread(self._head.read)
        if known is not None and not is_signed(known, self._signer.public_key):
            self._trouble("head", "audit-head.json is not signed with this house's key")
        elif known is not None and not await self._rows.has_checkpoint(known):
            self._trouble(
                "head",
                f"the store was put back to a state before record {known.number}, which a "
                "checkpoint was over",
            )
            entries.append(AuditEntry(event=AuditEvent.AUDIT_ROLLED_BACK, through=known.number))
        elif known is None and await self._rows.newest_checkpoint() is not None:
            self._trouble("head", "audit-head.json was missing when the daemon started")
        if await self._rows.last_of_daemon() is AuditEvent.DAEMON_STARTED:
            entries.append(AuditEntry(event=AuditEvent.STORE_RECOVERED))
        entries.append(AuditEntry(event=AuditEvent.DAEMON_STARTED, version=version))
        await self._rows.append(*entries)

    def start(self, tasks: Tasks) -> None:
        """Sign when it is time, and take notes, until those tasks end."""
        self._sparing = Sparing(self._rows.append, tasks)
        tasks.start(self.run(), name="audit")

    def note(self, entry: AuditEntry) -> None:
        """Something that strangers can cause happened once more: recorded sparingly."""
        if self._sparing is not None:
            self._sparing.note(entry)

    def appended(self, rows: int) -> None:
        """That many records became durable."""
        self._pending += rows
        self._bell.set()

    async def run(self) -> None:
        """Sign when it is time, until cancelled. A failing store is tried again later."""
        loop = asyncio.get_running_loop()
        while True:
            await self._bell.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(loop.time() + self._interval_s):
                    while self._pending < self._count:
                        self._bell.clear()
                        await self._bell.wait()
            self._bell.clear()
            try:
                await self.sign()
            except HostError as error:
                _log.error("audit_not_signed", code=error.code, detail=error.detail)
                self._trouble("sign", f"the newest records cannot be signed ({error.code})")
                self._bell.set()  # again after the interval
            except PolicyError as error:
                # The state of the whole says it too; the next record asks again.
                _log.error("audit_not_signed", code=error.code)

    async def sign(self) -> Checkpoint | None:
        """Sign the head now; None when it is signed already.

        Raises:
            PolicyError: `AUDIT_INVALID`: the chain does not hold, so it is not signed.
            HostError: From the store, or the newest checkpoint cannot be kept outside of it.
        """
        async with self._signing:
            self._pending = 0
            made = await self._rows.checkpoint(self._signer)
            if isinstance(made, Break):
                _log.error("audit_broken", fault=made.fault, record=made.number, why=made.why)
                self._trouble("sign", f"the chain breaks at record {made.number}: {made.why}")
                raise PolicyError(
                    Code.AUDIT_INVALID,
                    f"The audit breaks at record {made.number}: {made.why}",
                    hint="Nothing was signed. `ironclaw audit verify` looks at the whole chain.",
                )
            self._unkept = made or self._unkept
            if self._unkept is not None:
                await self._head.keep(self._unkept)
                self._unkept = None
            self._troubles.pop("sign", None)
            return made

    async def end(self) -> None:
        """Say that the core stops, and sign that. Never raises for what the store does."""
        if self._sparing is not None:
            await self._sparing.close()
        try:
            await self._rows.append(AuditEntry(event=AuditEvent.DAEMON_STOPPED))
            await self.sign()
        except (HostError, PolicyError) as error:
            _log.error("audit_not_ended", code=error.code, detail=error.detail)

    # --- what is asked of it ----------------------------------------------------------------------

    async def append(self, entry: AuditEntry, by: By = CORE) -> None:
        """Add an entry, durable on return. Raises HostError."""
        await self._rows.append(entry, by=by)

    async def tail(self, *, limit: int, before: int | None = None) -> list[AuditRecord]:
        """The newest records before that number, oldest first."""
        return await self._rows.tail(limit=limit, before=before)

    async def record(self, number: int) -> AuditRecord:
        """One record."""
        return await self._rows.record(number)

    async def why(self, ref: str, *, limit: int) -> Story:
        """The newest records that tell of an id, oldest first."""
        return await self._rows.story(ref, limit=limit)

    async def rotate(self, *, through: int, digest: str, by: By) -> AuditRecord:
        """Remove what was exported; the record that says so is signed at once."""
        record = await self._rows.rotate(through=through, digest=digest, by=by)
        await self.sign()
        return record

    def _trouble(self, about: str, words: str) -> None:
        self._troubles[about] = f"audit: {words}"
