"""Images from an OCI layout: a directory, or an archive of one. The embedded default source.

Blobs are copied into the store and hashed on the way; only what the chosen manifest names is
copied. An archive's own names are matched against the three forms a layout has; others are ignored.
"""

from __future__ import annotations

import asyncio
import re
import tarfile
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.image import oci
from ironclaw.image.platform import this_machine
from ironclaw.image.provision import admit_default, select
from ironclaw.image.rootfs import RootfsStore

if TYPE_CHECKING:
    from ironclaw.domain.wall import Rootfs
    from ironclaw.image.layout import ImageStore

_CHUNK: Final = 1024 * 1024
_MAX_ARCHIVE_ENTRIES: Final = 1000
_BLOB_NAME: Final = re.compile(r"\A(?:\./)?blobs/sha256/([0-9a-f]{64})\Z")


class OciLayoutProvisioner:
    """Provisions from a layout directory or archive on this machine."""

    def __init__(self, state_dir: Path) -> None:
        self._store = RootfsStore(state_dir)

    async def provision(self, reference: str) -> Rootfs:
        """Import a layout and unpack it.

        Args:
            reference: A path, or a digest or name that is in the store already.
        """
        return await asyncio.to_thread(self._provision, reference)

    def _provision(self, reference: str) -> Rootfs:
        path = Path(reference)
        if path.exists():
            digest = import_layout(self._store.images, path)
        else:
            digest = self._store.images.resolve(reference)
        return admit_default(self._store, digest)


def import_layout(store: ImageStore, path: Path) -> str:
    """Copy an image into the store, re-hashing every blob; return its manifest digest.

    Raises:
        UserError: `INVALID`, neither a layout nor an archive of one.
        HostError: `IMAGE_BROKEN`.

    Trust:
        What is there is hostile. Nothing is unpacked or believed here but digests.
    """
    store.prepare()
    if path.is_dir():
        return _import_directory(store, path)
    with tempfile.TemporaryDirectory(dir=store.root, prefix=".import-") as name:
        scratch = Path(name)
        _extract_archive(path, scratch)
        return _import_directory(store, scratch)


def _import_directory(store: ImageStore, path: Path) -> str:
    index_path = path / "index.json"
    if not index_path.is_file() or index_path.is_symlink():
        raise UserError(
            Code.INVALID,
            f"{path.name!r} is not an OCI image layout: it has no index.json.",
            hint="Give the directory of an image layout, or an archive of one.",
        )
    with index_path.open("rb") as stream:
        index = oci.parse_index(stream.read(oci.MAX_DOCUMENT_BYTES + 1))
    architecture = this_machine().oci
    row = _choose(index, architecture)
    for _ in range(2):  # an index may name an index once, as archives of several platforms do
        raw = _read_blob(path, row)
        if not oci.is_index(raw):
            break
        row = select(oci.parse_index(raw), architecture=architecture)
    else:
        raise oci.broken("The image layout nests indexes too deeply.")
    manifest = oci.parse_manifest(raw)
    for descriptor in (manifest.config, *manifest.layers):
        _copy_blob(store, path, descriptor)
    return store.put(raw)


def _choose(index: oci.Index, architecture: str) -> oci.Descriptor:
    """Pick the only row, or the row of this machine. An index row is followed, not judged."""
    if len(index.manifests) == 1:
        return index.manifests[0]
    return select(index, architecture=architecture)


def _open_blob(path: Path, descriptor: oci.Descriptor) -> IO[bytes]:
    place = path / "blobs" / "sha256" / descriptor.digest.removeprefix("sha256:")
    if place.is_symlink() or not place.is_file():
        raise oci.broken("The image layout lacks a blob it names.", detail=descriptor.digest)
    return place.open("rb")


def _read_blob(path: Path, descriptor: oci.Descriptor) -> bytes:
    with _open_blob(path, descriptor) as stream:
        raw = stream.read(oci.MAX_DOCUMENT_BYTES + 1)
    if len(raw) > oci.MAX_DOCUMENT_BYTES or oci.digest_of(raw) != descriptor.digest:
        raise oci.broken("A document of the layout does not match its digest.")
    return raw


def _copy_blob(store: ImageStore, path: Path, descriptor: oci.Descriptor) -> None:
    with (
        _open_blob(path, descriptor) as stream,
        store.writer(digest=descriptor.digest, limit=descriptor.size) as writer,
    ):
        while chunk := stream.read(_CHUNK):
            writer.write(chunk)


def _extract_archive(path: Path, target: Path) -> None:
    """Take an archive's blobs and index apart under names of our own making."""
    blobs = target / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    try:
        with tarfile.open(path, mode="r|*") as archive:
            for count, member in enumerate(archive):
                if count > _MAX_ARCHIVE_ENTRIES:
                    raise oci.broken("The image archive has too many entries.")
                if not member.isreg():
                    continue
                name = _BLOB_NAME.match(member.name)
                if name is not None:
                    _extract_member(archive, member, blobs / name[1], oci.MAX_LAYER_BYTES)
                elif member.name in {"index.json", "./index.json"}:
                    place = target / "index.json"
                    _extract_member(archive, member, place, oci.MAX_DOCUMENT_BYTES)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise UserError(
            Code.INVALID,
            f"{path.name!r} is not an archive of an OCI image layout.",
            hint="Make one with `skopeo copy … oci-archive:FILE` or `podman save --format`.",
            detail=str(error),
        ) from error


def _extract_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, place: Path, limit: int
) -> None:
    if member.size > limit:
        raise oci.broken(f"The image archive has an entry of {member.size} bytes.")
    source = archive.extractfile(member)
    if source is None:
        raise oci.broken("The image archive has an entry without content.")
    with place.open("xb") as stream:
        while chunk := source.read(_CHUNK):
            stream.write(chunk)
