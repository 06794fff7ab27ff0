"""A real registry on loopback and a real containerd, both started here, both not believed."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.support.house import remove_as_owner
from tests.unit.image.layers import HONEST, Item, layer, layout_directory

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError
from ironclaw.image import oci
from ironclaw.image.containerd import ContainerdProvisioner
from ironclaw.image.layout import ImageStore
from ironclaw.image.registry import RegistryProvisioner
from ironclaw.image.rootfs import RootfsStore, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AS_ROOT = (
    [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--map-auto", "--mount"]
)
pytestmark = pytest.mark.wire

_START_S = 30.0


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "state"
    place.mkdir()
    yield place
    remove_tree(place)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The distribution's registry; yields `127.0.0.1:port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    config = tmp_path / "registry.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {accesslog: {disabled: true}, level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path / 'registry'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                httpx2.get(f"http://127.0.0.1:{port}/v2/").raise_for_status()
                break
            except httpx2.TransportError:
                assert time.monotonic() < deadline, "the registry did not start"
                time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        _stop(process)


def push(host: str, repository: str, layout: Path, digest: str, *tags: str) -> None:
    """Upload an image as any client does."""
    store = ImageStore(layout)
    raw = store.read_document(digest)
    manifest = oci.parse_manifest(raw)
    base = f"http://{host}/v2/{repository}"
    with httpx2.Client() as client:
        for blob in (manifest.config, *manifest.layers):
            begun = client.post(f"{base}/blobs/uploads/").raise_for_status()
            client.put(
                httpx2.URL(begun.headers["Location"]).copy_merge_params({"digest": blob.digest}),
                content=store.path(blob.digest).read_bytes(),
                headers={"Content-Type": "application/octet-stream"},
            ).raise_for_status()
        for tag in (digest, *tags):
            client.put(
                f"{base}/manifests/{tag}", content=raw, headers={"Content-Type": oci.MANIFEST}
            ).raise_for_status()


async def test_a_pinned_image_comes_from_a_real_registry(
    registry: str, state: Path, tmp_path: Path
) -> None:
    digest = layout_directory(tmp_path / "layout", HONEST)
    push(registry, "a/sandbox", tmp_path / "layout", digest)
    RootfsStore(state).trust.pin(digest)
    source = RegistryProvisioner(state)

    rootfs = await source.provision(f"{registry}/a/sandbox@{digest}")

    assert rootfs.digest == digest
    assert RootfsStore(state).verify(digest) == "pinned"


async def test_an_image_behind_a_tag_needs_trust_of_its_own(
    registry: str, state: Path, tmp_path: Path
) -> None:
    """Whoever can move a tag decides nothing."""
    trusted = layout_directory(tmp_path / "one", HONEST)
    other = layout_directory(tmp_path / "two", layer(Item("sandbox", b"other", mode=0o755)))
    push(registry, "a", tmp_path / "one", trusted, "latest")
    RootfsStore(state).trust.pin(trusted)
    source = RegistryProvisioner(state)

    assert (await source.provision(f"{registry}/a:latest")).digest == trusted
    push(registry, "a", tmp_path / "two", other, "latest")
    with pytest.raises(PolicyError):
        await source.provision(f"{registry}/a:latest")
    assert RootfsStore(state).find(other) is None


async def test_an_image_that_the_registry_lacks_is_said_to_be_missing(
    registry: str, state: Path
) -> None:
    with pytest.raises(HostError) as caught:
        await RegistryProvisioner(state).provision(f"{registry}/a@sha256:{'0' * 64}")
    assert caught.value.code is Code.IMAGE_MISSING


async def test_a_registry_that_is_not_there_is_unavailable(state: Path) -> None:
    with pytest.raises(HostError) as caught:
        await RegistryProvisioner(state).provision(f"127.0.0.1:9/a@sha256:{'0' * 64}")
    assert caught.value.code is Code.UNAVAILABLE


@pytest.fixture
def containerd(tmp_path: Path) -> Iterator[Path]:
    """A containerd with its own root, state and socket; yields the socket."""
    address = tmp_path / "c.sock"
    config = tmp_path / "containerd.toml"
    config.write_text(
        "version = 2\n"
        f'root = "{tmp_path / "c-root"}"\n'
        f'state = "{tmp_path / "c-state"}"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{address}"\n'
        f'[ttrpc]\naddress = "{tmp_path / "t.sock"}"\n'
    )
    # It wants to be root, if only of a user namespace.
    process = subprocess.Popen(
        [*AS_ROOT, "containerd", "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _START_S
        version = ["ctr", "--address", str(address), "version"]
        while subprocess.run(version, check=False, capture_output=True, timeout=20).returncode:
            assert time.monotonic() < deadline, "containerd did not start"
            assert process.poll() is None, "containerd ended"
            time.sleep(0.1)
        yield address
    finally:
        _stop(process)
        # What it unpacked belongs to ids that only that namespace has.
        for part in ("c-root", "c-state"):
            remove_as_owner(tmp_path / part)


async def test_a_pinned_image_comes_through_a_real_containerd(
    registry: str, containerd: Path, state: Path, tmp_path: Path
) -> None:
    digest = layout_directory(tmp_path / "layout", HONEST)
    push(registry, "a/sandbox", tmp_path / "layout", digest)
    RootfsStore(state).trust.pin(digest)
    source = ContainerdProvisioner(state, address=containerd, plain_http=True)

    rootfs = await source.provision(f"{registry}/a/sandbox@{digest}")

    assert rootfs.digest == digest
    assert (rootfs.path / "etc/passwd").read_bytes() == b"root:x:0:0::/:\n"
    assert RootfsStore(state).verify(digest) == "pinned"


async def test_containerd_cannot_bring_in_what_is_not_trusted(
    registry: str, containerd: Path, state: Path, tmp_path: Path
) -> None:
    digest = layout_directory(tmp_path / "layout", HONEST)
    push(registry, "a", tmp_path / "layout", digest, "latest")
    source = ContainerdProvisioner(state, address=containerd, plain_http=True)

    with pytest.raises(PolicyError):
        await source.provision(f"{registry}/a:latest")
    assert RootfsStore(state).complete() == []


async def test_an_archive_goes_through_containerd(
    containerd: Path, state: Path, tmp_path: Path
) -> None:
    import tarfile

    digest = layout_directory(tmp_path / "layout", HONEST)
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(tmp_path / "layout", ".")
    RootfsStore(state).trust.pin(digest)

    source = ContainerdProvisioner(state, address=containerd)
    rootfs = await source.provision(str(tmp_path / "image.tar"))

    assert rootfs.digest == digest


async def test_a_containerd_that_is_not_there_is_unavailable(state: Path, tmp_path: Path) -> None:
    source = ContainerdProvisioner(state, address=tmp_path / "none.sock")

    with pytest.raises(HostError) as caught:
        await source.provision(f"127.0.0.1:9/a@sha256:{'0' * 64}")
    assert caught.value.code is Code.UNAVAILABLE
    assert caught.value.hint
