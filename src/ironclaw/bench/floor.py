"""The floor under the figures: what the same runsc with the same flags costs when nothing is done.

Two measurements, in the same run as the others: the whole life of a sandbox with a trivial program,
and an echo over a host unix socket through the wall. Both use the machine's own root, read-only.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.sandbox import nest
from ironclaw.sandbox.ids import id_range, own_mapped_ids
from ironclaw.sandbox.process import run
from ironclaw.sandbox.runsc import FLAGS, PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Sequence

_LIMIT_S: Final = 60.0
_ECHO: Final = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/srv/echo")
for _ in range(int(sys.argv[1])):
    s.sendall(b"x")
    s.recv(1)
"""


async def bare_runs(count: int, work: Path) -> list[float]:
    """Seconds of each `runsc run` of `/bin/true`, from start to end. Raises HostError."""
    bundle = _bundle(work / "true", ["/bin/true"])
    taken = []
    for number in range(count):
        began = time.perf_counter()
        await _run(bundle, work, f"floor-{os.getpid()}-{number}")
        taken.append(time.perf_counter() - began)
    return taken


async def echoes(count: int, work: Path) -> list[float]:
    """Seconds between two bytes from the box of an echo through the wall. Raises HostError."""
    # The gofer opens it as the box's id 0, which gets past no closed directory.
    share = nest.require(None) / "floor"
    share.mkdir(mode=0o755, exist_ok=True)
    times: list[float] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while byte := await reader.read(1):
            times.append(time.perf_counter())
            writer.write(byte)
        writer.close()

    server = await asyncio.start_unix_server(serve, share / "echo")
    (share / "echo").chmod(0o777)
    try:
        args = ["/usr/bin/python3", "-I", "-S", "-c", _ECHO, str(count)]
        await _run(_bundle(work / "echo", args, share), work, f"floor-{os.getpid()}-echo")
    finally:
        server.close()
        shutil.rmtree(share)
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def _bundle(bundle: Path, args: Sequence[str], share: Path | None = None) -> Path:
    ids = id_range(own_mapped_ids(), 0)
    mapping = [{"containerID": 0, "hostID": ids.base, "size": ids.size}]
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"}]
    if share is not None:
        mounts.append({"destination": "/srv", "type": "bind", "source": str(share)})
    kinds = ("pid", "ipc", "uts", "mount", "network", "user")
    spec = {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 65532, "gid": 65532},
            "args": list(args),
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": True,
        },
        "root": {"path": "/", "readonly": True},
        "mounts": mounts,
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "uidMappings": mapping,
            "gidMappings": mapping,
        },
    }
    bundle.mkdir(mode=0o700, parents=True, exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(spec), encoding="utf-8")
    return bundle


async def _run(bundle: Path, work: Path, name: str) -> None:
    flags = (*FLAGS, f"--platform={PLATFORMS[0]}", "--ignore-cgroups", f"--root={work / 'runsc'}")
    argv = ("runsc", *flags, "run", "-bundle", str(bundle), name)
    done = await run(argv, timeout_s=_LIMIT_S)
    if done.status != 0:
        raise HostError(
            Code.RUNTIME_FAILED,
            "A bare sandbox could not be run, so there is no floor to compare with.",
            hint="`ironclaw doctor` tries each thing a sandbox needs.",
            detail=f"{done.status} {done.stderr}",
        )
