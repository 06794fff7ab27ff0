"""Airlocks inside a user namespace, with the same walls as outside of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.hostile, pytest.mark.root_only]

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, json, os, sys
from pathlib import Path
from ironclaw.airlock import syscalls
from tests.support import slots

# Somebody outside has to write the map: a child that stays there.
is_in, enter = os.pipe()
if (mapper := os.fork()) == 0:
    os.read(is_in, 1)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{os.getppid()}/{name}").write_text("0 0 65536")
    os._exit(0)
syscalls.unshare(0x10000000 | syscalls.CLONE_NEWNS)
os.write(enter, b"x")
os.waitpid(mapper, 0)

async def main():
    slots._BASE = 0
    slots._LANE = 0
    async with slots.slots() as (slot,):
        await slot.bring_up()
        got = await slot.send("msg_a")
        status = Path(f"/proc/{slot.link.pid}/status").read_text().splitlines()
        uid = [line.split()[1] for line in status if line.startswith("Uid:")][0]
        (slot.out / "deep").mkdir()
        (slot.out / "deep" / "link").symlink_to("/etc")
        slots.give(slot, [slot.out / "deep", slot.out / "deep" / "link"])
        await slot.starter.sweep(slot.dir)
        print(json.dumps({
            "got": got, "missing": slot.link.missing, "uid": uid,
            "root": sorted(os.listdir(f"/proc/{slot.link.pid}/root")),
            "left": os.listdir(slot.out),
        }))

asyncio.run(main())
"""


def test_an_airlock_in_a_user_namespace_misses_nothing() -> None:
    """Root of a namespace that owns nothing outside: ids, mounts and network are still its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "got": ["msg_a"],
        "missing": [],
        "uid": "65531",
        "root": ["in", "out", "run"],
        "left": [],
    }
