"""A house's audit without its daemon: opened to read, never changed.

Part of the composition root: it takes the keys out of the ring, as `daemon` does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import apsw

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.audit_chain import FORMAT, Checkpoint, Header, line_of
from ironclaw.domain.receipts import key_id, read_public_key
from ironclaw.keys.master import find_master
from ironclaw.keys.ring import Ring
from ironclaw.keys.signer import AuditSigner
from ironclaw.store import audit_related, audit_walk
from ironclaw.store.audit_head import HeadFile
from ironclaw.store.audit_related import as_record
from ironclaw.store.audit_rows import no_record
from ironclaw.store.connection import open_reader
from ironclaw.store.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from ironclaw.config.settings import Settings
    from ironclaw.domain.audit import AuditRecord, Story
    from ironclaw.domain.audit_check import Break, Walked


class Exported(NamedTuple):
    """What was written to a file."""

    first: int
    through: int
    digest: str
    """`sha256:…` of the file."""


class HouseAudit(NamedTuple):
    """The audit of one house, in one snapshot."""

    db: apsw.Connection
    key: Ed25519PublicKey
    """The public half of the key in the ring."""
    head: Checkpoint | None
    """The newest checkpoint that is kept outside of the store."""

    def walk(self, *, known: Sequence[Checkpoint], after: Walked | None = None) -> Walked | Break:
        """Walk along the whole chain."""
        return audit_walk.walk_store(self.db, self.key, known=known, after=after)

    def tail(self, *, limit: int) -> list[AuditRecord]:
        """The newest records, oldest first."""
        rows = self.db.execute("SELECT line FROM audit ORDER BY n DESC LIMIT ?", (limit,))
        return [as_record(line) for (line,) in rows][::-1]

    def record(self, number: int) -> AuditRecord:
        """One record. Raises UserError (`NOT_FOUND`)."""
        row = self.db.execute("SELECT line FROM audit WHERE n = ?", (number,)).fetchone()
        if row is None:
            raise no_record(number)
        return as_record(row[0])

    def story(self, ref: str, *, limit: int) -> Story:
        """The records that tell of an id."""
        return audit_related.story(self.db, ref, limit=limit)

    def export(self, file: BinaryIO, *, first: int, to: int | None) -> Exported:
        """Write records and checkpoints as lines, one after the other.

        Args:
            file: Where to.
            first: Number of the first record wanted.
            to: Number of the last record wanted; the file goes on to the checkpoint over it, so
                that it can be verified. None: the newest checkpoint.

        Raises:
            UserError: `NOT_FOUND`: no checkpoint is over that record yet, or there is no record.
        """
        lowest = self.db.execute("SELECT min(n) FROM audit").fetchone()
        first = max(first, 1, (lowest[0] if lowest else None) or 1)
        found = self.db.execute(
            "SELECT CASE WHEN ?1 IS NULL THEN max(number)"
            " ELSE min(number) FILTER (WHERE number >= ?1) END FROM audit_checkpoint",
            (to,),
        ).fetchone()
        through = found[0] if found else None
        if through is None or through < first:
            raise UserError(
                Code.NOT_FOUND,
                "No checkpoint is over these records.",
                hint="The newest records are signed within a minute, and when the daemon stops.",
            )
        digest = hashlib.sha256()
        header = Header(format=FORMAT, first=first, through=through)
        for line in self._lines(header):
            file.write(line)
            digest.update(line)
        return Exported(first, through, f"sha256:{digest.hexdigest()}")

    def _lines(self, header: Header) -> Iterator[bytes]:
        yield line_of(header) + b"\n"
        for item, place in audit_walk.items(self.db, first=header.first, through=header.through):
            if item is None:
                raise PolicyError(
                    Code.AUDIT_INVALID,
                    f"There is something at {place} that is no part of an audit.",
                    hint="`ironclaw audit verify` says where the chain breaks.",
                )
            yield line_of(item) + b"\n"


@contextlib.contextmanager
def open_audit(settings: Settings) -> Iterator[HouseAudit]:
    """Open a house's audit to read, whether its daemon runs or not.

    Raises:
        UserError: `NOT_FOUND`: there is no house. `CONFLICT`: its audit is of before the chain.
        PolicyError: `AUDIT_INVALID`: the public key in the state directory is not the house's.
        HostError: A key or the store cannot be used.
    """
    path = settings.state_dir / "store.db"
    keys = settings.state_dir / "keys"
    # Opening a store that is not there would make one.
    if not path.is_file() or not keys.is_dir():
        raise UserError(
            Code.NOT_FOUND,
            f"There is no house in {settings.state_dir}.",
            hint="`ironclaw up` makes one; `--config` or IRONCLAW_PATHS_STATE_DIR names another.",
        )
    ring = Ring.peek(keys, find_master(keys, os.environ))
    key = AuditSigner(ring).public_key
    _check_published(settings, key)
    db = open_reader(path, ring.store_key)
    try:
        # Closing the last connection would fold the write-ahead log into the file.
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        db.execute("BEGIN")
        if not db.table_exists("main", "audit_checkpoint") or not ring.audit_seed:
            raise UserError(
                Code.CONFLICT,
                "The audit of this house is not a chain yet.",
                hint="`ironclaw up` makes one of it, and keeps its records.",
            )
        yield HouseAudit(db, key, HeadFile(settings.audit_head_file).read())
    except apsw.Error as error:
        raise fault(error, path) from error
    finally:
        db.close()


def _check_published(settings: Settings, key: Ed25519PublicKey) -> None:
    try:
        raw = settings.audit_key_file.read_bytes()
    except OSError:
        return  # not published yet, or removed: the ring has it
    if key_id(read_public_key(raw[:4096])) != key_id(key):
        raise PolicyError(
            Code.AUDIT_INVALID,
            f"{settings.audit_key_file} is not the key of this house.",
            hint="Somebody replaced it. The next start of the daemon puts the right one back.",
        )
