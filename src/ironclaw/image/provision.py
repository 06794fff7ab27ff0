"""The port of image sources, and what all of them share: bring blobs in, then `admit`.

A provisioner turns a reference into a verified, unpacked rootfs. Where the bytes come from differs
(a directory, an archive, a registry, containerd); what is believed of them does not.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from ironclaw.image import oci
from ironclaw.image.layout import DEFAULT_REF
from ironclaw.image.rootfs import RootfsStore, default_rootfs

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.wall import Rootfs


class Provisioner(Protocol):
    """One way to get an image onto this machine."""

    async def provision(self, reference: str) -> Rootfs:
        """Bring the image here if it is not, verify it, unpack it once, return its rootfs.

        Args:
            reference: What the source understands: a path, `host/repo@sha256:…`, a name.

        Raises:
            UserError: The reference is not one of this source.
            PolicyError: `IMAGE_UNTRUSTED`; nothing was unpacked.
            HostError: `IMAGE_MISSING`, `IMAGE_BROKEN`, `DISK_FULL`, `UNAVAILABLE`.
        """
        ...


async def current_rootfs(state_dir: Path) -> Rootfs:
    """Return the verified rootfs of the image that new boxes start from.

    Raises:
        HostError: `IMAGE_MISSING`; the hint is the command that makes one.
        PolicyError: `IMAGE_UNTRUSTED`.
    """
    return await asyncio.to_thread(default_rootfs, state_dir)


def admit_default(store: RootfsStore, digest: str) -> Rootfs:
    """Unpack an image and make it the one that new boxes start from. Does disk work."""
    rootfs = store.admit(digest)
    store.images.tag(digest, DEFAULT_REF)
    return rootfs


def select(index: oci.Index, *, architecture: str) -> oci.Descriptor:
    """Choose the image of this machine from an index.

    Raises:
        HostError: `IMAGE_BROKEN`, there is none, or more than one without a platform.
    """
    rows = [
        row
        for row in index.manifests
        if row.media_type in {oci.MANIFEST, oci.DOCKER_MANIFEST}
        and (row.platform is None or row.platform == oci.Platform(architecture, "linux"))
    ]
    digests = {row.digest for row in rows}
    if len(digests) != 1:
        raise oci.broken(
            f"The image index names {len(digests)} images for linux/{architecture}, not one."
        )
    return rows[0]
