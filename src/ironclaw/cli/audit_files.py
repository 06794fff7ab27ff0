"""Exported audits: reading, walking, and showing what was found. None of it needs a house."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, BinaryIO

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.audit_chain import MAX_LINE_BYTES, Checkpoint, Header, parse
from ironclaw.domain.audit_check import Break, Walk, Walked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def open_plain(path: Path, what: str) -> BinaryIO:
    """Open a plain file to read. Raises UserError (`NOT_FOUND`, `INVALID`)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise UserError(
            Code.NOT_FOUND if missing else Code.INVALID,
            f"The {what} {path} cannot be read: {error.strerror}.",
            hint="Name a file of yours.",
        ) from error
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise UserError(
            Code.INVALID, f"The {what} {path} is not a plain file.", hint="Save it to one."
        )
    return file


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint that was kept somewhere. Raises UserError (`NOT_FOUND`, `INVALID`)."""
    with open_plain(path, "checkpoint") as file:
        found = parse(file.read(MAX_LINE_BYTES).removesuffix(b"\n"))
    if not isinstance(found, Checkpoint):
        raise UserError(
            Code.INVALID,
            f"{path} is not a checkpoint of an audit.",
            hint="Give a copy of `audit-head.json` of the house's state directory.",
        )
    return found


def walk_file(
    path: Path,
    key: Ed25519PublicKey,
    *,
    known: Sequence[Checkpoint] = (),
    after: Walked | None = None,
    goes_on: bool = False,
) -> Walked | Break:
    """Walk along an exported file, one line in memory at a time.

    Args:
        path: The file.
        key: The public key of the house that exported it.
        known: Checkpoints that must be in it.
        after: The file before it.
        goes_on: Another part of the chain follows.

    Raises:
        UserError: It cannot be read.

    Trust:
        The file is foreign.
    """
    walk = Walk(key, known=known, after=after)
    number = 0
    with open_plain(path, "audit") as file:
        while not walk.broken and (line := file.readline(MAX_LINE_BYTES + 1)):
            number += 1
            item = parse(line[:-1]) if line.endswith(b"\n") else None
            if number == 1 and not isinstance(item, Header):
                item = None
            walk.take(item, f"line {number} of {path}")
    if not number:
        walk.take(None, f"line 1 of {path}")
    return walk.end(whole=True, place=str(path), goes_on=goes_on)


def told(found: Walked | Break) -> dict[str, Any]:
    """What was found, for machines."""
    if isinstance(found, Break):
        return {"verified": False} | found._asdict()
    last = found.last_checkpoint
    return {
        "verified": True,
        "first": found.first,
        "last": found.last,
        "records": found.records,
        "checkpoints": found.checkpoints,
        "signed_through": found.signed_through,
        "unsigned": found.last - found.signed_through,
        "head": found.head,
        "keyid": None if last is None else last.keyid,
    }


def in_words(found: Walked | Break) -> str:
    """What was found, for people."""
    if isinstance(found, Break):
        return (
            f"The audit breaks at record {found.number} ({found.fault}), {found.place}: {found.why}"
        )
    if not found.records:
        return "The audit has no records."
    unsigned = found.last - found.signed_through
    rest = f"; {unsigned} not signed yet" if unsigned else ""
    return (
        f"The audit holds: records {found.first} to {found.last}, signed through "
        f"{found.signed_through} by {found.checkpoints} checkpoints{rest}."
    )
