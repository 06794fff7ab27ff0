"""The store admits what is trusted and whole, once, and leaves nothing half-made."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.unit.image.layers import HONEST, Item, layer, put_image

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PolicyError
from ironclaw.image import oci, rootfs
from ironclaw.image.rootfs import RootfsStore, remove_tree
from ironclaw.image.trust import Statement, sign

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RootfsStore]:
    made = RootfsStore(tmp_path)
    made.images.prepare()
    yield made
    remove_tree(made.root)


def pinned(store: RootfsStore, *layers: bytes) -> str:
    digest = put_image(store.images, *layers)
    store.trust.pin(digest)
    return digest


def leftovers(store: RootfsStore) -> list[str]:
    if not store.root.is_dir():
        return []
    return sorted(path.name for path in store.root.iterdir() if path.name != ".lock")


def test_a_pinned_image_is_unpacked_once(store: RootfsStore) -> None:
    digest = pinned(store, HONEST)

    first = store.admit(digest)
    inode = first.path.stat().st_ino
    second = store.admit(digest)

    assert first == second
    assert second.path.stat().st_ino == inode
    assert leftovers(store) == [digest.removeprefix("sha256:")]
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o555


def test_without_a_policy_nothing_is_trusted(store: RootfsStore) -> None:
    digest = put_image(store.images, HONEST)

    with pytest.raises(PolicyError) as caught:
        store.admit(digest)
    assert caught.value.code is Code.IMAGE_UNTRUSTED
    assert leftovers(store) == []


def test_trust_is_asked_again_for_what_is_unpacked(store: RootfsStore, tmp_path: Path) -> None:
    digest = pinned(store, HONEST)
    store.admit(digest)
    (tmp_path / "images/policy.json").write_text("{}")

    with pytest.raises(PolicyError):
        store.admit(digest)


@pytest.mark.hostile
def test_a_policy_that_is_not_one_stops_everything(store: RootfsStore, tmp_path: Path) -> None:
    digest = pinned(store, HONEST)
    (tmp_path / "images/policy.json").write_text('{"pinned": "all"}')

    with pytest.raises(HostError):
        store.admit(digest)


def signature(store: RootfsStore, digest: str, key: Ed25519PrivateKey, **other: str) -> bytes:
    _, config = store.read(digest)
    said = {
        "manifest": digest,
        "rootfs": oci.rootfs_digest(config.rootfs.diff_ids),
        "version": "1.0",
    }
    return sign(Statement(**(said | other)), key)


def test_a_signature_by_a_trusted_key_is_enough(store: RootfsStore) -> None:
    key = Ed25519PrivateKey.generate()
    digest = put_image(store.images, HONEST)
    store.trust.trust_key(key.public_key().public_bytes_raw())
    store.trust.keep_signature(signature(store, digest, key))

    assert store.admit(digest).digest == digest
    assert store.verify(digest) == "signed"


@pytest.mark.hostile
def test_a_foreign_signature_is_refused(store: RootfsStore) -> None:
    digest = put_image(store.images, HONEST)
    store.trust.trust_key(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    store.trust.keep_signature(signature(store, digest, Ed25519PrivateKey.generate()))

    with pytest.raises(PolicyError, match="key that is not trusted"):
        store.admit(digest)
    assert leftovers(store) == []


@pytest.mark.hostile
def test_a_missing_signature_is_refused(store: RootfsStore) -> None:
    digest = put_image(store.images, HONEST)
    store.trust.trust_key(Ed25519PrivateKey.generate().public_key().public_bytes_raw())

    with pytest.raises(PolicyError, match="neither pinned nor signed"):
        store.admit(digest)


@pytest.mark.hostile
def test_a_signature_of_other_layers_is_refused(store: RootfsStore) -> None:
    key = Ed25519PrivateKey.generate()
    digest = put_image(store.images, HONEST)
    store.trust.trust_key(key.public_key().public_bytes_raw())
    store.trust.keep_signature(signature(store, digest, key, rootfs=f"sha256:{'0' * 64}"))

    with pytest.raises(PolicyError, match="other layers"):
        store.admit(digest)


@pytest.mark.hostile
def test_a_signature_moved_to_another_image_is_refused(store: RootfsStore, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    good = put_image(store.images, HONEST)
    evil = put_image(store.images, layer(Item("sandbox", b"evil", mode=0o755)))
    store.trust.trust_key(key.public_key().public_bytes_raw())
    store.trust.keep_signature(signature(store, good, key))
    names = tmp_path / "images/signatures"
    (names / f"{good[7:]}.json").rename(names / f"{evil[7:]}.json")

    with pytest.raises(PolicyError, match="another image"):
        store.admit(evil)


@pytest.mark.hostile
def test_a_changed_signature_does_not_verify(store: RootfsStore, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    digest = put_image(store.images, HONEST)
    store.trust.trust_key(key.public_key().public_bytes_raw())
    raw = signature(store, digest, key).replace(b'"1.0"', b'"9.0"')
    store.trust.keep_signature(raw)

    with pytest.raises(PolicyError, match="does not verify"):
        store.admit(digest)


@pytest.mark.hostile
def test_a_tampered_layer_is_refused(store: RootfsStore) -> None:
    digest = pinned(store, HONEST)
    manifest, _ = store.read(digest)
    blob = store.images.path(manifest.layers[0].digest)
    raw = bytearray(blob.read_bytes())
    raw[-9] ^= 1
    blob.write_bytes(raw)

    with pytest.raises(HostError) as caught:
        store.admit(digest)
    assert caught.value.code is Code.IMAGE_BROKEN
    assert leftovers(store) == []


@pytest.mark.hostile
def test_a_layer_other_than_the_config_says_is_refused(store: RootfsStore) -> None:
    digest = put_image(store.images, HONEST, diff_ids=(f"sha256:{'1' * 64}",))
    store.trust.pin(digest)

    with pytest.raises(HostError, match="config says"):
        store.admit(digest)
    assert leftovers(store) == []


@pytest.mark.hostile
def test_a_changed_manifest_is_refused(store: RootfsStore) -> None:
    digest = pinned(store, HONEST)
    place = store.images.path(digest)
    place.write_bytes(place.read_bytes() + b" ")

    with pytest.raises(HostError, match="does not match its digest"):
        store.admit(digest)


def test_verify_finds_a_file_changed_after_unpacking(store: RootfsStore) -> None:
    digest = pinned(store, HONEST)
    place = store.admit(digest).path / "sandbox"
    place.chmod(0o755)
    place.write_bytes(b"evil")
    place.chmod(0o555)

    with pytest.raises(HostError, match="changed on disk"):
        store.verify(digest)


def test_a_rootfs_without_its_marker_is_made_anew(store: RootfsStore) -> None:
    digest = pinned(store, HONEST)
    place = store.admit(digest).path.parent
    (place / "complete.json").unlink()

    assert store.find(digest) is None
    assert store.admit(digest).path.is_dir()
    assert leftovers(store) == [place.name]


def test_clearing_away_keeps_what_has_a_name(store: RootfsStore) -> None:
    kept, gone = pinned(store, HONEST), pinned(store, layer(Item("x", b"1")))
    for digest in (kept, gone):
        store.admit(digest)
    store.images.tag(kept, "default")

    assert store.collect(set()) == [gone]
    assert store.verify(kept) == "pinned"
    assert not store.images.has(gone)


def test_an_image_in_use_is_not_cleared_away(store: RootfsStore) -> None:
    digest = pinned(store, HONEST)
    store.admit(digest)

    assert store.collect({digest}) == []
    assert store.verify(digest) == "pinned"


_ADMIT = """
import os, signal, sys
from pathlib import Path
from ironclaw.image import rootfs

def stop(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[3]:
    setattr(rootfs, sys.argv[3], stop)
rootfs.RootfsStore(Path(sys.argv[1])).admit(sys.argv[2])
"""


def admit_elsewhere(state: Path, digest: str, *, stop_at: str = "") -> subprocess.Popen[bytes]:
    """Start a process that admits the image, and that is killed where it is told."""
    source = Path(rootfs.__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", _ADMIT, str(state), digest, stop_at],
        env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"},
    )


@pytest.mark.crash
@pytest.mark.parametrize("step", ["open_layer", "write_durable", "sync_directory"])
def test_a_kill_in_the_middle_leaves_nothing_that_counts(
    store: RootfsStore, tmp_path: Path, step: str
) -> None:
    """The next one sweeps what the killed one left, and unpacks."""
    digest = pinned(store, HONEST)

    assert admit_elsewhere(tmp_path, digest, stop_at=step).wait(30) == -signal.SIGKILL
    assert store.find(digest) is None
    assert store.admit(digest).path.is_dir()
    assert leftovers(store) == [digest.removeprefix("sha256:")]


def test_two_at_once_unpack_once(store: RootfsStore, tmp_path: Path) -> None:
    """Two processes meet at the lock: both get the rootfs, and there is one."""
    digest = pinned(store, HONEST)
    both = [admit_elsewhere(tmp_path, digest) for _ in range(2)]

    assert [process.wait(30) for process in both] == [0, 0]
    assert leftovers(store) == [digest.removeprefix("sha256:")]
    assert store.verify(digest) == "pinned"
