"""Names in a queue directory, and publishing into it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ironclaw_contract.chain import Refusal, SegmentError
from ironclaw_contract.queue_dir import (
    list_segments,
    parse_segment_name,
    publish,
    segment_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@given(st.integers(1, 10**16 - 1))
def test_a_name_says_its_number_and_sorts_like_it(seq: int) -> None:
    assert parse_segment_name(segment_name(seq)) == seq
    assert seq == 1 or segment_name(seq - 1) < segment_name(seq)


@pytest.mark.parametrize(
    "name",
    ["", ".", "1.seg", "0000000000000000.seg", "0000000000000001.seg\n", "000000000000000a.seg",
     "\u0660" * 15 + "\u0661.seg", "+000000000000001.seg", "0000000000000001.SEG",
     "../00000000000001.seg", "0000000000000001.seg-journal", ".0000000000000001.seg"],
)  # fmt: skip
def test_anything_else_is_no_name(name: str) -> None:
    with pytest.raises(SegmentError) as caught:
        parse_segment_name(name)
    assert caught.value.reason is Refusal.NAME


@given(st.text(max_size=24))
def test_only_exact_names_are_names(name: str) -> None:
    try:
        seq = parse_segment_name(name)
    except SegmentError:
        return
    assert segment_name(seq) == name


@pytest.mark.parametrize("fsync", [True, False])
def test_publishing_leaves_the_whole_file_and_nothing_else(
    directory: int, tmp_path: Path, *, fsync: bool
) -> None:
    publish(directory, segment_name(1), b"one", fsync=fsync, mode=0o440)
    found = tmp_path / segment_name(1)
    assert (found.read_bytes(), found.stat().st_mode & 0o777) == (b"one", 0o440)
    assert os.listdir(directory) == [segment_name(1)]


def test_a_killed_writers_remains_are_in_nobodys_way(directory: int, tmp_path: Path) -> None:
    (tmp_path / ("." + segment_name(1))).write_bytes(b"half")
    publish(directory, segment_name(1), b"whole", fsync=False)
    assert (tmp_path / segment_name(1)).read_bytes() == b"whole"
    assert list_segments(directory) == [(1, segment_name(1))]


def test_a_planted_link_is_not_followed(directory: int, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (tmp_path / ("." + segment_name(1))).symlink_to(victim)
    publish(directory, segment_name(1), b"whole", fsync=False)
    assert victim.read_bytes() == b"untouched"
    assert not (tmp_path / segment_name(1)).is_symlink()


def test_listing_passes_over_what_is_no_segment(directory: int, tmp_path: Path) -> None:
    for name in (segment_name(10), segment_name(9), "." + segment_name(3), "odd"):
        (tmp_path / name).touch()
    assert [seq for seq, _ in list_segments(directory)] == [9, 10]
