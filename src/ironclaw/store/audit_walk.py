"""Walks along the audit of an open store: the whole chain, or what is not signed yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.domain.audit_chain import GENESIS, Checkpoint, parse
from ironclaw.domain.audit_check import Walk, Walked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from ironclaw.domain.audit_chain import Item
    from ironclaw.domain.audit_check import Break

PLACE: Final = "the store"
_ALL: Final = 2**62


def items(
    db: apsw.Connection, *, first: int = 0, through: int = _ALL
) -> Iterator[tuple[Item | None, str]]:
    """Records and checkpoints in the order of an exported file, each with its place.

    Args:
        db: In one snapshot, so that both tables are of the same moment.
        first: Only from this record on, and from the checkpoint over the one before it.
        through: Only up to this record, and the checkpoint over it.
    """
    records = db.execute(
        "SELECT n, line FROM audit WHERE n BETWEEN ? AND ? ORDER BY n", (first, through)
    )
    signed = db.execute(
        "SELECT idx, number, line FROM audit_checkpoint WHERE number BETWEEN ? AND ? ORDER BY idx",
        (first - 1, through),
    )
    record = next(records, None)
    one = next(signed, None)
    while record is not None or one is not None:
        if one is not None and (record is None or one[1] < record[0]):
            found = parse(one[2].encode())
            is_one = isinstance(found, Checkpoint) and found.index == one[0]
            yield (found if is_one else None), f"checkpoint {one[0]} of {PLACE}"
            one = next(signed, None)
        elif record is not None:
            found = parse(record[1].encode())
            yield (
                (None if isinstance(found, Checkpoint) else found),
                f"record {record[0]} of {PLACE}",
            )
            record = next(records, None)


def walk_store(
    db: apsw.Connection,
    key: Ed25519PublicKey,
    *,
    known: Sequence[Checkpoint] = (),
    after: Walked | None = None,
) -> Walked | Break:
    """Walk along all of it.

    Args:
        db: In one snapshot.
        key: The public key of checkpoints.
        known: Checkpoints it must have, kept outside of the store.
        after: The chain of exported files that this one goes on from.
    """
    walk = Walk(key, known=known, after=after)
    for item, place in items(db, first=0 if after is None else after.last + 1):
        walk.take(item, place)
    return walk.end(whole=False, place=PLACE)


def walk_unsigned(db: apsw.Connection, key: Ed25519PublicKey) -> Walked | Break:
    """Walk along what follows the newest checkpoint."""
    base = newest_checkpoint(db)
    before = Walked(
        first=0,
        last=0 if base is None else base.number,
        head=GENESIS if base is None else base.hash,
        signed_through=0 if base is None else base.number,
        records=0,
        checkpoints=0,
        last_checkpoint=base,
    )
    walk = Walk(key, after=before)
    for item, place in items(db, first=before.last + 1):
        walk.take(item, place)
    return walk.end(whole=False, place=PLACE)


def newest_checkpoint(db: apsw.Connection) -> Checkpoint | None:
    """The newest one that can be read."""
    row = db.execute("SELECT line FROM audit_checkpoint ORDER BY idx DESC LIMIT 1").fetchone()
    found = None if row is None else parse(row[0].encode())
    return found if isinstance(found, Checkpoint) else None
