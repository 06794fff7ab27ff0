"""Verifying an audit: files, the store, or both as one chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ironclaw.cli.audit_files import open_plain, read_checkpoint, walk_file
from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.audit_chain import is_signed
from ironclaw.domain.audit_check import Break, Fault
from ironclaw.domain.receipts import MAX_KEY_BYTES, read_public_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from ironclaw.config.settings import Settings
    from ironclaw.domain.audit_chain import Checkpoint
    from ironclaw.domain.audit_check import Walked


def verify(
    mine: Settings,
    files: Sequence[Path],
    *,
    with_store: bool,
    key: Path | None,
    checkpoint: Path | None,
) -> Walked | Break:
    """Walk along exported files, and the store without any or when it is asked for.

    Args:
        mine: Where the house is.
        files: Exported files, oldest first.
        with_store: Go on with the house's store after them.
        key: The public key to verify with; None: this house's.
        checkpoint: A checkpoint kept elsewhere.

    Raises:
        UserError: A file, a key or the house cannot be read.
        HostError: The store cannot be read.
    """
    anchor = None if checkpoint is None else read_checkpoint(checkpoint)
    before: Walked | None = None
    if files:
        public = _key(key or mine.audit_key_file)
        if (bad := _bad_anchor(anchor, public, str(checkpoint))) is not None:
            return bad
        for number, file in enumerate(files, start=1):
            is_last = number == len(files) and not with_store
            found = walk_file(file, public, newest=anchor if is_last else None, after=before)
            if isinstance(found, Break):
                return found
            before = found
        if not with_store and before is not None:
            return before
    return _store(mine, key, anchor, after=before)


def check_export(file: Path, key: Ed25519PublicKey) -> None:
    """Verify a file that was just written. Raises PolicyError (`AUDIT_INVALID`)."""
    found = walk_file(file, key)
    if isinstance(found, Break):
        raise PolicyError(
            Code.AUDIT_INVALID,
            f"The audit breaks at record {found.number}: {found.why}",
            hint="Nothing was exported. `ironclaw audit verify` looks at the whole chain.",
        )


def _store(
    mine: Settings, key: Path | None, anchor: Checkpoint | None, *, after: Walked | None
) -> Walked | Break:
    from ironclaw.offline import open_audit  # noqa: PLC0415 - heavy

    with open_audit(mine) as house:
        audit = house if key is None else house._replace(key=_key(key))
        for one, place in ((anchor, "the checkpoint"), (audit.head, str(mine.audit_head_file))):
            if (bad := _bad_anchor(one, audit.key, place)) is not None:
                return bad
        found = audit.walk(newest=anchor or audit.head, after=after)
        if isinstance(found, Break) or anchor is None or audit.head is None:
            missing = not isinstance(found, Break) and audit.head is None and found.checkpoints
            if missing:
                return Break(
                    Fault.CHECKPOINT_MISSING,
                    0,
                    str(mine.audit_head_file),
                    "The newest checkpoint is not kept outside of the store any more.",
                )
            return found
        return audit.walk(newest=audit.head, after=after)


def _bad_anchor(one: Checkpoint | None, key: Ed25519PublicKey, place: str) -> Break | None:
    if one is None or is_signed(one, key):
        return None
    why = f"Checkpoint {one.index} is not signed with this key."
    return Break(Fault.WRONG_KEY, one.number, place, why)


def _key(path: Path) -> Ed25519PublicKey:
    with open_plain(path, "public key") as file:
        raw = file.read(MAX_KEY_BYTES + 1)
    if len(raw) > MAX_KEY_BYTES:
        raise UserError(
            Code.INVALID,
            f"{path} is not a public key.",
            hint="A house has its key in `audit-key.pub` of its state directory.",
        )
    return read_public_key(raw)
