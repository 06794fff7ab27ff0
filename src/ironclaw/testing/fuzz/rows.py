"""Segments whose pages are sound and whose rows are not: what a box with all its keys can write."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import apsw

from ironclaw.testing.fuzz import msgpack, samples
from ironclaw.testing.fuzz.dice import mutate
from ironclaw.testing.fuzz.pages import decrypt
from ironclaw.testing.fuzz.samples import OUT_KEYS, chain
from ironclaw_contract.chain import Record
from ironclaw_contract.keys import Direction, derive
from ironclaw_contract.limits import MAX_BODY_BYTES
from ironclaw_contract.records import OutboundBody, encode_body
from ironclaw_contract.segment import seal_segment, write_records

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.testing.fuzz.dice import Dice

_SETS: Final[tuple[tuple[OutboundBody, ...], ...]] = (
    samples.OUTBOUND[2:3],
    samples.OUTBOUND,
    samples.OUTBOUND[2:] * 60,
)
"""One page of rows, overflow pages, and a tree with an interior page."""
_KINDS: Final = ("", "step", "turn_end", "message", "STEP", "step\x00", "x" * 32, "x" * 33)
_MOST: Final = MAX_BODY_BYTES + 1
_NUMBERS: Final = (0, -1, 2, 3, 2**31, 2**63 - 1, -(2**63))


@lru_cache(maxsize=1)
def sealed() -> tuple[bytes, ...]:
    """Segments of the contract, each the first of its chain."""
    return tuple(seal_segment(OUT_KEYS, chain(), bodies).data for bodies in _SETS)


@lru_cache(maxsize=1)
def images() -> tuple[bytes, ...]:
    """The same as plain pages."""
    return tuple(decrypt(OUT_KEYS.page, data) for data in sealed())


def sealed_bodies() -> tuple[tuple[OutboundBody, ...], ...]:
    """What those segments say."""
    return _SETS


@lru_cache(maxsize=1)
def foreign() -> tuple[bytes, ...]:
    """Sound segments of other places: session, epoch, key, direction, a later position."""
    bodies = _SETS[0]
    inward = derive(samples.KEY, Direction.IN)
    late = chain()
    seal_segment(OUT_KEYS, late, bodies)
    return (
        seal_segment(OUT_KEYS, chain(session="ses_b"), bodies).data,
        seal_segment(OUT_KEYS, chain(epoch=2), bodies).data,
        seal_segment(OUT_KEYS, late, bodies).data,
        seal_segment(inward, chain(), bodies).data,
        seal_segment(derive(bytes(32), Direction.OUT), chain(), bodies).data,
    )


def broken_rows(dice: Dice) -> bytes:
    """Plain pages of a segment whose rows were changed, sealed again or not."""
    bodies = [encode_body(body) for body in dice.pick(_SETS[:2])]
    kinds = [str(body.__struct_config__.tag) for body in dice.pick(_SETS[:2])]
    rows: list[Record] = []
    for body, kind in zip(bodies, kinds, strict=False):
        if dice.chance(2):
            body = msgpack.odd(dice, body) if dice.chance(2) else mutate(dice, body)  # noqa: PLW2901
        if dice.chance(12):
            kind = dice.pick(_KINDS)  # noqa: PLW2901
        rows.append(chain().seal(kind, body[:_MOST], after=rows[-1] if rows else None))
    if dice.chance(2):
        rows = _disorder(dice, rows)
    try:
        return decrypt(OUT_KEYS.page, write_records(OUT_KEYS.page, rows))
    except apsw.Error:  # the same number twice, or a kind with a NUL
        return dice.pick(images())


def _disorder(dice: Dice, rows: Sequence[Record]) -> list[Record]:
    changed = list(rows)
    at = dice.below(len(changed))
    row = changed[at]
    match dice.below(7):
        case 0:
            del changed[at]
        case 1:
            changed = [each._replace(seq=dice.pick(_NUMBERS) if each is row else each.seq)
                       for each in changed]  # fmt: skip
        case 2:
            other = dice.below(len(changed))
            changed[at], changed[other] = (
                changed[other]._replace(seq=row.seq),
                row._replace(seq=changed[other].seq),
            )
        case 3:
            changed[at] = row._replace(mac=mutate(dice, row.mac))
        case 4:
            changed[at] = row._replace(previous=mutate(dice, row.previous))
        case 5:
            changed[at] = row._replace(body=mutate(dice, row.body))
        case _:
            changed[at] = row._replace(kind=dice.pick(_KINDS))
    return changed
