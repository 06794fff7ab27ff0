"""One folder, one file: whatever else is in an archive is not even looked at."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw.core.errors import UserError
from ironclaw.skills.packing import (
    MAX_PACKED,
    Packed,
    pack,
    read_either,
    read_folder,
    read_packed,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TREE = {"SKILL.md": b"---\nname: a\ndescription: b\n---\n", "x/y.txt": b"z" * 600}


def refused(raw: bytes) -> None:
    with pytest.raises(UserError) as caught:
        unpack(raw)
    assert caught.value.hint


def archive(form: int = tarfile.USTAR_FORMAT, **changes: object) -> bytes:
    """Another packer's archive of one file, with some fields of its header altered."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as made:
        member = tarfile.TarInfo("SKILL.md")
        member.size, member.mode = 5, 0o644
        for name, value in changes.items():
            setattr(member, name, value)
        made.addfile(member, io.BytesIO(b"hello"[: member.size] if member.isreg() else b""))
    return target.getvalue()


def test_what_is_packed_comes_out_as_it_was() -> None:
    assert unpack(pack(TREE)) == Packed(TREE, b"")
    assert unpack(pack(TREE, b"{}")) == Packed(TREE, b"{}")


def test_the_same_files_make_the_same_bytes() -> None:
    assert pack(dict(reversed(TREE.items()))) == pack(TREE)


def test_other_programs_can_read_it() -> None:
    with tarfile.open(fileobj=io.BytesIO(pack(TREE))) as found:
        assert found.getnames() == ["SKILL.md", "x/y.txt"]


@given(
    st.dictionaries(
        st.from_regex(r"\A[a-z]{1,50}(/[a-z]{1,60}){0,1}\Z", fullmatch=True),
        st.binary(max_size=1100),
        max_size=5,
    )
)
def test_any_folder_comes_out_as_it_was(tree: dict[str, bytes]) -> None:
    assert unpack(pack(tree)).tree == tree


def test_the_longest_path_fits_wherever_it_is_cut() -> None:
    for first in (1, 49, 99):
        path = "/".join(["a" * first, "b" * (147 - first - 2 - 2), "c"])
        if max(map(len, path.split("/"))) <= 100:
            assert unpack(pack({path: b"x"})).tree == {path: b"x"}


@pytest.mark.parametrize(
    "raw",
    [
        archive(),  # padded to records of 10 KiB by its program
        archive(name="../SKILL.md"),
        archive(name="/SKILL.md"),
        archive(name=".hidden"),
        archive(mode=0o755),
        archive(uid=1000),
        archive(mtime=1),
        archive(type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
        archive(type=tarfile.LNKTYPE, linkname="SKILL.md", size=0),
        archive(type=tarfile.CHRTYPE, size=0),
        archive(type=tarfile.FIFOTYPE, size=0),
        archive(type=tarfile.DIRTYPE, size=0),
        archive(tarfile.PAX_FORMAT, pax_headers={"path": "other"}),
        archive(tarfile.GNU_FORMAT, name="n" * 140),
        pack(TREE) + b"\0",
        pack(TREE)[:-1],
        pack(TREE)[:700],
        pack(TREE) + pack(TREE),
        pack(TREE)[:-1024] + pack(TREE),
        b"",
        b"\x1f\x8b" + b"x" * 600,
        b"x" * 1024,
        b"\0" * (MAX_PACKED + 1),
    ],
)
def test_no_other_form_is_taken(raw: bytes) -> None:
    refused(raw)


def test_a_size_that_lies_is_refused() -> None:
    raw = bytearray(pack({"SKILL.md": b"hello"}))
    for size in (b"77777777777\0", b"-0000000001\0", b"\x80" + b"\xff" * 11, b"0000000 005\0"):
        raw[124:136] = size
        refused(bytes(raw))


@given(st.data())
def test_a_flipped_bit_never_makes_another_tree_of_the_same_bytes(data: st.DataObject) -> None:
    raw = bytearray(pack(TREE))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = unpack(bytes(raw))
    except UserError:
        return
    assert pack(found.tree, found.signature) == bytes(raw)


def test_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    for path, data in TREE.items():
        (tmp_path / path).write_bytes(data)
    assert read_folder(tmp_path) == TREE
    assert read_either(tmp_path) == Packed(TREE, b"")
    (tmp_path / "out").write_bytes(pack(TREE, b"s"))
    assert read_packed(tmp_path / "out") == Packed(TREE, b"s")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "plant",
    [
        lambda path: path.symlink_to("/etc/passwd"),
        lambda path: path.symlink_to("/etc"),
        lambda path: path.symlink_to("nowhere"),
        _fifo,
        lambda path: path.with_name(".git").mkdir(),
        lambda path: path.with_name("a b").write_text(""),
    ],
)
def test_a_folder_has_files_alone(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    plant(tmp_path / "planted")
    with pytest.raises(UserError):
        read_folder(tmp_path)


def test_a_folder_is_not_read_without_end(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="too large"):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["gone", "gone.skill"])
def test_what_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as caught:
        read_either(tmp_path / name)
    assert caught.value.code == "not_found"
