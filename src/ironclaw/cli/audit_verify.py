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
            found = walk_file(
                file,
                public,
                known=() if anchor is None or number > 1 else (anchor,),
                after=before,
                goes_on=with_store or number < len(files),
            )
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
        # An anchor is in one of the files, or else in the store: the walk before has what is open.
        anchors = [anchor] if after is None and anchor is not None else []
        if audit.head is not None:
            anchors.append(audit.head)
        found = audit.walk(known=anchors, after=after)
    if isinstance(found, Break) or audit.head is not None or not found.checkpoints:
        return found
    return Break(
        Fault.CHECKPOINT_MISSING,
        found.signed_through + 1,
        str(mine.audit_head_file),
        "The newest checkpoint is not kept outside of the store any more.",
    )


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
