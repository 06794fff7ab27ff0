"""Decisions about disk: when to count, when to end a box, what people are told."""

from __future__ import annotations

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import PolicyError
from ironclaw.domain import disk
from ironclaw.domain.disk import Caps, Holding, Over, Room, Usage
from ironclaw.domain.model import BoxLimits

MIB = 1024 * 1024
CAPS = Caps(100 * MIB, 1000)
ROOMY = Room(free_bytes=500_000 * MIB, free_files=10**7, all_bytes=10**6 * MIB, all_files=10**8)


def holding(size: int = 0, files: int = 0, *, memory: int = 0, is_whole: bool = True) -> Holding:
    return Holding(Usage(size, files, is_whole), Usage(memory, 0))


def judge(before: Holding | None, now: Holding, *, is_short: bool = False) -> Over | None:
    return disk.judge(CAPS, before, now, is_short=is_short)


def test_a_box_below_its_caps_may_grow() -> None:
    assert judge(holding(), holding(100 * MIB, 1000, memory=100 * MIB)) is None


@pytest.mark.parametrize(
    ("now", "over"),
    [
        (holding(100 * MIB + 1), Over("workspace", "bytes", 100 * MIB + 1, 100 * MIB)),
        (holding(0, 1001), Over("workspace", "files", 1001, 1000)),
        (holding(memory=101 * MIB), Over("memory", "bytes", 101 * MIB, 100 * MIB)),
    ],
)
def test_a_box_that_grows_over_a_cap_is_ended(now: Holding, over: Over) -> None:
    assert judge(holding(), now) == over


def test_an_over_full_box_may_stay_and_shrink_but_not_grow() -> None:
    full = holding(300 * MIB, 5000)
    assert judge(None, full) is None
    assert judge(full, full) is None
    assert judge(full, holding(200 * MIB, 4000)) is None
    assert judge(full, holding(300 * MIB + 4096, 5000)) is not None
    assert judge(full, holding(200 * MIB, 5001)) is not None


def test_what_cannot_be_counted_is_over() -> None:
    hidden = holding(1, 1, is_whole=False)
    for before in (None, holding(), hidden):
        assert judge(before, hidden) == Over("workspace", "odd", 1, 0)
    assert disk.is_over(CAPS, hidden)


def test_nobody_may_write_much_while_the_host_is_short_of_room() -> None:
    grown = holding(disk.SHORT_GROWTH_BYTES + 1)
    assert judge(holding(), grown) is None
    over = judge(holding(), grown, is_short=True)
    assert over is not None
    assert over.where == "host"
    assert judge(holding(), holding(0, disk.SHORT_GROWTH_FILES + 1), is_short=True) is not None
    assert judge(holding(), holding(4096, 3), is_short=True) is None
    # The first count of a life accuses nobody.
    assert judge(None, grown, is_short=True) is None


def test_a_cap_comes_before_the_host() -> None:
    over = judge(holding(), holding(101 * MIB), is_short=True)
    assert over is not None
    assert over.where == "workspace"


def test_room_is_short_by_part_or_by_amount() -> None:
    assert not ROOMY.is_short
    assert ROOMY._replace(free_bytes=1023 * MIB).is_short
    assert ROOMY._replace(free_files=49_999).is_short
    small = Room(free_bytes=60 * MIB, free_files=1000, all_bytes=1000 * MIB, all_files=10_000)
    assert not small.is_short
    assert small._replace(free_bytes=49 * MIB).is_short
    # A file system that makes inodes as it needs them is never short of them.
    assert not ROOMY._replace(free_files=0, all_files=0).is_short


def need(
    *, gone: int = 0, files: int = 0, held: Holding | None = None, since_s: float = 1.0
) -> disk.Need:
    now = ROOMY._replace(free_bytes=ROOMY.free_bytes - gone, free_files=ROOMY.free_files - files)
    return disk.need(CAPS, held or holding(), ROOMY, now, since_s=since_s)


def test_a_box_is_counted_when_it_could_be_over() -> None:
    assert need() is disk.Need.NONE
    assert need(gone=100 * MIB) is disk.Need.NONE
    assert need(gone=60 * MIB, held=holding(40 * MIB)) is disk.Need.NONE
    assert need(gone=60 * MIB + 1, held=holding(40 * MIB)) is disk.Need.DUE
    assert need(gone=60 * MIB + 1, held=holding(memory=40 * MIB)) is disk.Need.DUE
    assert need(files=600, held=holding(0, 400)) is disk.Need.NONE
    assert need(files=601, held=holding(0, 400)) is disk.Need.DUE


def test_a_full_box_is_counted_at_every_step() -> None:
    full = holding(200 * MIB, 5000)
    assert need(gone=disk.step_bytes(CAPS), held=full) is disk.Need.NONE
    assert need(gone=disk.step_bytes(CAPS) + 1, held=full) is disk.Need.DUE
    assert need(files=disk.step_files(CAPS) + 1, held=full) is disk.Need.DUE


def test_a_box_is_counted_now_and_then_and_always_when_room_is_short() -> None:
    assert need(since_s=disk.SLOW_S) is disk.Need.DUE
    assert disk.need(CAPS, None, ROOMY, ROOMY, since_s=0) is disk.Need.DUE
    short = ROOMY._replace(free_bytes=0)
    assert disk.need(CAPS, holding(), short, short, since_s=0) is disk.Need.DUE


def test_it_is_urgent_when_more_than_a_whole_cap_went() -> None:
    assert need(gone=100 * MIB + 1) is disk.Need.URGENT
    assert need(files=1001) is disk.Need.URGENT


def test_steps_are_a_part_of_the_smallest_cap() -> None:
    assert disk.step_bytes(Caps()) == 64 * MIB
    assert disk.step_bytes(Caps(16 * MIB, 100)) == MIB
    assert disk.step_bytes(Caps(1024 * 1024 * MIB, 100)) == 64 * MIB
    assert disk.step_files(Caps()) == 5000
    assert disk.step_files(Caps(MIB, 100)) == 20


def test_the_best_of_two_looks_is_kept() -> None:
    less = ROOMY._replace(free_bytes=1, free_files=10**7 + 1)
    assert ROOMY.most(less) == ROOMY._replace(free_files=10**7 + 1)


def test_an_agent_without_limits_has_the_houses() -> None:
    house = Caps(7, 8)
    assert disk.caps_of(BoxLimits(), house) == house
    assert disk.caps_of(BoxLimits(disk_bytes=1), house) == Caps(1, 8)
    assert disk.caps_of(BoxLimits(disk_files=2), house) == Caps(7, 2)


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (BoxLimits(disk_bytes=0), ["disk_bytes"]),
        (BoxLimits(disk_bytes=disk.MOST_BYTES + 1), ["disk_bytes"]),
        (BoxLimits(disk_files=-1), ["disk_files"]),
        (BoxLimits(disk_bytes=1, disk_files=disk.MOST_FILES + 1), ["disk_bytes", "disk_files"]),
    ],
)
def test_limits_that_are_none_are_refused_by_name(limits: BoxLimits, named: list[str]) -> None:
    with pytest.raises(PolicyError) as caught:
        disk.check_limits(limits)
    assert caught.value.code is Code.SPEC_TOO_WEAK
    assert caught.value.message.endswith(f"{', '.join(named)}.")


def test_limits_within_the_bounds_are_taken() -> None:
    disk.check_limits(BoxLimits())
    disk.check_limits(BoxLimits(disk_bytes=disk.LEAST_BYTES, disk_files=disk.LEAST_FILES))
    disk.check_limits(BoxLimits(disk_bytes=disk.MOST_BYTES, disk_files=disk.MOST_FILES))


def test_a_full_host_is_another_error_than_a_full_box() -> None:
    assert disk.code(Over("host", "bytes", 1, 0)) is Code.DISK_FULL
    assert disk.code(Over("memory", "bytes", 2, 1)) is Code.BOX_OUT_OF_DISK


def test_people_are_told_what_happened_and_what_to_do() -> None:
    words = disk.words(Over("workspace", "bytes", 1100 * MIB, 1024 * MIB))
    assert "used more disk than it may: 1.1 GiB in its workspace, where 1.0 GiB" in words
    assert "delete files" in words
    assert "sandbox.disk_bytes" in words
    words = disk.words(Over("memory", "files", 100_001, 100_000))
    assert "100,001 files in its memory, where 100,000 files are allowed" in words
    assert "sandbox.disk_files" in words
    assert "nearly full" in disk.words(Over("host", "bytes", 9 * MIB, 0))
    assert "9 MiB more" in disk.words(Over("host", "bytes", 9 * MIB, 0))
    assert "too deep" in disk.words(Over("workspace", "odd", 5, 0))
