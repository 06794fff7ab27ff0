"""Walks along a chain and says where it breaks: which record or checkpoint, and how. Pure.

    Walk.take(item, place) for each record and checkpoint in order -> Walk.end() -> Walked | Break

The first break is told: after it nothing is known. A gap is only told at the end, because the
record that is missing may yet turn up further on (then records were swapped, not cut).

Trust:
    Items are foreign: a file, or a store that somebody may have edited.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.domain.audit import AuditEvent, AuditRecord
from ironclaw.domain.audit_chain import (
    FORMAT,
    GENESIS,
    Checkpoint,
    Header,
    hash_of,
    is_keyed,
    is_signed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from ironclaw.domain.audit_chain import Item

MOST_UNSIGNED: Final = 4096
"""Records without a checkpoint between or after them; the core signs long before that."""


class Fault(enum.StrEnum):
    """How a chain can break."""

    EDITED = "edited"
    """The record's content is not what its hash says, or cannot be read."""
    UNLINKED = "unlinked"
    """The record does not name the hash of the one before: one of the two was replaced."""
    CUT = "cut"
    """Records are missing."""
    SWAPPED = "swapped"
    """Records are out of order, or there twice."""
    REWRITTEN = "rewritten"
    """The chain holds, but a checkpoint signed another head."""
    WRONG_KEY = "wrong_key"
    """A checkpoint is signed with another key."""
    BAD_SIGNATURE = "bad_signature"
    """A checkpoint was changed after it was signed."""
    CHECKPOINT_MISSING = "checkpoint_missing"
    """A checkpoint that must be there is not."""
    UNSIGNED = "unsigned"
    """Records at the end of a file that no checkpoint is over."""
    ROLLED_BACK = "rolled_back"
    """The chain ends before, or does not lead to, the newest checkpoint known."""


class Break(NamedTuple):
    """Where a chain breaks, and how."""

    fault: Fault
    number: int
    """The record it is at, or the first that cannot be trusted."""
    place: str
    """Where that is: a line of a file, a row of the store."""
    why: str


class Walked(NamedTuple):
    """A chain that holds."""

    first: int
    """Number of its first record; 0 when it has none."""
    last: int
    head: str
    """Hash of the last record."""
    signed_through: int
    """The last record that a checkpoint is over."""
    records: int
    checkpoints: int
    last_checkpoint: Checkpoint | None
    unseen: tuple[Checkpoint, ...] = ()
    """Checkpoints known from elsewhere that what follows this chain must have."""


class Walk:
    """One walk along one chain.

    Args:
        key: The public key that checkpoints must be signed with.
        known: Checkpoints known from elsewhere, which must be in the chain.
        after: The walk along the chain before it, when this one goes on from there.
    """

    def __init__(
        self,
        key: Ed25519PublicKey,
        *,
        known: Sequence[Checkpoint] = (),
        after: Walked | None = None,
    ) -> None:
        self._key = key
        before = () if after is None else after.unseen
        self._unseen = [*before, *known]
        self._first = 0
        self._last = 0 if after is None else after.last
        self._head = GENESIS if after is None else after.head
        self._goes_on = after is not None
        self._signed = self._last
        self._index = (
            0 if after is None or after.last_checkpoint is None else (after.last_checkpoint.index)
        )
        self._records = 0
        self._checkpoints = 0
        self._last_checkpoint = None if after is None else after.last_checkpoint
        self._header: Header | None = None
        self._rotated = 0
        self._broken: Break | None = None

    @property
    def broken(self) -> bool:
        """Whether nothing can change any more what the walk finds, but a gap's kind."""
        return self._broken is not None and self._broken.fault is not Fault.CUT

    def take(self, item: Item | None, place: str) -> None:
        """Look at the next item; None is one that could not be read."""
        if self._broken is not None:
            self._look_for_cut(item)
            return
        match item:
            case None:
                self._break(Fault.EDITED, self._last + 1, place, "It cannot be read.")
            case Header():
                self._begin(item, place)
            case Checkpoint():
                self._checkpoint(item, place)
            case AuditRecord():
                self._record(item, place)

    def end(self, *, whole: bool, place: str, goes_on: bool = False) -> Walked | Break:
        """What was found.

        Args:
            whole: The last record must be signed, as in an exported file.
            place: What was walked along, in words.
            goes_on: Another part of the chain follows: what is known may be in that one.
        """
        if self._broken is None:
            self._end(place, whole=whole, goes_on=goes_on)
        if self._broken is not None:
            return self._broken
        return Walked(
            first=self._first,
            last=self._last,
            head=self._head,
            signed_through=self._signed,
            records=self._records,
            checkpoints=self._checkpoints,
            last_checkpoint=self._last_checkpoint,
            unseen=tuple(self._unseen),
        )

    # --- items ------------------------------------------------------------------------------------

    def _begin(self, header: Header, place: str) -> None:
        if self._header is not None or self._records or self._checkpoints:
            self._break(Fault.EDITED, self._last + 1, place, "A header in the middle.")
        elif header.format != FORMAT or header.first < 1:
            self._break(Fault.EDITED, 0, place, f"The format is not {FORMAT}.")
        self._header = header

    def _record(self, record: AuditRecord, place: str) -> None:
        number = record.number
        if not self._records and not self._goes_on:
            self._start(record)
        expected = self._last + 1
        if number != expected:
            fault = Fault.CUT if number > expected else Fault.SWAPPED
            gone = f"{expected}" if number == expected + 1 else f"{expected} to {number - 1}"
            why = (
                f"Record {gone} is missing before record {number}."
                if fault is Fault.CUT
                else f"Record {number} is where record {expected} belongs."
            )
            self._break(fault, expected, place, why)
        elif hash_of(record) != record.hash:
            self._break(Fault.EDITED, number, place, "Its content is not what its hash says.")
        elif record.previous != self._head:
            why = f"It does not follow record {number - 1}: one of the two was replaced."
            self._break(Fault.UNLINKED, number, place, why)
        elif number - self._signed > MOST_UNSIGNED:
            why = f"No checkpoint is over the {MOST_UNSIGNED} records before."
            self._break(Fault.CHECKPOINT_MISSING, number, place, why)
        else:
            self._first = self._first or number
            self._last, self._head = number, record.hash
            self._records += 1
            if record.event is AuditEvent.AUDIT_ROTATED:
                self._rotated = max(self._rotated, record.through or 0)

    def _start(self, record: AuditRecord) -> None:
        """Begin in the middle of a chain: what is before is not here."""
        base = self._last_checkpoint
        if base is not None and base.number == record.number - 1:
            return
        if self._header is not None and record.number == self._header.first > 1:
            self._last, self._head = record.number - 1, record.previous
            self._signed = self._last

    def _checkpoint(self, one: Checkpoint, place: str) -> None:
        if not self._records and one == self._last_checkpoint:
            return  # the base, which the chain before ended with
        if not is_keyed(one, self._key):
            why = f"Checkpoint {one.index} is signed with another key."
            self._break(Fault.WRONG_KEY, one.number, place, why)
        elif not is_signed(one, self._key):
            why = f"Checkpoint {one.index} is not what was signed."
            self._break(Fault.BAD_SIGNATURE, one.number, place, why)
        elif not self._records and not self._goes_on:
            self._base(one, place)
        elif one.number != self._last:
            fault = Fault.CUT if one.number > self._last else Fault.SWAPPED
            why = f"Checkpoint {one.index} is over record {one.number}, after record {self._last}."
            self._break(fault, self._last + 1, place, why)
        elif one.hash != self._head:
            why = (
                f"Checkpoint {one.index} signed another record {one.number}: the chain was "
                f"rewritten after record {self._signed}."
            )
            self._break(Fault.REWRITTEN, self._signed + 1, place, why)
        elif self._last_checkpoint is not None and one.index != self._index + 1:
            why = f"Checkpoint {self._index + 1} is missing before checkpoint {one.index}."
            self._break(Fault.CHECKPOINT_MISSING, one.number, place, why)
        elif not self._checkpoints and self._first == 1 and one.index != 1:
            why = f"Checkpoint 1 is missing before checkpoint {one.index}."
            self._break(Fault.CHECKPOINT_MISSING, one.number, place, why)
        else:
            self._signed = one.number
            self._seen(one)

    def _base(self, one: Checkpoint, place: str) -> None:
        """Begin with a checkpoint: what is before it was rotated away, or is not in this file."""
        if self._header is not None and one.number >= self._header.first:
            why = f"Record {self._header.first} is missing before checkpoint {one.index}."
            self._break(Fault.CUT, self._last + 1, place, why)
            return
        self._last, self._head, self._signed = one.number, one.hash, one.number
        # What is known from before it can be looked for in the exported files only.
        self._unseen = [known for known in self._unseen if known.index >= one.index]
        self._seen(one)

    def _seen(self, one: Checkpoint) -> None:
        self._checkpoints += 1
        self._index = one.index
        self._last_checkpoint = one
        place = (one.index, one.number, one.hash)
        self._unseen = [
            known for known in self._unseen if (known.index, known.number, known.hash) != place
        ]

    # --- the end ----------------------------------------------------------------------------------

    def _end(self, place: str, *, whole: bool, goes_on: bool) -> None:
        base = self._first - 1
        header = self._header
        if self._unseen and not goes_on:
            known = self._unseen[0]
            why = (
                f"Checkpoint {known.index}, known from elsewhere, is over record {known.number}; "
                f"this chain ends at record {self._last} and does not have it."
            )
            self._break(Fault.ROLLED_BACK, self._signed + 1, place, why)
        elif header is not None and (header.first, header.through) != (self._first, self._last):
            why = f"It should have records {header.first} to {header.through}."
            self._break(Fault.CUT, self._last + 1, place, why)
        elif whole and self._last != self._signed:
            why = f"No checkpoint is over record {self._signed + 1} and what follows."
            self._break(Fault.UNSIGNED, self._signed + 1, place, why)
        elif header is None and not self._goes_on and base > 0 and self._rotated != base:
            why = f"Records 1 to {base} are missing and no rotation says so."
            self._break(Fault.CUT, 1, place, why)

    def _look_for_cut(self, item: Item | None) -> None:
        found = self._broken
        if found is None or found.fault is not Fault.CUT or not isinstance(item, AuditRecord):
            return
        if item.number == found.number:
            why = f"Record {item.number} is behind its place."
            self._broken = found._replace(fault=Fault.SWAPPED, why=why)

    def _break(self, fault: Fault, number: int, place: str, why: str) -> None:
        if self._broken is None:
            self._broken = Break(fault, number, place, why)
