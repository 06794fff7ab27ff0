"""The cgroup of an airlock: filled, found again, removed with whoever is in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.ids import new_id
from ironclaw.sandbox import airlock_group, cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/ironclaw/slt_a.airlock"


def tree(root: Path, version: int) -> cgroups.Cgroups:
    """Looks like the kernel's: a directory that is made has its files at once."""
    if version == 2:
        (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        (root / "cgroup.subtree_control").write_text("\n")
        return cgroups.detect(root)
    for name in cgroups.CONTROLLERS:
        (root / name).mkdir()
        (root / name / "cgroup.procs").write_text("1\n")
    return cgroups.detect(root)


def test_each_limit_is_written_in_version_1(tmp_path: Path) -> None:
    assert airlock_group.enclose(tree(tmp_path, 1), PATH, 42)
    read = {
        str(file.relative_to(tmp_path)): file.read_text()
        for file in tmp_path.glob("*/ironclaw/slt_a.airlock/*")
    }
    assert read == {
        "memory/ironclaw/slt_a.airlock/memory.limit_in_bytes": "268435456",
        "memory/ironclaw/slt_a.airlock/cgroup.procs": "42",
        "cpu/ironclaw/slt_a.airlock/cpu.cfs_period_us": "100000",
        "cpu/ironclaw/slt_a.airlock/cpu.cfs_quota_us": "50000",
        "cpu/ironclaw/slt_a.airlock/cgroup.procs": "42",
        "pids/ironclaw/slt_a.airlock/pids.max": "8",
        "pids/ironclaw/slt_a.airlock/cgroup.procs": "42",
    }


def test_each_limit_is_written_and_passed_on_in_version_2(tmp_path: Path) -> None:
    assert airlock_group.enclose(tree(tmp_path, 2), PATH, 42)
    group = tmp_path / PATH.lstrip("/")
    assert {file.name: file.read_text() for file in group.iterdir()} == {
        "memory.max": "268435456",
        "cpu.max": "50000 100000",
        "pids.max": "8",
        "cgroup.procs": "42",
    }
    for parent in (tmp_path, tmp_path / "ironclaw"):
        assert (parent / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"


def test_without_every_controller_nothing_is_made(tmp_path: Path) -> None:
    groups = tree(tmp_path, 1)._replace(controllers=frozenset({"memory"}))
    assert not airlock_group.enclose(groups, PATH, 42)
    assert not airlock_group.enclose(cgroups.Cgroups(0, frozenset(), tmp_path), PATH, 42)
    assert list(tmp_path.glob("*/ironclaw")) == []
    cgroups.end(cgroups.Cgroups(0, frozenset(), tmp_path), PATH)


def test_a_group_that_cannot_be_filled_is_said(tmp_path: Path) -> None:
    groups = tree(tmp_path, 1)
    (tmp_path / "pids" / "ironclaw").write_text("in the way")
    assert not airlock_group.enclose(groups, PATH, 42)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as child:
        try:
            yield child
        finally:
            child.kill()


@pytest.mark.root_only
def test_the_kernel_enforces_it_and_nothing_is_left(sleeper: subprocess.Popen[bytes]) -> None:
    groups = cgroups.detect()
    path = airlock_group.path_of(f"{cgroups.PARENT}/{new_id('slt')}")
    if groups.usable:
        assert airlock_group.enclose(groups, path, sleeper.pid)
        assert cgroups.read_limits(groups, path) == {
            "memory": str(airlock_group.MEMORY_BYTES),
            "cpu": "50000" if groups.version == 1 else "50000 100000",
            "pids": str(airlock_group.PIDS),
        }
        assert cgroups.members(groups, path) == {sleeper.pid}
        cgroups.end(groups, path)
        assert sleeper.wait(10) == -9
        assert cgroups.directories(groups, path) == []
    # A second time, and where there never was one.
    cgroups.end(groups, path)


@pytest.mark.root_only
def test_a_process_that_is_gone_leaves_no_group(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    groups = cgroups.detect()
    path = airlock_group.path_of(f"{cgroups.PARENT}/{new_id('slt')}")
    assert not airlock_group.enclose(groups, path, sleeper.pid)
    assert not groups.usable or cgroups.directories(groups, path) == []
