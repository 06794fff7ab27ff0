"""The store under kill -9 and on a full disk: what was acknowledged stays, nothing is half made."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.testing.fakes_store import open_core_store, outbound
from ironclaw_contract.records import Say, TurnEnd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.crash

WRITER = textwrap.dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from ironclaw.core.ids import SessionId
    from ironclaw.testing.fakes_store import open_core_store, outbound
    from ironclaw_contract.entries import Answered
    from ironclaw_contract.records import Say, TurnEnd

    async def work(core, number):
        talk = await core.begin(name=f"a{number}-{os.getpid()}", place=f"p{number}-{os.getpid()}")
        await core.ledger.begin_epoch(talk.session, workspace="w")
        for seq in range(1, 100_000):
            heard = await talk.hear(f"m{seq}")
            os.write(1, f"heard {heard.message.id}\\n".encode())
            id_ = heard.message.id
            end = TurnEnd(turn=id_, index=0, entries=(Answered("x"),),
                          says=(Say("one", id_), Say("two", id_)))
            await core.ledger.commit(talk.session, 1, outbound(seq, end))
            os.write(1, f"answered {id_}\\n".encode())

    async def main():
        async with open_core_store(Path(sys.argv[1])) as core:
            async with asyncio.TaskGroup() as group:
                for number in range(8):
                    group.create_task(work(core, number))

    asyncio.run(main())
    """
)


@pytest.mark.timeout(120)
async def test_kill_9_loses_nothing_acknowledged_and_leaves_no_half_transaction(tmp_path: Path):
    heard: set[str] = set()
    answered: set[str] = set()
    for _ in range(4):
        for line in lines_until_killed(tmp_path):
            word, _, id_ = line.partition(" ")
            (heard if word == "heard" else answered).add(id_)
        async with open_core_store(tmp_path) as core:
            kept = await core.store.read(
                lambda db: list(
                    db.execute(
                        "SELECT m.id, m.status, m.next_index, (SELECT count(*) FROM delivery d"
                        " WHERE d.message = m.id), (SELECT count(*) FROM step s"
                        " WHERE s.turn = m.id), (SELECT count(*) FROM event e"
                        " WHERE e.message = m.id AND e.session = m.session) FROM message m"
                    )
                )
            )
            gaps = await core.store.read(
                lambda db: list(
                    db.execute(
                        "SELECT c.id FROM chat c WHERE c.last_event <>"
                        " (SELECT count(*) FROM event e WHERE e.chat = c.id)"
                    )
                )
            )
        assert heard <= {row[0] for row in kept}
        assert answered <= {row[0] for row in kept if row[1] == "answered"}
        shapes = {row[1:] for row in kept}
        assert shapes <= {("answered", 1, 2, 1, 3), ("pending", 0, 0, 0, 1)}
        assert gaps == []
    assert len(answered) > 50


def lines_until_killed(directory: Path) -> list[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    lines: list[str] = []
    stop_after = 60 + secrets.randbelow(200)
    with process.stdout as pipe:
        for raw in pipe:
            lines.append(raw.decode().rstrip("\n"))
            if len(lines) == stop_after:
                os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return lines


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.root_only
async def test_a_full_disk_is_said_and_the_store_works_again_when_there_is_space(
    small_disk: Path,
):
    ballast = small_disk / "ballast"
    async with open_core_store(small_disk) as core:
        talk = await core.begin()
        await core.ledger.begin_epoch(talk.session, workspace="w")
        first = await talk.hear("before")
        fill(ballast)
        kept = 1
        with pytest.raises(HostError) as caught:  # noqa: PT012 - it fails at some round
            while kept < 200:
                await talk.hear("x" * 20_000, external_id=f"n{kept}")
                kept += 1
        assert caught.value.code is Code.DISK_FULL
        assert caught.value.hint
        assert len(await core.ledger.backlog(talk.session)) == kept
        ballast.unlink()
        again = await talk.hear("x" * 20_000, external_id="again")
        assert again.new
        say = Say(text="answer", reply_to=first.message.id)
        done = await core.ledger.commit(
            talk.session,
            1,
            outbound(1, TurnEnd(turn=first.message.id, index=0, entries=(), says=(say,))),
        )
        assert len(done.deliveries) == 1
    async with open_core_store(small_disk) as core:
        assert len(await core.ledger.backlog(talk.session)) == kept


@pytest.mark.root_only
async def test_a_first_start_on_a_full_disk_can_be_tried_again(small_disk: Path):
    ballast = small_disk / "ballast"
    fill(ballast)
    with pytest.raises(HostError) as caught:
        async with open_core_store(small_disk):
            pass
    assert caught.value.code is Code.DISK_FULL
    ballast.unlink()
    async with open_core_store(small_disk) as core:
        talk = await core.begin()
        assert (await talk.hear("hello")).new


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
