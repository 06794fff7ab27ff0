"""Signed receipts: in which bytes a statement is signed, and how anybody checks it. Pure.

    seal: Statement -> canonical payload -> DSSE envelope -> bytes   (the core, at a claim)
    verify: bytes + public key -> Statement, or `RECEIPT_INVALID`    (anybody, with no house)

An envelope is exactly the bytes that `seal` makes: what says the same in other bytes is refused, so
no two readers of one file can see two things in it.

Source: DSSE 1.0.2, "Protocol" and "Envelope"; RFC 8032 for Ed25519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Final, NoReturn, Protocol, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError, UserError
from ironclaw.domain.statement import (
    CGROUP_CHECKS,
    FORMAT,
    Envelope,
    Sealed,
    Signature,
    SignedReceipt,
    Statement,
)

PAYLOAD_TYPE: Final = "application/vnd.ironclaw.receipt+json"
KEPT: Final = 10
"""Receipts kept of one session, the newest ones, in the store and as files."""
MAX_BYTES: Final = 64 * 1024
"""One envelope; a real one has about 6 KiB."""
MAX_KEY_BYTES: Final = 4096
"""A public key file; a real one has 113 bytes."""

_T = TypeVar("_T", Statement, Envelope)


class Signer(Protocol):
    """Signs with a key that nobody else has."""

    @property
    def key_id(self) -> str:
        """The name of its public key, as `key_id` makes it."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of `message`, 64 bytes."""
        ...


def seal(statement: Statement, signer: Signer) -> Sealed:
    """Sign a statement; the envelope ends with a line feed, as files do."""
    payload = _canonical(statement)
    envelope = Envelope(
        payload=base64.b64encode(payload).decode(),
        payload_type=PAYLOAD_TYPE,
        signatures=(
            Signature(
                keyid=signer.key_id,
                sig=base64.b64encode(signer.sign(signed_bytes(payload))).decode(),
            ),
        ),
    )
    return Sealed(statement, _canonical(envelope) + b"\n")


def signed_bytes(payload: bytes) -> bytes:
    """What the signature is over: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (
        len(PAYLOAD_TYPE),
        PAYLOAD_TYPE.encode(),
        len(payload),
        payload,
    )


def verify(raw: bytes, key: Ed25519PublicKey) -> Statement:
    """Check an envelope and return what it proves.

    In this order: (1) size, (2) a DSSE envelope and nothing else, (3) in its one form, (4) our
    payload type, (5) the key named is the key given, (6) the signature, (7) the payload is of this
    format and nothing else, (8) in its one form, (9) every check held,
    and only those that a host may lack are said not to be enforced.

    Raises:
        PolicyError: `RECEIPT_INVALID`; the message says which of these failed.

    Trust:
        `raw` is foreign. Nothing of the payload is parsed before its signature was verified.
    """
    if len(raw) > MAX_BYTES:  # (1)
        _refuse(f"It has more than {MAX_BYTES} bytes.")
    body = raw.removesuffix(b"\n")
    envelope = _decoded(body, Envelope, "It is not a DSSE envelope.")  # (2)
    if _canonical(envelope) + b"\n" != raw:  # (3)
        _refuse("Its bytes are not those that were written.")
    if envelope.payload_type != PAYLOAD_TYPE:  # (4)
        _refuse("Its payload type is not that of a receipt.")
    (signature,) = envelope.signatures
    if signature.keyid != key_id(key):  # (5)
        _refuse("It was signed with another key.")
    payload = _unbased(envelope.payload)
    try:
        key.verify(_unbased(signature.sig), signed_bytes(payload))  # (6)
    except InvalidSignature:
        _refuse("Its signature is wrong: somebody changed it, or another key signed it.")
    statement = _decoded(payload, Statement, f"It is not of format {FORMAT}.")  # (7)
    if _canonical(statement) != payload:  # (8)
        _refuse("Its payload is not in canonical form.")
    failed = sorted(name for name, held in statement.checks.items() if not held)
    if failed or not statement.checks:  # (9)
        _refuse(f"Its launch was not proven: {', '.join(failed) or 'it names no check'}.")
    absent = tuple(name for name in CGROUP_CHECKS if name not in statement.checks)
    if statement.not_enforced != absent:
        # A check that is in neither list could hide, and one in both would say two things.
        _refuse("What it says was checked and what was not enforced do not fit together.")
    return statement


def shown(envelope: bytes) -> SignedReceipt:
    """Return what an envelope of our own store says.

    Raises:
        PolicyError: `RECEIPT_INVALID`: it is damaged.

    Trust:
        The signature is not looked at: the store is ours. Whoever does not trust it calls `verify`.
    """
    outer = _decoded(envelope, Envelope, "It is not a DSSE envelope.")
    inner = _decoded(_unbased(outer.payload), Statement, f"It is not of format {FORMAT}.")
    return SignedReceipt(
        slot=inner.slot,
        at_ms=_ms(inner.launched_at),
        runtime=inner.runtime.name,
        runtime_version=inner.runtime.version,
        platform=inner.runtime.platform,
        network=inner.runtime.network,
        uid=inner.inside.uid,
        rootless=inner.runtime.rootless,
        image_digest=inner.image_digest,
        spec_digest=inner.spec_digest,
        inside=inner.inside,
        outside=inner.outside,
        weaker=inner.weaker,
        flags=inner.runtime.flags,
        checks=inner.checks,
        not_enforced=inner.not_enforced,
        airlock_held=inner.airlock.held,
        airlock_missing=inner.airlock.missing,
        session=inner.session,
        agent=inner.agent,
        epoch=inner.epoch,
        bound_ms=_ms(inner.bound_at),
        verdict=inner.verdict,
        envelope=outer,
    )


def envelope_bytes(envelope: Envelope) -> bytes:
    """The bytes of the file that an envelope belongs in."""
    return _canonical(envelope) + b"\n"


def key_id(key: Ed25519PublicKey) -> str:
    """The name of a public key: the digest of its DER form."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def read_public_key(pem: bytes) -> Ed25519PublicKey:
    """The key of a PEM file. Raises UserError (`INVALID`)."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(
            Code.INVALID,
            "The key is not an Ed25519 public key in PEM form.",
            hint="Give the file `receipt-key.pub` of the house's state directory.",
        )
    return key


def _canonical(value: Statement | Envelope) -> bytes:
    # Keys sorted, no space, UTF-8, whole numbers only: one value has one form.
    return msgspec.json.encode(value, order="sorted")


def _decoded(raw: bytes, kind: type[_T], otherwise: str) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, RecursionError):
        _refuse(otherwise)


def _unbased(text: str) -> bytes:
    try:
        found = base64.b64decode(text.encode(), validate=True)
    except (ValueError, binascii.Error):
        _refuse("It has something that is not base64.")
    # Spare bits at the end could differ and mean the same.
    if base64.b64encode(found).decode() != text:
        _refuse("Its bytes are not those that were written.")
    return found


def _ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _refuse("It has a time that does not exist.")
    return int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000


def _refuse(why: str) -> NoReturn:
    raise PolicyError(
        Code.RECEIPT_INVALID,
        f"The receipt proves nothing. {why}",
        hint="Get it again with `ironclaw session receipt ID --save FILE`, and the public key from "
        "the house that made it.",
    )
