"""Tasks under kill -9: whatever step the core dies in, each time is told exactly once."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.support.task_driver import POINTS, TASKS

from ironclaw.store.task_rows import TaskRows
from ironclaw.testing.fakes_store import open_core_store

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.crash


def live(state: Path, point: str, often: int, *, careful: bool = True) -> int:
    """One life of the core; how it ended."""
    done = subprocess.run(
        [
            sys.executable, "-m", "tests.support.task_driver", str(state), str(int(careful)),
            point, str(often),
        ],
        check=False,
        cwd=ROOT,
        timeout=60,
    )  # fmt: skip
    return done.returncode


async def told(state: Path) -> Counter[str]:
    """How often each task was told."""
    async with open_core_store(state) as core:
        (session,) = await core.registry.sessions()
        backlog = await core.ledger.backlog(session.session.id)
        assert await TaskRows(core.store).next_ms(after_ms=0) is None
        return Counter(message.text for message in backlog)


@pytest.mark.timeout(180)
async def test_kill_9_at_any_step_tells_each_task_exactly_once(tmp_path: Path):
    ends = [
        # Each life looks once for what is due; of the other steps there are many.
        live(tmp_path, f"{point}:{when}", 1 if point == "due" else 1 + secrets.randbelow(4))
        for point in POINTS
        for when in ("before", "after")
    ]
    assert set(ends) == {-signal.SIGKILL}
    assert live(tmp_path, "", 0) == 0
    assert await told(tmp_path) == {f"do {number}": 1 for number in range(TASKS)}


@pytest.mark.timeout(60)
async def test_a_core_that_gives_new_ids_would_tell_one_twice(tmp_path: Path):
    """The weakened twin: the test above can fail."""
    assert live(tmp_path, "tell:after", 3, careful=False) == -signal.SIGKILL
    assert live(tmp_path, "", 0, careful=False) == 0
    assert max((await told(tmp_path)).values()) == 2
