"""The image store: an OCI image layout below `images/` of the state directory.

Blobs are named by their digest and written under a temporary name, hashed on the way, fsynced and
renamed: a blob that is there is whole. Readers hash again all the same, because disks and people
change files.

Source: OCI Image Format Specification 1.1, image-layout.md.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, UserError
from ironclaw.image import oci

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MARKER: Final = b'{"imageLayoutVersion": "1.0.0"}'
_CHUNK: Final = 1024 * 1024
REF_NAME: Final = "org.opencontainers.image.ref.name"
DEFAULT_REF: Final = "default"
"""The image that new boxes are started from."""


class BlobWriter:
    """Takes the bytes of one blob, counts and hashes them."""

    def __init__(self, stream: IO[bytes], *, limit: int) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._limit = limit
        self.size = 0

    def write(self, data: bytes) -> None:
        """Add bytes. Raises HostError (`IMAGE_BROKEN`) over the limit."""
        self.size += len(data)
        if self.size > self._limit:
            raise oci.broken(f"A blob is larger than the {self._limit} bytes it may have.")
        self._hash.update(data)
        self._stream.write(data)

    @property
    def digest(self) -> str:
        """The digest of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"


class ImageStore:
    """The layout of one state directory. All methods do disk work: call them in a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = root / "blobs" / "sha256"

    def prepare(self) -> None:
        """Make the directories and the marker if they are not there."""
        self.blobs.mkdir(parents=True, exist_ok=True, mode=0o700)
        marker = self.root / "oci-layout"
        if not marker.exists():
            write_durable(marker, _MARKER)

    def path(self, digest: str) -> Path:
        """Where the blob of that digest lies.

        Raises:
            UserError: `INVALID`, it is not a digest.
        """
        name = digest.removeprefix("sha256:")
        if name == digest or len(name) != 64 or set(name) - set("0123456789abcdef"):  # noqa: PLR2004  (hex of SHA-256)
            raise UserError(
                Code.INVALID,
                f"{digest[:100]!r} is not a digest.",
                hint="A digest is `sha256:` and 64 hex digits; `ironclaw image ls` shows them.",
            )
        return self.blobs / name

    def has(self, digest: str) -> bool:
        """Tell whether the blob is there; says nothing of its content."""
        return self.path(digest).is_file()

    @contextmanager
    def writer(self, *, digest: str | None, limit: int) -> Iterator[BlobWriter]:
        """Write a blob; on leaving it is checked, fsynced and put in place.

        Args:
            digest: What it must be; None takes whatever digest it turns out to have.
            limit: Bytes it may have.

        Raises:
            HostError: `IMAGE_BROKEN`, too large or of another digest; nothing is kept.
        """
        self.prepare()
        temporary = self.blobs / f".{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as stream:
                writer = BlobWriter(stream, limit=limit)
                yield writer
                if digest is not None and writer.digest != digest:
                    raise oci.broken(
                        "A blob does not have the digest it was asked for by.",
                        detail=f"wanted {digest}, got {writer.digest}",
                    )
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(self.path(writer.digest))
            sync_directory(self.blobs)
        finally:
            temporary.unlink(missing_ok=True)

    def put(self, data: bytes) -> str:
        """Store small content; return its digest."""
        with self.writer(digest=None, limit=max(len(data), 1)) as writer:
            writer.write(data)
        return writer.digest

    def read_document(self, digest: str) -> bytes:
        """Read and check a manifest, index or config.

        Raises:
            HostError: `IMAGE_MISSING` or `IMAGE_BROKEN`.
        """
        path = self.path(digest)
        try:
            with path.open("rb") as stream:
                raw = stream.read(oci.MAX_DOCUMENT_BYTES + 1)
        except FileNotFoundError as error:
            raise missing(digest) from error
        if len(raw) > oci.MAX_DOCUMENT_BYTES or oci.digest_of(raw) != digest:
            raise oci.broken("A stored image document does not match its digest.", detail=digest)
        return raw

    def check_blob(self, descriptor: oci.Descriptor) -> None:
        """Hash a stored blob again. Raises HostError (`IMAGE_MISSING`, `IMAGE_BROKEN`)."""
        hasher = hashlib.sha256()
        try:
            with self.path(descriptor.digest).open("rb") as stream:
                size = os.fstat(stream.fileno()).st_size
                while chunk := stream.read(_CHUNK):
                    hasher.update(chunk)
        except FileNotFoundError as error:
            raise missing(descriptor.digest) from error
        if size != descriptor.size or f"sha256:{hasher.hexdigest()}" != descriptor.digest:
            raise oci.broken("A stored layer does not match its digest.", detail=descriptor.digest)

    def remove_blobs(self, *, keep: set[str]) -> None:
        """Remove every blob but those of `keep`, and what unfinished writers left."""
        if not self.blobs.is_dir():
            return
        for path in self.blobs.iterdir():
            if f"sha256:{path.name}" not in keep:
                path.unlink(missing_ok=True)

    def index(self) -> oci.Index:
        """Read the names of the images here."""
        path = self.root / "index.json"
        if not path.exists():
            return oci.Index(schema_version=2, manifests=())
        return oci.parse_index(path.read_bytes()[: oci.MAX_DOCUMENT_BYTES + 1])

    def tag(self, digest: str, name: str) -> None:
        """Give an image a name; the name leaves the image it had before."""
        size = len(self.read_document(digest))
        kept = tuple(
            row
            for row in self.index().manifests
            if (row.annotations or {}).get(REF_NAME) != name
            and not (row.digest == digest and not row.annotations)
        )
        row = oci.Descriptor(
            media_type=oci.MANIFEST, digest=digest, size=size, annotations={REF_NAME: name}
        )
        index = oci.Index(schema_version=2, manifests=(*kept, row))
        write_durable(self.root / "index.json", oci.encode(index))

    def resolve(self, name: str) -> str:
        """Turn a name or a digest into a digest.

        Raises:
            HostError: `IMAGE_MISSING`.
        """
        if name.startswith("sha256:"):
            self.path(name)
            return name
        for row in self.index().manifests:
            if (row.annotations or {}).get(REF_NAME) == name:
                return row.digest
        raise missing(name)


def missing(what: str) -> HostError:
    """Make the error for an image that is not here."""
    return HostError(
        Code.IMAGE_MISSING,
        f"There is no image {what!r} in the store.",
        hint="ironclaw image build",
    )


def write_durable(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a small file so that a crash leaves the old one or the new one."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
