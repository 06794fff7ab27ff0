"""runsc's version and state files are read with care."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox.runsc import Runsc, parse_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "version", "date"),
    [
        ("runsc version 0.0~20240729.0\nspec: 1.0.2-dev\n", "0.0~20240729.0", 20240729),
        ("runsc version release-20250319.0\nspec: 1.1.0\n", "release-20250319.0", 20250319),
        (
            "runsc version VERSION_release-20260101.0-3-gabc\n",
            "VERSION_release-20260101.0-3-gabc",
            20260101,
        ),
    ],
)
def test_new_enough_versions_are_taken(text: str, version: str, date: int) -> None:
    assert parse_version(text) == (version, date)


@pytest.mark.parametrize(
    "text", ["runsc version 0.0~20221219.0\n", "runsc version VERSION_MISSING\n", "", "garbage"]
)
def test_old_or_unknown_versions_are_refused(text: str) -> None:
    with pytest.raises(HostError) as caught:
        parse_version(text)

    assert caught.value.code is Code.RUNTIME_TOO_OLD
    assert "backports" in caught.value.hint


async def test_a_missing_runsc_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        await Runsc(tmp_path, cgroups=False, program="runsc-is-not-here").version()

    assert caught.value.code is Code.RUNTIME_MISSING
    assert "Install" in caught.value.hint


async def test_an_old_runsc_is_refused_by_running_it(tmp_path: Path) -> None:
    program = tmp_path / "runsc"
    program.write_text("#!/bin/sh\necho 'runsc version 0.0~20221219.0'\n")
    program.chmod(0o755)

    with pytest.raises(HostError) as caught:
        await Runsc(tmp_path, cgroups=False, program=str(program)).version()

    assert caught.value.code is Code.RUNTIME_TOO_OLD


def test_half_written_state_files_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a_sandbox:a.state").write_text("")
    (tmp_path / "b_sandbox:b.state").write_text('{"id": "b", "sandbox"')
    (tmp_path / "c_sandbox:c.state").write_text(
        json.dumps({"id": "c", "goferPid": 7, "sandbox": {"pid": 8, "x": 1}, "more": []})
    )
    (tmp_path / "d_sandbox:d.state").write_text('{"id": "d"}')

    states = Runsc(tmp_path, cgroups=False).states()

    assert states == [("c", 8, 7), ("d", 0, 0)]


def test_another_process_with_the_same_pid_is_not_a_sentry(tmp_path: Path) -> None:
    """Pids are used again: the command line must name the sandbox."""
    import os

    runsc = Runsc(tmp_path, cgroups=False)
    (tmp_path / "c_sandbox:c.state").write_text(
        json.dumps({"id": "c", "sandbox": {"pid": os.getpid()}})
    )

    assert not runsc.is_sentry(runsc.states()[0])


def test_without_cgroups_runsc_is_told_so(tmp_path: Path) -> None:
    assert "--ignore-cgroups" in Runsc(tmp_path, cgroups=False).flags
    assert "--ignore-cgroups" not in Runsc(tmp_path, cgroups=True).flags


def test_what_a_runsc_that_was_killed_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("ironclaw-a_sandbox:ironclaw-a.lock", "runsc-ironclaw-a.sock", "ironclaw-b.lock"):
        (tmp_path / name).touch()
    Runsc(tmp_path, cgroups=True).forget("ironclaw-a")
    assert [file.name for file in tmp_path.iterdir()] == ["ironclaw-b.lock"]


async def test_a_launch_of_somebody_else_is_waited_for(tmp_path: Path) -> None:
    words = ("-c", "import time; time.sleep(60)", f"--root={tmp_path}")
    other = subprocess.Popen([sys.executable, *words, "delete"])  # noqa: ASYNC220 - at once
    with subprocess.Popen([sys.executable, *words, "run"]) as launch:  # noqa: ASYNC220 - at once
        settled = asyncio.create_task(Runsc(tmp_path, cgroups=True).settled())
        await asyncio.sleep(0.3)
        assert not settled.done()
        launch.kill()
        await asyncio.wait_for(settled, 10)
    assert other.poll() is None
    other.kill()
    other.wait()
