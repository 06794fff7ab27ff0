"""Small images of a test's own making: honest ones, and ones that lie."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from typing import TYPE_CHECKING, NamedTuple

from ironclaw.image import oci
from ironclaw.image.layout import ImageStore
from ironclaw.image.platform import this_machine

if TYPE_CHECKING:
    from pathlib import Path


class Item(NamedTuple):
    """One entry of a layer."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    link: str = ""
    pax: dict[str, str] | None = None


def layer(*items: Item) -> bytes:
    """Make a plain tar."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for item in items:
            member = tarfile.TarInfo(item.name)
            member.type, member.mode, member.linkname = item.kind, item.mode, item.link
            member.size = len(item.content)
            member.pax_headers = dict(item.pax or {})
            archive.addfile(member, io.BytesIO(item.content))
    return target.getvalue()


HONEST = layer(
    Item("etc/", kind=tarfile.DIRTYPE, mode=0o755),
    Item("etc/passwd", b"root:x:0:0::/:\n"),
    Item("sandbox", b"\x7fELF", mode=0o755),
)


def put_image(store: ImageStore, *layers: bytes, diff_ids: tuple[str, ...] | None = None) -> str:
    """Store an image of these plain layers; return its manifest's digest."""
    rows = []
    for plain in layers:
        stored = gzip.compress(plain, mtime=0)
        digest = store.put(stored)
        rows.append(oci.Descriptor(media_type=oci.LAYER_GZIP, digest=digest, size=len(stored)))
    found = tuple(f"sha256:{hashlib.sha256(plain).hexdigest()}" for plain in layers)
    config = oci.encode(
        oci.Config(
            architecture=this_machine().oci,
            os="linux",
            rootfs=oci.RootFs(type="layers", diff_ids=diff_ids or found),
        )
    )
    row = oci.Descriptor(media_type=oci.CONFIG, digest=store.put(config), size=len(config))
    return store.put(oci.encode(oci.Manifest(schema_version=2, config=row, layers=tuple(rows))))


def layout_directory(path: Path, *layers: bytes) -> str:
    """Make an OCI layout directory; return the digest of its one image."""
    store = ImageStore(path)
    store.prepare()
    digest = put_image(store, *layers)
    store.tag(digest, "latest")
    return digest
