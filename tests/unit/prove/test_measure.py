"""What the host measures of greed, where no box is needed for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ironclaw.prove.house.measure import (
    available_bytes,
    box_cpu_s,
    box_pids,
    gone_within,
    p99_ms,
    process_cpu_s,
    tree_bytes,
)
from ironclaw.prove.model import Check, Measured, found
from ironclaw.sandbox.cgroups import Cgroups

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.core.ids import SlotId

_NOBODY = 2**22 + 1
"""More than any pid."""


def test_the_p99_of_a_hundred_is_the_greatest_but_none() -> None:
    assert p99_ms([n / 1000 for n in range(1, 101)]) == 100
    assert p99_ms([n / 1000 for n in range(1, 1001)]) == 991
    with pytest.raises(ValueError, match="nothing was measured"):
        p99_ms([])


@pytest.mark.parametrize("version", [1, 2])
def test_the_groups_of_both_hierarchies_are_read(version: int, tmp_path: Path) -> None:
    slot: SlotId = "slt_one"  # type: ignore[assignment] # an id is text
    groups = Cgroups(version, frozenset(("cpu", "memory", "pids")), tmp_path)
    cpu, pids = (tmp_path, tmp_path) if version == 2 else (tmp_path / "cpuacct", tmp_path / "pids")
    for base in {cpu, pids}:
        (base / "ironclaw" / slot).mkdir(parents=True)
    (cpu / "ironclaw" / slot / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (cpu / "ironclaw" / slot / "cpuacct.usage").write_text("2500000000\n")
    (pids / "ironclaw" / slot / "pids.current").write_text("17\n")

    assert box_cpu_s(groups, slot) == 2.5
    assert box_pids(groups, slot) == 17
    assert box_pids(groups, "slt_gone") == 0  # type: ignore[arg-type] # the same


def test_bytes_are_those_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(100_000))

    assert 100_000 <= tree_bytes(tmp_path, tmp_path / "missing") < 200_000


def test_the_machine_and_this_process_can_be_measured() -> None:
    assert available_bytes() > 1 << 20
    assert process_cpu_s(os.getpid()) > 0
    assert process_cpu_s(_NOBODY) == 0


async def test_a_process_that_has_ended_is_gone_and_this_one_is_not() -> None:
    assert await gone_within([_NOBODY], seconds=1) is not None
    assert await gone_within([os.getpid()], seconds=0.05) is None


def test_the_numbers_behind_an_outcome_reach_its_finding() -> None:
    check = Check("stop.idle", "", "", "", frozenset({"gone"}))

    finding = found(check, Measured("gone", ms=11))

    assert finding.passed
    assert finding.measured == {"ms": 11}
    assert found(check, "gone").measured == {}
