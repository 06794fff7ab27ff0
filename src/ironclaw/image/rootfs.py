"""The rootfs store: each image unpacked once, keyed by digest, read-only, shared in place.

    rootfs/<hex>/tree/          what boxes see as `/`
    rootfs/<hex>/complete.json  written last; a directory without it is not a rootfs
    rootfs/.<hex>.<random>/     being built; removed by whoever comes next
    rootfs/.lock                one builder or collector at a time, across processes

`admit` is the only way in: (1) manifest and config re-hashed, (2) trust decided, (3) stored layers
re-hashed, (4) each layer's content compared with its diffID, (5) unpacked, (6) fsynced, (7) marked,
(8) renamed into place.
"""

from __future__ import annotations

import fcntl
import filecmp
import os
import secrets
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.domain.wall import Rootfs
from ironclaw.image import oci
from ironclaw.image.layout import ImageStore, missing, sync_directory, write_durable
from ironclaw.image.trust import TrustStore
from ironclaw.image.unpack import DEFAULT_LIMITS, Limits, Unpacker, open_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

RECIPE: Final = 1
"""Version of how a rootfs is made from layers; another version is made anew."""


class Marker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `complete.json`."""

    manifest: oci.Digest
    rootfs: oci.Digest
    recipe: int
    trusted: str
    """`pinned` or `signed`, as it was when it was unpacked."""


class RootfsStore:
    """Rootfs of one state directory. All methods do disk work: call them in a thread."""

    def __init__(self, state_dir: Path, *, limits: Limits = DEFAULT_LIMITS) -> None:
        self.images = ImageStore(state_dir / "images")
        self.trust = TrustStore(state_dir / "images")
        self.root = state_dir / "rootfs"
        self._limits = limits

    def find(self, digest: str) -> Rootfs | None:
        """Return the rootfs of an image if it is complete; None otherwise."""
        place = self._place(digest)
        try:
            raw = (place / "complete.json").read_bytes()
            marker = msgspec.json.decode(raw, type=Marker)
        except (FileNotFoundError, ValueError):
            return None
        if marker.manifest != digest or marker.recipe != RECIPE:
            return None
        return Rootfs(digest=digest, path=place / "tree")

    def admit(self, digest: str) -> Rootfs:
        """Return the rootfs of an image, unpacking it if that was never done.

        Raises:
            PolicyError: `IMAGE_UNTRUSTED`; nothing was unpacked.
            HostError: `IMAGE_MISSING`, `IMAGE_BROKEN`, `DISK_FULL`; nothing half-made is left.
        """
        manifest, config = self.read(digest)  # (1)
        # (2) Also for one that is there already: a policy may have been narrowed since.
        trusted = self.trust.check(digest, config.rootfs.diff_ids)
        found = self.find(digest)
        if found is not None:
            return found
        with self._lock():
            found = self.find(digest)
            if found is not None:
                return found
            self._sweep()
            try:
                return self._unpack(digest, manifest, config, trusted)
            except OSError as error:
                raise _disk_error(error) from error

    def read(self, digest: str) -> tuple[oci.Manifest, oci.Config]:
        """Read and check the documents of a stored image.

        Raises:
            HostError: `IMAGE_MISSING` or `IMAGE_BROKEN`.
        """
        manifest = oci.parse_manifest(self.images.read_document(digest))
        config = oci.parse_config(self.images.read_document(manifest.config.digest))
        if len(config.rootfs.diff_ids) != len(manifest.layers):
            raise oci.broken("The image's config and manifest do not name the same layers.")
        return manifest, config

    def complete(self) -> list[Rootfs]:
        """List complete rootfs, by digest."""
        if not self.root.is_dir():
            return []
        names = sorted(path.name for path in self.root.iterdir() if not path.name.startswith("."))
        found = (self.find(f"sha256:{name}") for name in names)
        return [rootfs for rootfs in found if rootfs is not None]

    def verify(self, digest: str) -> str:
        """Check an image again: documents, trust, layers, and every unpacked file's content.

        Returns:
            Why it is trusted.

        Raises:
            PolicyError: `IMAGE_UNTRUSTED`.
            HostError: `IMAGE_MISSING` or `IMAGE_BROKEN`.
        """
        manifest, config = self.read(digest)
        trusted = self.trust.check(digest, config.rootfs.diff_ids)
        for layer in manifest.layers:
            self.images.check_blob(layer)
        found = self.find(digest)
        if found is None:
            raise missing(digest)
        with self._lock(), tempfile.TemporaryDirectory(dir=self.root, prefix=".verify-") as name:
            again = Path(name) / "tree"
            again.mkdir()
            self._fill(again, Path(name), manifest, config)
            different = difference(found.path, again)
            remove_tree(again)
        if different is not None:
            raise oci.broken("The unpacked image was changed on disk.", detail=different)
        return trusted

    def collect(self, keep: set[str]) -> list[str]:
        """Remove every image that has no name and is not in `keep`; return what went.

        The caller says what is in use: a running box needs the files it was started from.
        """
        named = {row.digest for row in self.images.index().manifests}
        keep = keep | named
        gone = []
        with self._lock():
            self._sweep()
            for path in sorted(self.root.iterdir()):
                digest = f"sha256:{path.name}"
                if path.name.startswith(".") or digest in keep:
                    continue
                doomed = self.root / f".{path.name}.{secrets.token_hex(4)}"
                path.rename(doomed)  # from here on nobody finds it
                remove_tree(doomed)
                gone.append(digest)
            self._collect_blobs(keep)
        return gone

    def _collect_blobs(self, keep: set[str]) -> None:
        used: set[str] = set()
        for digest in keep:
            if self.images.has(digest):
                manifest, _ = self.read(digest)
                used |= {digest, manifest.config.digest}
                used |= {layer.digest for layer in manifest.layers}
        self.images.remove_blobs(keep=used)

    def _unpack(
        self, digest: str, manifest: oci.Manifest, config: oci.Config, trusted: str
    ) -> Rootfs:
        for layer in manifest.layers:  # (3)
            self.images.check_blob(layer)
        place = self._place(digest)
        building = self.root / f".{place.name}.{secrets.token_hex(4)}"
        tree = building / "tree"
        tree.mkdir(parents=True, mode=0o755)
        # Above the tree, too: the box's id must be able to walk down to it.
        building.chmod(0o755)
        try:
            self._fill(tree, building, manifest, config)  # (4) (5) (6)
            marker = Marker(digest, oci.rootfs_digest(config.rootfs.diff_ids), RECIPE, trusted)
            content = msgspec.json.encode(marker)
            write_durable(building / "complete.json", content, mode=0o444)  # (7)
            if place.exists():  # made by another recipe, or damaged
                old = self.root / f".{place.name}.{secrets.token_hex(4)}"
                place.rename(old)
                remove_tree(old)
            building.rename(place)  # (8)
            sync_directory(self.root)
        except BaseException:
            remove_tree(building)
            raise
        return Rootfs(digest=digest, path=place / "tree")

    def _fill(self, tree: Path, scratch: Path, manifest: oci.Manifest, config: oci.Config) -> None:
        """Unpack all layers into an empty directory and make it durable and read-only."""
        unpacker = Unpacker(tree, limits=self._limits, owner=os.geteuid() == 0)
        limit = self._limits.total_bytes
        for layer, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
            blob = self.images.path(layer.digest)
            with open_layer(blob, layer, diff_id, scratch=scratch, limit=limit) as plain:
                unpacker.layer(plain)
        unpacker.finish()
        sync_directory(tree)
        tree.chmod(0o555)

    def _place(self, digest: str) -> Path:
        return self.root / self.images.path(digest).name

    def _sweep(self) -> None:
        """Remove what a killed builder left. Only with the lock held."""
        for path in self.root.iterdir():
            if path.name.startswith(".") and path.is_dir():
                remove_tree(path)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Wait for the store's lock. It ends with the process, however that ends."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o711)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.root / ".lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def difference(left: Path, right: Path) -> str | None:
    """Name the first path at which two trees differ in type, mode or content; None if none."""
    names = {str(path.relative_to(root)) for root in (left, right) for path in root.rglob("*")}
    for name in sorted(names):
        first, second = left / name, right / name
        try:
            one, two = first.lstat(), second.lstat()
        except FileNotFoundError:
            return name
        if one.st_mode != two.st_mode:
            return name
        if first.is_symlink():
            same = first.readlink() == second.readlink()
        else:
            same = not first.is_file() or filecmp.cmp(first, second, shallow=False)
        if not same:
            return name
    return None


def remove_tree(path: Path) -> None:
    """Remove a tree whose directories may be read-only. Follows no link."""
    for directory, _names, _files in os.walk(path):
        with suppress(FileNotFoundError):
            os.chmod(directory, 0o700)  # noqa: PTH101  (os.walk gives text)
    shutil.rmtree(path, ignore_errors=True)


def _disk_error(error: OSError) -> HostError:
    if error.errno in {28, 122}:  # ENOSPC, EDQUOT
        return HostError(
            Code.DISK_FULL,
            "The disk is full: the image could not be unpacked.",
            hint="Free space, or `ironclaw image gc`, then try again.",
        )
    return HostError(
        Code.IMAGE_BROKEN,
        "The image could not be unpacked.",
        hint="Check the state directory's permissions; `ironclaw doctor` tries them.",
        detail=str(error),
    )


def default_rootfs(state_dir: Path) -> Rootfs:
    """Return the verified rootfs that new boxes are started from.

    Raises:
        HostError: `IMAGE_MISSING`, with the command that makes one.
        PolicyError: `IMAGE_UNTRUSTED`.
    """
    store = RootfsStore(state_dir)
    digest = store.images.resolve("default")
    if not store.images.has(digest):
        raise missing(digest)
    return store.admit(digest)
