"""The audit under kill -9: whatever the moment, the chain holds and nothing is lost."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from ironclaw.domain.audit import AuditEvent
from ironclaw.domain.audit_check import Break, Walked
from ironclaw.keys.signer import AuditSigner
from ironclaw.store.audit_head import HeadFile
from ironclaw.store.audit_walk import walk_store
from ironclaw.testing.audits import auditing_of
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from pathlib import Path

    from ironclaw.domain.audit_chain import Checkpoint
    from ironclaw.testing.fakes_store import CoreStore

pytestmark = pytest.mark.crash

WRITER = textwrap.dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from ironclaw.core.tasks import Tasks
    from ironclaw.testing.audits import auditing_of, entry
    from ironclaw.testing.fakes_store import open_core_store

    async def work(core, number):
        for count in range(100_000):
            agent = await core.registry.create_agent(name=f"a{os.getpid()}-{number}-{count}")
            os.write(1, f"{agent.id}\\n".encode())

    async def main():
        state = Path(sys.argv[1])
        async with open_core_store(state) as core:
            # Few records for each checkpoint, so that many deaths are near one.
            audit = auditing_of(core, state, count=3)
            await core.store.watch("audit", audit.appended)
            await audit.begin(version="1")
            await audit.sign()
            async with Tasks("writer", on_failure=lambda *_: os._exit(3)) as tasks:
                audit.start(tasks)
                async with asyncio.TaskGroup() as group:
                    for number in range(4):
                        group.create_task(work(core, number))

    asyncio.run(main())
    """
)
KILLS = 12


@pytest.mark.timeout(180)
async def test_kill_9_leaves_a_chain_that_holds_with_everything_that_was_acknowledged(
    tmp_path: Path,
):
    acknowledged: set[str] = set()
    signed = 0
    for _ in range(KILLS):
        acknowledged |= lines_until_killed(tmp_path)
        async with open_core_store(tmp_path) as core:
            head = HeadFile(tmp_path / "audit-head.json").read()
            found = await walk(core, head)
            made = {agent.id for agent in await core.registry.agents()}
            records = await core.audit.tail(limit=100_000)

        assert isinstance(found, Walked), found
        created = [one for one in records if one.event is AuditEvent.AGENT_CREATED]
        # Effect and record: both or none.
        assert {one.agent for one in created} == made
        assert len(created) == len(made)
        assert acknowledged <= made
        assert found.signed_through >= signed
        signed = found.signed_through

    starts = [one.event for one in records if one.event.startswith(("daemon.", "store."))]
    assert starts.count(AuditEvent.DAEMON_STARTED) == KILLS
    assert starts.count(AuditEvent.STORE_RECOVERED) == KILLS - 1
    assert AuditEvent.AUDIT_ROLLED_BACK not in {one.event for one in records}
    async with open_core_store(tmp_path) as core:
        audit = auditing_of(core, tmp_path)
        await audit.begin(version="1")
        await audit.end()
        found = await walk(core, None)
    assert isinstance(found, Walked)
    assert found.signed_through == found.last
    assert audit.degraded == ()


async def walk(core: CoreStore, newest: Checkpoint | None) -> Walked | Break:
    key = AuditSigner(core.ring).public_key
    return await core.store.read(
        lambda db: walk_store(db, key, known=() if newest is None else (newest,))
    )


def lines_until_killed(directory: Path) -> set[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    lines: set[str] = set()
    stop_after = 1 + secrets.randbelow(60)
    with process.stdout as pipe:
        for raw in pipe:
            if raw.endswith(b"\n"):
                lines.add(raw.decode().rstrip("\n"))
            if len(lines) == stop_after:
                os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return lines
