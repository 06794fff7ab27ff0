"""OCI image documents as typed values: descriptors, manifest, index, config. Pure, no I/O.

Documents come from registries and archives, so each is size-capped before it is parsed and only
the fields that mean something here are kept. Unknown fields are allowed, as the specification
asks of readers; they change nothing, because everything is addressed by digest.

Source: OCI Image Format Specification 1.1 (manifest.md, image-index.md, config.md, descriptor.md).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, TypeVar

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError

MAX_DOCUMENT_BYTES: Final = 1024 * 1024
"""A manifest, index or config."""
MAX_LAYER_BYTES: Final = 512 * 1024 * 1024
"""One layer as it is stored."""
MAX_LAYERS: Final = 32

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"

LAYER_TYPES: Final = frozenset({LAYER, LAYER_GZIP, DOCKER_LAYER})
GZIP_TYPES: Final = frozenset({LAYER_GZIP, DOCKER_LAYER})

Digest = Annotated[str, msgspec.Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]
"""`sha256:` and 64 hex digits. No other algorithm is known here."""

_Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_LAYER_BYTES)]
_Type = Annotated[str, msgspec.Meta(max_length=256)]
_T = TypeVar("_T")


class Platform(msgspec.Struct, frozen=True):
    """What machine an image is for."""

    architecture: str
    os: str


class Descriptor(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Names one blob."""

    media_type: _Type
    digest: Digest
    size: _Size
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """One image: its config and its layers, lowest first."""

    schema_version: int
    config: Descriptor
    layers: Annotated[tuple[Descriptor, ...], msgspec.Meta(min_length=1, max_length=MAX_LAYERS)]
    media_type: _Type = MANIFEST


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """Several images, by platform or by name."""

    schema_version: int
    manifests: Annotated[tuple[Descriptor, ...], msgspec.Meta(max_length=256)]
    media_type: _Type = INDEX


class Process(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """How the image wants to be started."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    labels: dict[str, str] | None = None


class RootFs(msgspec.Struct, frozen=True):
    """Digests of the layers as plain tars."""

    type: str
    diff_ids: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=MAX_LAYERS)]


class Config(msgspec.Struct, frozen=True):
    """The image's config document."""

    architecture: str
    os: str
    rootfs: RootFs
    config: Process = Process()


def digest_of(data: bytes) -> str:
    """Return the digest of `data`, with its algorithm in front."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def encode(document: Manifest | Index | Config) -> bytes:
    """Encode a document; the same value gives the same bytes."""
    return msgspec.json.encode(document, order="sorted")


def parse_manifest(raw: bytes) -> Manifest:
    """Parse an image manifest. Raises HostError (`IMAGE_BROKEN`)."""
    manifest = _parse(raw, Manifest, "manifest")
    if manifest.media_type not in {MANIFEST, DOCKER_MANIFEST}:
        raise broken("The manifest's media type is not that of an image.")
    for layer in manifest.layers:
        if layer.media_type not in LAYER_TYPES:
            raise broken(f"A layer has the media type {layer.media_type!r}, which is not known.")
    return manifest


def parse_index(raw: bytes) -> Index:
    """Parse an image index. Raises HostError (`IMAGE_BROKEN`)."""
    return _parse(raw, Index, "index")


def parse_config(raw: bytes) -> Config:
    """Parse an image config. Raises HostError (`IMAGE_BROKEN`)."""
    return _parse(raw, Config, "config")


def is_index(raw: bytes) -> bool:
    """Tell whether a document is an index rather than a manifest, by what it holds.

    The media type that a server sends is a claim; `manifests` is what will be used.
    """

    class _Shape(msgspec.Struct, rename="camel"):
        manifests: msgspec.Raw = msgspec.Raw()

    return bytes(_parse(raw, _Shape, "document").manifests) != b""


def rootfs_digest(diff_ids: tuple[str, ...]) -> str:
    """Name a stack of layers by what is in it: the specification's ChainID.

    Source:
        OCI Image Format Specification, config.md, "Layer ChainID".
    """
    chain = diff_ids[0]
    for diff_id in diff_ids[1:]:
        chain = digest_of(f"{chain} {diff_id}".encode())
    return chain


def broken(message: str, *, detail: str = "") -> HostError:
    """Make the error for image content that is not what it should be."""
    return HostError(
        Code.IMAGE_BROKEN,
        message,
        hint="Fetch or build the image again: `ironclaw image build --fresh`.",
        detail=detail,
    )


def _parse(raw: bytes, kind: type[_T], what: str) -> _T:
    if len(raw) > MAX_DOCUMENT_BYTES:
        raise broken(f"The image {what} has {len(raw)} bytes; the limit is {MAX_DOCUMENT_BYTES}.")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (ValueError, RecursionError) as error:
        raise broken(f"The image {what} is not well formed.", detail=str(error)) from error
