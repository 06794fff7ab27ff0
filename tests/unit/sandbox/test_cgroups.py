"""Both versions of cgroups are found, read and left as they were."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.sandbox.sealed_spec import strong

from ironclaw.sandbox import cgroups

if TYPE_CHECKING:
    from pathlib import Path

PATH = "/ironclaw/slt_a"


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    for name in ("memory", "cpu", "pids", "freezer"):
        group = tmp_path / name / PATH.lstrip("/")
        group.mkdir(parents=True)
        (tmp_path / name / "cgroup.procs").write_text("1\n")
    memory = tmp_path / "memory" / PATH.lstrip("/")
    (memory / "memory.limit_in_bytes").write_text("268435456\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (memory / "cgroup.procs").write_text("10\n11\n")
    (tmp_path / "cpu" / PATH.lstrip("/") / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "pids" / PATH.lstrip("/") / "pids.max").write_text("256\n")
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("\n")
    group = tmp_path / PATH.lstrip("/")
    group.mkdir(parents=True)
    (group / "memory.max").write_text("268435456\n")
    (group / "cpu.max").write_text("100000 100000\n")
    (group / "pids.max").write_text("256\n")
    (group / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 1\n")
    (group / "cgroup.procs").write_text("10\n11\n")
    return tmp_path


@pytest.mark.parametrize(("version", "kills"), [("v1", 2), ("v2", 1)])
def test_limits_members_and_kills_are_read(
    version: str, kills: int, request: pytest.FixtureRequest
) -> None:
    groups = cgroups.detect(request.getfixturevalue(version))

    assert groups.version == int(version[1])
    assert groups.weaker == ()
    wanted = cgroups.wanted_limits(groups, strong().linux.resources)
    assert cgroups.read_limits(groups, PATH) == wanted
    assert cgroups.members(groups, PATH) == {10, 11}
    assert cgroups.oom_kills(groups, PATH) == kills


def test_no_cgroups_is_said_in_words(tmp_path: Path) -> None:
    groups = cgroups.detect(tmp_path)

    assert not groups.usable
    assert groups.weaker == ("no cgroup limit on memory, cpu, pids",)


def test_a_missing_controller_is_named(v1: Path) -> None:
    (v1 / "pids" / "cgroup.procs").unlink()
    groups = cgroups.detect(v1)

    assert groups.usable
    assert groups.weaker == ("no cgroup limit on pids",)
    assert "pids" not in cgroups.wanted_limits(groups, strong().linux.resources)


def test_a_group_that_is_gone_reads_as_nothing(v2: Path) -> None:
    groups = cgroups.detect(v2)

    assert cgroups.members(groups, "/ironclaw/slt_b") == frozenset()
    assert cgroups.read_limits(groups, "/ironclaw/slt_b") == {}
    assert cgroups.oom_kills(groups, "/ironclaw/slt_b") == 0
    cgroups.remove(groups, "/ironclaw/slt_b")
