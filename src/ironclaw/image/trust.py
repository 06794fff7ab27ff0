"""Whether an image may be used at all, decided before anything of it is unpacked.

An image is trusted when its manifest digest is pinned, or when a signature by a trusted key names
its manifest digest and its rootfs digest. Without a policy file nothing is trusted.

`images/policy.json`: pinned digests and public keys; an image built here is pinned as it is built.
`images/signatures/<hex>.json`: the detached signature that came with an image.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError
from ironclaw.image import oci
from ironclaw.image.layout import write_durable

if TYPE_CHECKING:
    from pathlib import Path

MAX_SIGNATURE_BYTES: Final = 16 * 1024
_CONTEXT: Final = b"ironclaw image signature 1\n"

_Base64 = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9+/]+={0,2}\Z", max_length=128)]


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a signature says."""

    manifest: oci.Digest
    rootfs: oci.Digest
    """ChainID of the layers as plain tars: what will be unpacked."""
    version: Annotated[str, msgspec.Meta(pattern=r"\A[0-9A-Za-z.+\-]{1,64}\Z")]


class SignatureFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A detached signature."""

    statement: Statement
    key: _Base64
    """The public key that made it, raw, in base64."""
    signature: _Base64


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who and what is trusted."""

    pinned: tuple[oci.Digest, ...] = ()
    keys: tuple[_Base64, ...] = ()
    """Raw ed25519 public keys in base64."""


def signed_bytes(statement: Statement) -> bytes:
    """Return the one encoding of a statement that is signed."""
    return _CONTEXT + msgspec.json.encode(statement, order="sorted")


def sign(statement: Statement, key: Ed25519PrivateKey) -> bytes:
    """Make a detached signature file; for the release pipeline and the tests."""
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    signature = base64.b64encode(key.sign(signed_bytes(statement))).decode()
    return msgspec.json.encode(SignatureFile(statement, public, signature), order="sorted")


def parse_signature(raw: bytes) -> SignatureFile:
    """Parse a detached signature. Raises PolicyError (`IMAGE_UNTRUSTED`).

    Trust:
        `raw` is hostile; nothing in it counts before `check` has verified it.
    """
    if len(raw) > MAX_SIGNATURE_BYTES:
        raise _refused("The signature file is too large.")
    try:
        return msgspec.json.decode(raw, type=SignatureFile)
    except (ValueError, RecursionError) as error:
        raise _refused("The signature file is not well formed.", detail=str(error)) from error


class TrustStore:
    """The policy and the signatures of one state directory."""

    def __init__(self, root: Path) -> None:
        self._policy = root / "policy.json"
        self._signatures = root / "signatures"

    def policy(self) -> Policy | None:
        """Read the policy; None when there is none.

        Raises:
            HostError: `IMAGE_BROKEN`, the file is there and is not a policy.
        """
        try:
            raw = self._policy.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(raw, type=Policy)
        except (ValueError, RecursionError) as error:
            raise HostError(
                Code.IMAGE_BROKEN,
                "The image trust policy is not well formed.",
                hint=f"Mend or remove {self._policy}.",
                detail=str(error),
            ) from error

    def pin(self, digest: str) -> None:
        """Trust one manifest digest."""
        policy = self.policy() or Policy()
        if digest not in policy.pinned:
            self._write(msgspec.structs.replace(policy, pinned=(*policy.pinned, digest)))

    def trust_key(self, public_key: bytes) -> None:
        """Trust whatever this raw ed25519 key signs."""
        Ed25519PublicKey.from_public_bytes(public_key)
        text = base64.b64encode(public_key).decode()
        policy = self.policy() or Policy()
        if text not in policy.keys:
            self._write(msgspec.structs.replace(policy, keys=(*policy.keys, text)))

    def keep_signature(self, raw: bytes) -> None:
        """Keep a detached signature with the image it names. It counts only if it verifies."""
        signature = parse_signature(raw)
        self._signatures.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durable(self._signature_path(signature.statement.manifest), raw)

    def check(self, manifest_digest: str, diff_ids: tuple[str, ...]) -> str:
        """Decide. Returns why it is trusted: `pinned` or `signed`.

        (1) There is a policy. (2) The digest is pinned, or (3) there is a signature, (4) by a
        trusted key, (5) that verifies, (6) over this manifest and (7) these layers.

        Raises:
            PolicyError: `IMAGE_UNTRUSTED`, with the step that failed.
        """
        policy = self.policy()
        if policy is None:  # (1)
            raise _refused("There is no image trust policy, so no image is trusted.")
        if manifest_digest in policy.pinned:  # (2)
            return "pinned"
        try:
            raw = self._signature_path(manifest_digest).read_bytes()[: MAX_SIGNATURE_BYTES + 1]
        except FileNotFoundError as error:  # (3)
            raise _refused("The image is neither pinned nor signed.") from error
        found = parse_signature(raw)
        if found.key not in policy.keys:  # (4)
            raise _refused("The image is signed by a key that is not trusted.")
        _verify(found)  # (5)
        if found.statement.manifest != manifest_digest:  # (6)
            raise _refused("The signature is for another image.")
        if found.statement.rootfs != oci.rootfs_digest(diff_ids):  # (7)
            raise _refused("The signature is for other layers.")
        return "signed"

    def _signature_path(self, digest: str) -> Path:
        return self._signatures / f"{digest.removeprefix('sha256:')}.json"

    def _write(self, policy: Policy) -> None:
        self._policy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durable(self._policy, msgspec.json.encode(policy, order="sorted"))


def _verify(found: SignatureFile) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(found.key, validate=True))
        key.verify(base64.b64decode(found.signature, validate=True), signed_bytes(found.statement))
    except (InvalidSignature, ValueError) as error:
        raise _refused("The image's signature does not verify.") from error


def _refused(message: str, *, detail: str = "") -> PolicyError:
    return PolicyError(
        Code.IMAGE_UNTRUSTED,
        message,
        hint="Pin the digest (`--pin sha256:…`), add the signer's key, or build the image here.",
        detail=detail,
    )
