"""Clears what sandboxes of a keeper that is gone left in its runtime directory. No event loop.

Sentries and gofers that still run are killed, cgroups removed, and bundles and runsc's state files
deleted. Only files that the core and runsc wrote are read; nothing that a box could write is.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Final

from ironclaw.sandbox import airlock_group, cgroups

_WAIT_S: Final = 5.0


def clear(runtime_dir: Path) -> None:
    """Kill and remove all sandboxes of a runtime directory. Never raises OSError."""
    killed: list[tuple[int, bytes]] = []
    for file in sorted((runtime_dir / "runsc").glob("*.state")):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            state = json.loads(file.read_bytes())
            name = str(state["id"]).encode()
            pids = (state.get("sandbox") or {}).get("pid", 0), state.get("goferPid", 0)
            for pid in pids:
                if isinstance(pid, int) and _is_runsc(pid, name):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append((pid, name))
    deadline = time.monotonic() + _WAIT_S
    while any(_is_runsc(pid, name) for pid, name in killed) and time.monotonic() < deadline:
        time.sleep(0.005)
    groups = cgroups.detect()
    for bundle in _bundles(runtime_dir):
        box = f"{cgroups.PARENT}/{bundle.name}"
        airlock_group.remove(groups, airlock_group.path_of(box))
        _remove_group(groups, box)
    cgroups.remove_parent(groups)
    for directory in ("runsc", "bundles"):
        shutil.rmtree(runtime_dir / directory, ignore_errors=True)


def _bundles(runtime_dir: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [entry for entry in (runtime_dir / "bundles").iterdir() if entry.is_dir()]
    return []


def _remove_group(groups: cgroups.Cgroups, path: str) -> None:
    # A killed process leaves its group a moment after it is gone from /proc.
    for _ in range(100):
        cgroups.remove(groups, path)
        if not groups.usable or not cgroups.directories(groups, path):
            return
        time.sleep(0.005)


def _is_runsc(pid: int, name: bytes) -> bool:
    if pid <= 0:
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    # A gofer is not told its id, only its bundle, which is named after the slot.
    slot = name.removeprefix(b"ironclaw-")
    return name in words or any(
        word.startswith(b"--bundle=") and word.endswith(b"/" + slot) for word in words
    )
