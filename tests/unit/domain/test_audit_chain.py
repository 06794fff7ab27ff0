"""Bytes of records and checkpoints: one form each, and a signature over all of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.domain.audit import CORE, AuditRecord
from ironclaw.domain.audit_chain import (
    GENESIS,
    MAX_LINE_BYTES,
    Checkpoint,
    chained,
    hash_of,
    is_keyed,
    is_signed,
    line_of,
    parse,
    sign,
    signed_bytes,
)
from ironclaw.testing.audits import entry, exported
from ironclaw.testing.receipts import TestSigner

HEAD = "ab" * 32


def checkpoint() -> Checkpoint:
    return sign(TestSigner(), index=1, number=3, head=HEAD, at_ms=5)


def test_a_record_is_its_own_hash_and_its_line_is_read_back() -> None:
    record, line = chained(entry(1), CORE, number=1, at_ms=5, previous=GENESIS)

    assert hash_of(record) == record.hash
    assert parse(line) == record
    assert b" " not in line


@pytest.mark.parametrize("field", ["number", "at_ms", "actor", "previous", "agent", "slot", "code"])
def test_each_field_changes_the_hash(field: str) -> None:
    record, _ = chained(entry(1), CORE, number=1, at_ms=5, previous=GENESIS)
    other = 7 if field in {"number", "at_ms"} else "other"

    assert hash_of(msgspec.structs.replace(record, **{field: other})) != record.hash


@pytest.mark.parametrize("line", exported(4))
def test_every_line_of_a_file_is_read_back(line: bytes) -> None:
    item = parse(line)

    assert item is not None
    assert line_of(item) == line


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line + b" ",
        lambda line: b" " + line,
        lambda line: line.replace(b",", b", ", 1),
        lambda line: line.replace(b'{"', b'{"x":1,"', 1),
        lambda line: line.replace(b"agt_", b"\\u0061gt_"),
        lambda line: line[:-1],
        lambda line: line + b"\n",
        lambda _: b"x" * (MAX_LINE_BYTES + 1),
        lambda _: b"[" * 10_000,
        lambda _: b"\xff",
        lambda _: b"",
        lambda line: line.replace(b"launch.refused", b"launch.invented"),
        lambda line: line.replace(b'"code":"x"', b'"code":"what a person said"'),
    ],
)
def test_what_says_the_same_in_other_bytes_or_nothing_is_no_line(change: object) -> None:
    _, line = chained(entry(1), CORE, number=1, at_ms=5, previous=GENESIS)

    assert callable(change)
    assert parse(change(line)) is None


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_not_be_a_line(raw: bytes) -> None:
    assert parse(raw) is None or isinstance(parse(raw), AuditRecord)


def test_a_checkpoint_is_signed_by_its_key_only() -> None:
    one = checkpoint()

    assert is_signed(one, TestSigner().public_key)
    assert is_keyed(one, TestSigner().public_key)
    assert not is_signed(one, TestSigner(2).public_key)
    assert not is_keyed(one, TestSigner(2).public_key)
    assert signed_bytes(one).startswith(b"DSSEv1 46 application/vnd.ironclaw.audit-checkpoint")


@pytest.mark.parametrize(
    ("field", "value"),
    [("index", 2), ("number", 4), ("hash", "cd" * 32), ("at_ms", 6), ("sig", ""), ("sig", "AA==")],
)
def test_a_changed_checkpoint_is_not_signed(field: str, value: object) -> None:
    changed = msgspec.structs.replace(checkpoint(), **{field: value})

    assert not is_signed(changed, TestSigner().public_key)


def test_spare_bits_of_a_signature_may_not_differ() -> None:
    one = checkpoint()
    assert one.sig.endswith("==")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters[letters.index(one.sig[-3]) ^ 1]

    changed = msgspec.structs.replace(one, sig=one.sig[:-3] + last + "==")

    assert not is_signed(changed, TestSigner().public_key)
