"""Any edit, cut, swap or forgery of a chain is found, and found where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.audit import CORE, AuditEntry, AuditEvent, AuditRecord
from ironclaw.domain.audit_chain import (
    FORMAT,
    GENESIS,
    Checkpoint,
    Header,
    chained,
    line_of,
    parse,
    sign,
)
from ironclaw.domain.audit_check import MOST_UNSIGNED, Break, Fault, Walk, Walked
from ironclaw.testing.audits import entry, exported
from ironclaw.testing.receipts import TestSigner

if TYPE_CHECKING:
    from collections.abc import Sequence

RECORDS = 20
LINES = exported(RECORDS)
SIGNER = TestSigner()
record_lines = st.sampled_from(
    [number for number, line in enumerate(LINES) if isinstance(parse(line), AuditRecord)]
)
checkpoint_lines = [n for n, line in enumerate(LINES) if isinstance(parse(line), Checkpoint)]


def walk(
    lines: list[bytes],
    *,
    known: Sequence[Checkpoint] = (),
    after: Walked | None = None,
    whole: bool = True,
    goes_on: bool = False,
) -> Walked | Break:
    walk = Walk(SIGNER.public_key, known=known, after=after)
    for number, line in enumerate(lines):
        walk.take(parse(line), f"line {number}")
    return walk.end(whole=whole, place="the end", goes_on=goes_on)


def broken(lines: list[bytes], **options: object) -> Break:
    found = walk(lines, **options)  # type: ignore[arg-type]
    assert isinstance(found, Break)
    return found


def number_of(line: bytes) -> int:
    item = parse(line)
    assert isinstance(item, AuditRecord | Checkpoint)
    return item.number


def last_of(lines: list[bytes]) -> Checkpoint:
    item = [one for line in lines if isinstance(one := parse(line), Checkpoint)][-1]
    assert isinstance(item, Checkpoint)
    return item


def test_a_chain_that_nobody_touched_holds() -> None:
    found = walk(LINES)

    assert isinstance(found, Walked)
    assert (found.first, found.last, found.signed_through, found.records) == (1, 20, 20, 20)
    assert found.checkpoints == len(checkpoint_lines) == 7


@given(record_lines, st.integers(0, 10_000), st.integers(1, 255))
def test_any_edited_byte_of_a_record_is_found_at_its_line(line: int, at: int, bits: int) -> None:
    lines = list(LINES)
    raw = bytearray(lines[line])
    raw[at % len(raw)] ^= bits
    lines[line] = bytes(raw)

    found = broken(lines)

    assert found.place == f"line {line}"
    assert found.number == number_of(LINES[line])


@given(st.sampled_from(checkpoint_lines), st.integers(0, 10_000), st.integers(1, 255))
def test_any_edited_byte_of_a_checkpoint_is_found_at_its_line(
    line: int, at: int, bits: int
) -> None:
    lines = list(LINES)
    raw = bytearray(lines[line])
    raw[at % len(raw)] ^= bits
    lines[line] = bytes(raw)

    assert broken(lines).place == f"line {line}"


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_edited_byte_of_the_header_is_found(at: int, bits: int) -> None:
    raw = bytearray(LINES[0])
    raw[at % len(raw)] ^= bits

    assert broken([bytes(raw), *LINES[1:]])


@given(st.data())
def test_any_cut_is_found_at_the_first_record_that_is_missing(data: st.DataObject) -> None:
    first = data.draw(record_lines)
    last = data.draw(st.integers(first, len(LINES) - 1))
    missing = number_of(LINES[first])

    found = broken([*LINES[:first], *LINES[last + 1 :]])

    assert found.fault in {Fault.CUT, Fault.UNSIGNED, Fault.CHECKPOINT_MISSING}
    assert found.number <= missing <= found.number + 3
    if found.fault is Fault.CUT:
        assert found.number == missing


@given(record_lines, record_lines)
def test_any_two_swapped_records_are_found_as_such(one: int, two: int) -> None:
    if one == two:
        return
    one, two = sorted((one, two))
    lines = list(LINES)
    lines[one], lines[two] = lines[two], lines[one]

    found = broken(lines)

    assert found.fault is Fault.SWAPPED
    assert found.number == number_of(LINES[one])
    assert found.place == f"line {one}"


@given(record_lines)
def test_a_record_there_twice_is_found(line: int) -> None:
    found = broken([*LINES[: line + 1], LINES[line], *LINES[line + 1 :]])

    assert found.fault is Fault.SWAPPED
    assert found.place == f"line {line + 1}"


@given(record_lines)
def test_a_record_replaced_by_a_right_looking_one_is_found(line: int) -> None:
    """With its hash made anew: the next record, or the checkpoint over it, does not agree."""
    old = parse(LINES[line])
    assert isinstance(old, AuditRecord)
    _, forged = chained(entry(999), CORE, number=old.number, at_ms=old.at_ms, previous=old.previous)

    found = broken([*LINES[:line], forged, *LINES[line + 1 :]])

    assert found.fault in {Fault.UNLINKED, Fault.REWRITTEN}
    assert old.number - 3 < found.number <= old.number + 1


@given(st.integers(2, RECORDS))
def test_a_chain_rewritten_without_the_key_is_found(fork_at: int) -> None:
    """Every hash is right; the old checkpoints are put into the new chain."""
    forged = exported(RECORDS, fork_at=fork_at)
    for line in checkpoint_lines:
        forged[line] = LINES[line]

    found = broken(forged)

    assert found.fault is Fault.REWRITTEN
    assert found.number <= fork_at <= found.number + 2


def test_a_chain_rewritten_with_another_key_is_found() -> None:
    found = broken(exported(RECORDS, fork_at=9, signer=TestSigner(2)))

    assert (found.fault, found.place) == (Fault.WRONG_KEY, f"line {checkpoint_lines[0]}")


def test_what_was_appended_with_another_key_is_found() -> None:
    more = exported(RECORDS + 3, signer=TestSigner(2))
    lines = [more[0], *LINES[1:-1], LINES[-1], *more[-4:]]
    told = parse(lines[-1])
    assert isinstance(told, Checkpoint)

    found = broken(lines)

    assert found.fault is Fault.WRONG_KEY


def test_what_was_appended_without_a_key_is_found_at_the_end_of_a_file() -> None:
    more = exported(RECORDS + 2)
    appended = [line for line in more if isinstance(parse(line), AuditRecord)][-2:]

    found = broken([more[0], *LINES[1:], *appended])

    assert (found.fault, found.number) == (Fault.UNSIGNED, RECORDS + 1)


def test_a_store_may_have_records_that_are_not_signed_yet_but_not_many() -> None:
    lines = [line for line in exported(10)[1:] if isinstance(parse(line), AuditRecord)]
    found = walk(lines, whole=False)
    assert isinstance(found, Walked)
    assert (found.last, found.signed_through) == (10, 0)

    many = exported(MOST_UNSIGNED + 1, every=MOST_UNSIGNED + 1)[1:-1]

    assert broken(many, whole=False).fault is Fault.CHECKPOINT_MISSING


@given(st.sampled_from(checkpoint_lines[:-1]))
def test_a_missing_checkpoint_is_found(line: int) -> None:
    found = broken([*LINES[:line], *LINES[line + 1 :]])

    assert found.fault is Fault.CHECKPOINT_MISSING


@given(st.integers(0, len(checkpoint_lines) - 2))
def test_a_chain_put_back_to_an_older_state_is_found_by_the_newest_checkpoint(kept: int) -> None:
    newest = parse(LINES[checkpoint_lines[-1]])
    assert isinstance(newest, Checkpoint)
    older = LINES[1 : checkpoint_lines[kept] + 1]

    found = broken(older, known=[newest], whole=False)

    assert found.fault is Fault.ROLLED_BACK
    assert found.number == number_of(older[-1]) + 1
    assert isinstance(walk(LINES, known=[newest]), Walked)


def test_a_chain_that_went_another_way_after_it_was_put_back_is_found() -> None:
    newest = parse(LINES[checkpoint_lines[-1]])
    assert isinstance(newest, Checkpoint)

    found = broken(exported(RECORDS, fork_at=18), known=[newest])

    assert found.fault is Fault.ROLLED_BACK


def test_of_two_known_checkpoints_of_one_index_both_must_be_there() -> None:
    """One kept before the store was put back, one after: the second hides nothing."""
    mine, other = last_of(LINES), last_of(exported(RECORDS, fork_at=18))
    assert mine.index == other.index

    for known in ([mine, other], [other, mine]):
        assert broken(LINES, known=known).fault is Fault.ROLLED_BACK


def test_a_file_goes_on_from_the_one_before() -> None:
    base = checkpoint_lines[2]
    through = number_of(LINES[base])
    one = [line_of(Header(format=FORMAT, first=1, through=through)), *LINES[1 : base + 1]]
    two = [
        line_of(Header(format=FORMAT, first=through + 1, through=RECORDS)),
        LINES[base],
        *LINES[base + 1 :],
    ]

    before = walk(one, known=[last_of(LINES)], goes_on=True)
    assert isinstance(before, Walked)
    after = walk(two, after=before)

    assert isinstance(after, Walked)
    assert (after.first, after.last) == (through + 1, RECORDS)
    assert isinstance(walk(two), Walked)
    assert broken(one, known=[last_of(LINES)]).fault is Fault.ROLLED_BACK
    assert isinstance(walk(two, known=[last_of(one[:5])]), Walked)  # from before this file
    assert broken(two, known=[last_of(exported(RECORDS, fork_at=18))]).fault is Fault.ROLLED_BACK
    assert broken([two[0], *two[3:]], after=before).number == through + 1


def rotated(through: int, *, says: int) -> list[bytes]:
    """A store from which records up to `through` were removed."""
    lines: list[bytes] = []
    previous = GENESIS
    for number in range(1, 8):
        told = entry(number)
        if number == 7:
            digest = "sha256:" + "0" * 64
            told = AuditEntry(event=AuditEvent.AUDIT_ROTATED, through=says, digest=digest)
        record, line = chained(told, CORE, number=number, at_ms=1, previous=previous)
        previous = record.hash
        if number > through:
            lines.append(line)
        if number >= through:
            lines.append(line_of(sign(SIGNER, index=number, number=number, head=previous, at_ms=1)))
    return lines


def test_a_front_that_was_rotated_away_is_no_cut_but_any_other_is() -> None:
    found = walk(rotated(4, says=4), whole=False)
    assert isinstance(found, Walked)
    assert (found.first, found.last) == (5, 7)

    lied = broken(rotated(4, says=3), whole=False)
    without_base = broken(rotated(4, says=4)[1:], whole=False)

    assert (lied.fault, lied.number) == (Fault.CUT, 1)
    assert (without_base.fault, without_base.number) == (Fault.CUT, 1)


@pytest.mark.parametrize("at", [3, 10])
def test_a_header_in_the_middle_is_found(at: int) -> None:
    found = broken([*LINES[:at], LINES[0], *LINES[at:]])

    assert found.place == f"line {at}"


def test_a_file_of_another_format_is_refused() -> None:
    header = parse(LINES[0])
    assert isinstance(header, Header)
    other = line_of(msgspec.structs.replace(header, format=2))

    assert broken([other, *LINES[1:]]).fault is Fault.EDITED


def test_an_empty_audit_holds() -> None:
    found = walk([], whole=False)

    assert isinstance(found, Walked)
    assert (found.records, found.last) == (0, 0)
