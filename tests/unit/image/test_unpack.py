"""Extraction believes nothing: each way out of the tree is refused, and honest layers arrive."""

from __future__ import annotations

import io
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
from tests.unit.image.layers import HONEST, Item, layer

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.image.unpack import Limits, Unpacker, inflate

if TYPE_CHECKING:
    from pathlib import Path


def unpack(root: Path, *layers: bytes, limits: Limits | None = None) -> None:
    unpacker = Unpacker(root, limits=limits or Limits(), owner=False)
    for plain in layers:
        unpacker.layer(io.BytesIO(plain))
    unpacker.finish()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    return root


def test_an_honest_layer_arrives_read_only(tree: Path) -> None:
    unpack(tree, HONEST)

    assert (tree / "etc/passwd").read_bytes() == b"root:x:0:0::/:\n"
    assert stat.S_IMODE((tree / "etc/passwd").stat().st_mode) == 0o444
    assert stat.S_IMODE((tree / "sandbox").stat().st_mode) == 0o555
    assert stat.S_IMODE((tree / "etc").stat().st_mode) == 0o555


HOSTILE = {
    "an absolute name": [Item("/etc/x", b"x")],
    "a name with dots": [Item("etc/../../x", b"x")],
    "a device": [Item("dev/null", kind=tarfile.CHRTYPE)],
    "a block device": [Item("dev/sda", kind=tarfile.BLKTYPE)],
    "a fifo": [Item("pipe", kind=tarfile.FIFOTYPE)],
    "a link to an absolute name": [Item("x", kind=tarfile.SYMTYPE, link="/etc/shadow")],
    "a link out of the tree": [Item("a/x", kind=tarfile.SYMTYPE, link="../../x")],
    "a link out and in again": [Item("x", kind=tarfile.SYMTYPE, link="../tree/etc")],
    "an entry through a link": [
        Item("real/", kind=tarfile.DIRTYPE, mode=0o755),
        Item("link", kind=tarfile.SYMTYPE, link="real"),
        Item("link/x", b"x"),
    ],
    "an entry below a file": [Item("f", b"x"), Item("f/x", b"x")],
    "a hard link out": [Item("x", kind=tarfile.LNKTYPE, link="../../etc/passwd")],
    "a hard link to an absolute name": [Item("x", kind=tarfile.LNKTYPE, link="/etc/passwd")],
    "a hard link to nothing": [Item("x", kind=tarfile.LNKTYPE, link="missing")],
    "a hard link to a link": [
        Item("l", kind=tarfile.SYMTYPE, link="etc"),
        Item("x", kind=tarfile.LNKTYPE, link="l"),
    ],
    "a hard link through a link": [
        Item("d/", kind=tarfile.DIRTYPE, mode=0o755),
        Item("d/f", b"x"),
        Item("l", kind=tarfile.SYMTYPE, link="d"),
        Item("x", kind=tarfile.LNKTYPE, link="l/f"),
    ],
    "a setuid file": [Item("su", b"x", mode=0o4755)],
    "a setgid file": [Item("sg", b"x", mode=0o2755)],
    "file capabilities": [
        Item("cap", b"x", pax={"SCHILY.xattr.security.capability": "\x01\x00\x00\x02"})
    ],
    "a directory replaced by a file": [
        Item("d/", kind=tarfile.DIRTYPE, mode=0o755),
        Item("d", b"x"),
    ],
    "a whiteout of the parent": [Item(".wh...", b"")],
    "a whiteout of nothing": [Item(".wh.", b"")],
    "a name too deep": [Item("/".join(["d"] * 80).lstrip("/"), b"x")],
    "a huge attribute": [Item("x", b"x", pax={"comment": "y" * (2 * 1024 * 1024)})],
}


@pytest.mark.hostile
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_entry_is_refused_and_nothing_outside_changes(name: str, tree: Path) -> None:
    """The directory around the tree looks the same afterwards."""
    before = sorted(tree.parent.iterdir())

    with pytest.raises(HostError) as caught:
        unpack(tree, layer(*HOSTILE[name]))

    assert caught.value.code is Code.IMAGE_BROKEN
    assert sorted(tree.parent.iterdir()) == before


def test_a_link_inside_the_tree_stays(tree: Path) -> None:
    items = [Item("a/f", b"x"), Item("b/l", kind=tarfile.SYMTYPE, link="../a/f")]

    unpack(tree, layer(*items))

    assert (tree / "b/l").read_bytes() == b"x"


def test_a_whiteout_hides_what_a_lower_layer_had(tree: Path) -> None:
    lower = layer(Item("d/a", b"1"), Item("d/b", b"2"), Item("e/c", b"3"))
    upper = layer(Item("d/.wh.a", b""), Item("e/.wh..wh..opq", b""), Item("e/new", b"4"))

    unpack(tree, lower, upper)

    assert sorted(str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()) == [
        "d/b",
        "e/new",
    ]


def test_a_whiteout_of_a_link_does_not_touch_what_it_names(tree: Path) -> None:
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"x")
    lower = layer(Item("l", kind=tarfile.SYMTYPE, link="x"))

    unpack(tree, lower, layer(Item(".wh.l", b"")))

    assert list(tree.iterdir()) == []
    assert (outside / "kept").exists()


def test_more_bytes_than_allowed_are_refused(tree: Path) -> None:
    with pytest.raises(HostError, match="more than 10 bytes"):
        unpack(tree, layer(Item("x", b"y" * 11)), limits=Limits(total_bytes=10))


def test_more_entries_than_allowed_are_refused(tree: Path) -> None:
    items = [Item(str(number)) for number in range(5)]

    with pytest.raises(HostError, match="more than 4 entries"):
        unpack(tree, layer(*items), limits=Limits(entries=4))


def test_a_layer_that_inflates_without_end_is_stopped() -> None:
    """A megabyte of zeros packs to a kilobyte; the limit counts what comes out."""
    import gzip

    bomb = io.BytesIO(gzip.compress(bytes(5 * 1024 * 1024)))
    target = io.BytesIO()

    with pytest.raises(HostError, match="more than 1048576 bytes"):
        inflate(bomb, target, gzipped=True, limit=1024 * 1024)
    assert len(target.getvalue()) <= 1024 * 1024


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_layer_cut_short_is_refused(cut: int) -> None:
    import gzip

    whole = gzip.compress(HONEST)

    with pytest.raises(HostError):
        inflate(io.BytesIO(whole[:-cut]), io.BytesIO(), gzipped=True, limit=1 << 20)


@pytest.mark.hostile
def test_garbage_is_not_a_layer(tree: Path) -> None:
    with pytest.raises(HostError):
        unpack(tree, b"\xff" * 2048)
