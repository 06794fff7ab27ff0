"""The chain of audit records and its signed checkpoints: their bytes, hashes and signatures. Pure.

    chained: entry + place + hash of the record before -> record with its own hash
    sign:    head of the chain + key -> checkpoint
    line:    record or checkpoint -> the one line it is in an exported file; `parse` is the way back

One value has one form: keys sorted, no white space, fields without a value left out. What says the
same in other bytes is refused, so no two readers of one file can see two things in it.

Source: RFC 8785's idea of canonical JSON, for whole numbers and strings only; DSSE 1.0.2, "PAE";
RFC 8032 for Ed25519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import msgspec
from cryptography.exceptions import InvalidSignature

from ironclaw.domain.audit import AuditEntry, AuditRecord, By
from ironclaw.domain.audit_kinds import check
from ironclaw.domain.receipts import key_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT: Final = 1
GENESIS: Final = hashlib.sha256(b"ironclaw audit 1").hexdigest()
"""Stands for the record before the first one."""
CHECKPOINT_TYPE: Final = "application/vnd.ironclaw.audit-checkpoint+json"
MAX_LINE_BYTES: Final = 16 * 1024
"""One line of an exported file; a real one has about 400."""
_DOMAIN: Final = b"ironclaw audit record\0"
_HEX: Final = r"\A[0-9a-f]{64}\Z"

Hash = Annotated[str, msgspec.Meta(pattern=_HEX)]
Number = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class AuditSigner(Protocol):
    """Signs checkpoints with a key that nobody else has and that signs nothing else."""

    @property
    def key_id(self) -> str:
        """The name of its public key, as `receipts.key_id` makes it."""
        ...

    @property
    def public_key(self) -> Ed25519PublicKey:
        """What its signatures are verified with."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of `message`, 64 bytes."""
        ...


class _Closed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is in a file."""


class Checkpoint(_Closed, frozen=True):
    """A signed statement: at this time the chain's head was this record, with this hash."""

    index: Annotated[int, msgspec.Meta(ge=1)]
    """Grows by one from 1, without gaps, so that a missing checkpoint is seen."""
    number: Number
    """The record it is over."""
    hash: Hash
    at_ms: int
    keyid: str
    """The name of the key, as `receipts.key_id` makes it."""
    sig: str
    """Base64 of the Ed25519 signature, 64 bytes."""


class Header(_Closed, frozen=True):
    """The first line of an exported file. Not signed: what follows must agree with it."""

    format: int
    first: Number
    through: Number
    """The last record of the file; a checkpoint is over it."""


class _CheckpointLine(_Closed, frozen=True):
    checkpoint: Checkpoint


class _HeaderLine(_Closed, frozen=True):
    audit: Header


class RecordLine(AuditRecord, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A record as it is read back: nothing else may be in it."""


Item = AuditRecord | Checkpoint | Header

_encoder = msgspec.json.Encoder(order="sorted")
_records: Final = msgspec.json.Decoder(RecordLine)


def chained(
    entry: AuditEntry, by: By, *, number: int, at_ms: int, previous: str
) -> tuple[AuditRecord, bytes]:
    """Put an entry in its place.

    Returns:
        The record with its hash, and its line.

    Raises:
        ValueError: A field does not belong to the event or does not fit its pattern: our mistake.
    """
    check(entry)
    fields = {name: getattr(entry, name) for name in AuditEntry.__struct_fields__}
    bare = RecordLine(
        **fields, number=number, at_ms=at_ms, actor=by.actor, via=by.via, previous=previous
    )
    record = msgspec.structs.replace(bare, hash=_digest(_encoder.encode(bare)))
    line = _encoder.encode(record)
    _records.decode(line)  # the patterns: nothing goes in that could not be read back
    return record, line


def hash_of(record: AuditRecord) -> str:
    """The hash that a record must have."""
    return _digest(_encoder.encode(msgspec.structs.replace(record, hash="")))


def _digest(bare: bytes) -> str:
    return hashlib.sha256(_DOMAIN + bare).hexdigest()


def sign(signer: AuditSigner, *, index: int, number: int, head: str, at_ms: int) -> Checkpoint:
    """Make a checkpoint over a record that is known to be the chain's head."""
    draft = Checkpoint(
        index=index, number=number, hash=head, at_ms=at_ms, keyid=signer.key_id, sig=""
    )
    signature = signer.sign(signed_bytes(draft))
    return msgspec.structs.replace(draft, sig=base64.b64encode(signature).decode())


def signed_bytes(checkpoint: Checkpoint) -> bytes:
    """What the signature is over: DSSE's pre-authentication encoding of all other fields."""
    payload = _encoder.encode(
        {
            "at_ms": checkpoint.at_ms,
            "format": FORMAT,
            "hash": checkpoint.hash,
            "index": checkpoint.index,
            "number": checkpoint.number,
        }
    )
    kind = CHECKPOINT_TYPE.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def is_signed(checkpoint: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether the signature is this key's, in its one form."""
    try:
        signature = base64.b64decode(checkpoint.sig.encode(), validate=True)
        key.verify(signature, signed_bytes(checkpoint))
    except (ValueError, binascii.Error, InvalidSignature):
        return False
    # Spare bits at the end of base64 could differ and mean the same.
    return base64.b64encode(signature).decode() == checkpoint.sig


def is_keyed(checkpoint: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether it names this key."""
    return checkpoint.keyid == key_id(key)


def line_of(item: Item) -> bytes:
    """The line of an item in an exported file, without the line feed."""
    match item:
        case Checkpoint():
            return _encoder.encode(_CheckpointLine(checkpoint=item))
        case Header():
            return _encoder.encode(_HeaderLine(audit=item))
    return _encoder.encode(item)


def parse(line: bytes) -> Item | None:
    """The item of a line; None when it is none, or not in its one form.

    Trust:
        `line` is foreign; at most `MAX_LINE_BYTES` of it are looked at.
    """
    if len(line) > MAX_LINE_BYTES:
        return None
    try:
        item: Item
        if line.startswith(b'{"checkpoint":'):
            item = msgspec.json.decode(line, type=_CheckpointLine).checkpoint
        elif line.startswith(b'{"audit":'):
            item = msgspec.json.decode(line, type=_HeaderLine).audit
        else:
            item = _records.decode(line)
            check(item)
    except (ValueError, RecursionError):
        return None
    return item if line_of(item) == line else None
