"""What layouts, archives, registries and references may say, and what comes of it."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.unit.image.layers import HONEST, layout_directory

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError, UserError
from ironclaw.image import oci, registry
from ironclaw.image.layout import ImageStore
from ironclaw.image.oci_layout import OciLayoutProvisioner, import_layout
from ironclaw.image.provision import current_rootfs
from ironclaw.image.registry import parse_reference, pull
from ironclaw.image.rootfs import RootfsStore, remove_tree

if TYPE_CHECKING:
    from pathlib import Path


async def test_an_import_is_refused_until_it_is_pinned(tmp_path: Path) -> None:
    """And what was refused is not the current image."""
    digest = layout_directory(tmp_path / "layout", HONEST)
    state = tmp_path / "state"
    source = OciLayoutProvisioner(state)

    with pytest.raises(PolicyError):
        await source.provision(str(tmp_path / "layout"))
    with pytest.raises(HostError) as caught:
        await current_rootfs(state)
    assert caught.value.code is Code.IMAGE_MISSING
    assert "ironclaw image build" in caught.value.hint

    RootfsStore(state).trust.pin(digest)
    rootfs = await source.provision(str(tmp_path / "layout"))

    assert rootfs == await current_rootfs(state)
    remove_tree(state)


def archive_of(directory: Path, target: Path) -> Path:
    with tarfile.open(target, "w") as archive:
        archive.add(directory, ".")
    return target


def test_an_archive_is_imported_as_its_directory_is(tmp_path: Path) -> None:
    digest = layout_directory(tmp_path / "layout", HONEST)
    archive = archive_of(tmp_path / "layout", tmp_path / "image.tar")

    assert import_layout(ImageStore(tmp_path / "images"), archive) == digest


@pytest.mark.hostile
def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    """Only the three forms of a layout are taken; a link in their place is not."""
    digest = layout_directory(tmp_path / "layout", HONEST)
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(hostile, "w") as archive:
        link = tarfile.TarInfo("blobs/sha256/../../../../escaped")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../escaped"))
        archive.add(tmp_path / "layout", ".")

    assert import_layout(ImageStore(tmp_path / "images"), hostile) == digest
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.hostile
def test_a_blob_that_is_a_link_is_refused(tmp_path: Path) -> None:
    layout_directory(tmp_path / "layout", HONEST)
    for blob in (tmp_path / "layout/blobs/sha256").iterdir():
        blob.rename(tmp_path / blob.name)
        blob.symlink_to(tmp_path / blob.name)

    with pytest.raises(HostError, match="lacks a blob"):
        import_layout(ImageStore(tmp_path / "images"), tmp_path / "layout")


@pytest.mark.hostile
def test_a_blob_of_another_digest_is_refused_and_not_kept(tmp_path: Path) -> None:
    layout_directory(tmp_path / "layout", HONEST)
    for blob in (tmp_path / "layout/blobs/sha256").iterdir():
        if blob.read_bytes()[:2] == b"\x1f\x8b":
            blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    images = ImageStore(tmp_path / "images")

    with pytest.raises(HostError) as caught:
        import_layout(images, tmp_path / "layout")
    assert caught.value.code is Code.IMAGE_BROKEN
    assert all(path.read_bytes()[:2] != b"\x1f\x8b" for path in images.blobs.iterdir())


def test_what_is_no_layout_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")

    for name in (".", "file"):
        with pytest.raises(UserError) as caught:
            import_layout(ImageStore(tmp_path / "images"), tmp_path / name)
        assert caught.value.code is Code.INVALID


@pytest.mark.parametrize(
    "text",
    [
        "image",
        "host/image",
        "host/Image:1",
        "host/../etc:1",
        "host/a@sha256:12",
        "host/a:1\n",
        "http://localhost/a:1",
        "user@host/a:1",
    ],
)
def test_a_reference_that_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_reference(text)


@pytest.mark.parametrize(
    ("host", "scheme"),
    [("127.0.0.1:5000", "http"), ("localhost:5000", "http"), ("registry.example:80", "https")],
)
def test_only_loopback_is_spoken_to_without_tls(host: str, scheme: str) -> None:
    assert parse_reference(f"{host}/a/b:1").base == f"{scheme}://{host}/v2/a/b"


class LyingRegistry(httpx2.AsyncBaseTransport):
    """Serves a layout, with some answers replaced."""

    def __init__(self, layout: Path, answers: dict[str, bytes]) -> None:
        self._blobs = layout / "blobs" / "sha256"
        self._answers = answers

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        name = request.url.path.rpartition("/")[2]
        body = self._answers.get(name)
        if body is None:
            body = ImageStore(self._blobs.parent.parent).path(name).read_bytes()
        return httpx2.Response(200, stream=httpx2.ByteStream(body))


async def lie(
    monkeypatch: pytest.MonkeyPatch, layout: Path, answers: dict[str, bytes], state: Path, text: str
) -> str:
    real = httpx2.AsyncClient

    def client(**options: object) -> httpx2.AsyncClient:
        return real(transport=LyingRegistry(layout, answers))

    monkeypatch.setattr(registry.httpx2, "AsyncClient", client)
    return await pull(ImageStore(state), parse_reference(text))


@pytest.mark.hostile
async def test_a_registry_that_sends_another_manifest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = layout_directory(tmp_path / "layout", HONEST)
    other = oci.encode(oci.Index(schema_version=2, manifests=()))
    text = f"registry.example/a@{digest}"

    with pytest.raises(HostError, match="another manifest"):
        await lie(monkeypatch, tmp_path / "layout", {digest: other}, tmp_path / "images", text)


@pytest.mark.hostile
@pytest.mark.parametrize("lie_with", [b"short", b"x" * 1_000_000])
async def test_a_registry_that_sends_another_layer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie_with: bytes
) -> None:
    """Shorter or longer than announced: nothing of it is kept."""
    digest = layout_directory(tmp_path / "layout", HONEST)
    layout = ImageStore(tmp_path / "layout")
    manifest = oci.parse_manifest(layout.read_document(digest))
    answers = {manifest.layers[0].digest: lie_with}
    images = tmp_path / "images"

    with pytest.raises(HostError) as caught:
        await lie(monkeypatch, tmp_path / "layout", answers, images, f"registry.example/a@{digest}")
    assert caught.value.code is Code.IMAGE_BROKEN
    assert not ImageStore(images).has(manifest.layers[0].digest)


@pytest.mark.hostile
async def test_a_registry_that_sends_endless_manifests_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout_directory(tmp_path / "layout", HONEST)
    answers = {"latest": b" " * (oci.MAX_DOCUMENT_BYTES + 1)}

    with pytest.raises(HostError, match="too large"):
        await lie(
            monkeypatch,
            tmp_path / "layout",
            answers,
            tmp_path / "images",
            "registry.example/a:latest",
        )
