"""Programs are run with a limit on time and output, and can be replayed when they fail."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox import process


async def test_output_and_status_are_returned() -> None:
    done = await process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=10)

    assert (done.status, done.stdout, done.stderr) == (3, "out\n", "err\n")


async def test_output_is_bounded() -> None:
    done = await process.run(["head", "-c", "1000000", "/dev/zero"], timeout_s=10)

    assert len(done.stdout) == process.MAX_OUTPUT_BYTES


async def test_a_program_that_hangs_is_killed_and_can_be_replayed() -> None:
    with pytest.raises(HostError) as caught:
        await process.run(["sleep", "60"], timeout_s=0.05)

    assert caught.value.code is Code.RUNTIME_FAILED
    assert "$ sleep 60" in caught.value.detail


async def test_what_it_leaves_running_does_not_hold_us_up() -> None:
    """A pipe would stay open until the last holder ends; a file does not care."""
    async with asyncio.timeout(5):
        done = await process.run(["sh", "-c", "sleep 7 & echo $!"], timeout_s=5)
    process.kill(int(done.stdout), started=process.start_ticks(int(done.stdout)) or 0)


async def test_a_missing_program_is_named() -> None:
    with pytest.raises(HostError) as caught:
        await process.run(["no-such-program-here"], timeout_s=1)

    assert caught.value.code is Code.RUNTIME_MISSING


async def test_cancelling_kills_the_program() -> None:
    async with asyncio.TaskGroup() as group:
        argv = ["sleep", f"61.{os.getpid()}"]
        task = group.create_task(process.run(argv, timeout_s=60))
        await asyncio.sleep(0.05)
        task.cancel()

    assert task.cancelled()
    found = subprocess.run(  # noqa: ASYNC221 - milliseconds
        ["pgrep", "-fx", " ".join(argv)], capture_output=True, check=False
    )
    assert found.stdout == b""


def test_secrets_are_not_replayed() -> None:
    assert "sk-" not in process.replay(["x", "sk-abcdefgh12345678"])


async def test_waiting_for_one_that_is_gone_returns_at_once() -> None:
    child = subprocess.Popen(["true"])  # noqa: ASYNC220 - milliseconds
    child.wait()
    async with asyncio.timeout(1):
        await process.gone(child.pid)


async def test_waiting_for_a_pid_that_was_given_away_returns_at_once() -> None:
    async with asyncio.timeout(1):
        await process.gone(os.getpid(), started=1)


def test_a_process_with_another_start_time_is_not_killed() -> None:
    child = subprocess.Popen(["sleep", "62"])
    try:
        started = process.start_ticks(child.pid)
        assert started is not None
        process.kill(child.pid, started=started + 1)
        assert child.poll() is None
        process.kill(child.pid, started=started)
        assert child.wait(5) == -9
    finally:
        child.kill()
        child.wait()


def test_a_process_that_is_gone_has_no_start_time() -> None:
    child = subprocess.Popen(["true"])
    child.wait()

    assert process.start_ticks(child.pid) is None
