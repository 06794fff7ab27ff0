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
from ironclaw.sandbox.slotdir import checked_name

_WAIT_S: Final = 5.0


def clear(runtime_dir: Path) -> None:
    """Kill and remove all sandboxes of a runtime directory. Never raises OSError."""
    killed: list[tuple[int, bytes]] = []
    slots: set[str] = set()
    for file in sorted((runtime_dir / "runsc").glob("*.state")):
        with contextlib.suppress(OSError, ValueError, AttributeError, LookupError, TypeError):
            state = json.loads(file.read_bytes())
            name = str(state["id"]).encode()
            # Neither the group of all boxes nor one above it.
            slots.add(checked_name(_slot(name).decode()))
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
    for slot in sorted(slots | {bundle.name for bundle in _bundles(runtime_dir)}):
        box = f"{cgroups.PARENT}/{slot}"
        cgroups.end(groups, airlock_group.path_of(box))
        cgroups.end(groups, box)
    cgroups.remove_parent(groups)
    for directory in ("runsc", "bundles"):
        shutil.rmtree(runtime_dir / directory, ignore_errors=True)


def _bundles(runtime_dir: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [entry for entry in (runtime_dir / "bundles").iterdir() if entry.is_dir()]
    return []


def _is_runsc(pid: int, name: bytes) -> bool:
    if pid <= 0:
        return False
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    # A gofer is not told its id, only its bundle, which is named after the slot.
    return name in words or any(
        word.startswith(b"--bundle=") and word.endswith(b"/" + _slot(name)) for word in words
    )


def _slot(name: bytes) -> bytes:
    return name.removeprefix(b"ironclaw-")
