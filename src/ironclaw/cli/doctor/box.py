"""Launches one tiny box, as sealed as a real one, and reports what it sees of its walls.

Runs as a program of its own (`python -m ironclaw.cli.doctor.box`), because it moves into a nest.
The box's root is this machine's own, read-only; in it an interpreter connects to a socket of ours
and sends a few lines of /proc through. So one launch tries the nest, the platform, host sockets,
the seccomp filter, the network namespace and the id map. The answer is one JSON object.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError
from ironclaw.sandbox import cgroups, nest
from ironclaw.sandbox.ids import id_range, own_mapped_ids
from ironclaw.sandbox.process import run
from ironclaw.sandbox.runsc import FLAGS
from ironclaw.sandbox.seccomp import profile
from ironclaw_contract.limits import SANDBOX_GID, SANDBOX_UID

BOX_S: Final = 20.0
"""Seconds for the whole life of the box; some platforms hang instead of failing."""
MAX_SAID_BYTES: Final = 64 * 1024
LANE: Final = 0
_PLACE: Final = "/tmp"  # noqa: S108 - inside the box, and there on every machine
PROGRAM: Final = """
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
s.connect("/tmp/bell.sock")
def head(p):
    try:
        with open(p) as f: return f.read(4096)
    except OSError as e: return "!" + type(e).__name__
def can_write(p):
    try:
        with open(p + "/ironclaw-doctor", "w"): return "yes"
    except OSError: return "no"
parts = [head("/proc/self/status"), head("/proc/net/dev"), head("/proc/version"),
         can_write("/etc"), ",".join(os.listdir("/proc"))]
s.sendall("\\0".join(parts).encode())
"""


def main() -> int:
    """Try, print what came of it, return 0 whatever that is."""
    told: dict[str, Any] = {}
    place = Path(tempfile.mkdtemp(prefix="ironclaw-doctor-"))
    try:
        told["view"] = str(nest.enter(avoid=[place, Path(sys.argv[1]).absolute()]))
        told["facts"] = asyncio.run(_launch(sys.argv[1], sys.argv[2], place))
    except IronClawError as error:
        told["error"] = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "detail": error.detail,
        }
    finally:
        shutil.rmtree(place, ignore_errors=True)
    sys.stdout.write(json.dumps(told))
    return 0


def _prepare(place: Path) -> Path:
    """Make what the box gets; returns where its socket goes.

    The gofer reaches these as an id of the box's range, so they are open; the name is secret enough
    for the second they exist.
    """
    shared = place / "shared"
    shared.mkdir()
    place.chmod(0o711)
    shared.chmod(0o755)
    name = f"ironclaw-doctor-{os.getpid()}"
    bundle = place / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_bytes(msgspec.json.encode(_spec(shared, name)))
    return shared / "bell.sock"


async def _launch(runsc: str, platform_name: str, place: Path) -> dict[str, Any]:
    said: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw = await _bounded(reader)
        if not said.done():
            said.set_result(raw)
        writer.close()

    bell = _prepare(place)
    server = await asyncio.start_unix_server(hear, bell)
    os.chmod(bell, 0o777)  # noqa: S103, PTH101 - see _prepare; nothing secret is said there
    groups = cgroups.detect()
    name = f"ironclaw-doctor-{os.getpid()}"
    extra = () if groups.usable else ("--ignore-cgroups",)
    flags = (*FLAGS, f"--platform={platform_name}", *extra)
    base = (runsc, f"--root={place / 'runsc'}", *flags)
    began = time.monotonic()
    try:
        done = await run((*base, "run", "-bundle", str(place / "bundle"), name), timeout_s=BOX_S)
        took_ms = round(1000 * (time.monotonic() - began))
        if done.status != 0:
            raise HostError(
                Code.RUNTIME_FAILED,
                f"The box ended with status {done.status}.",
                hint="The detail says why; without a reason, see `runsc --debug`.",
                detail=(done.stdout + done.stderr)[-2000:],
            )
        async with asyncio.timeout(1.0):
            raw = await said
    except TimeoutError as error:
        raise HostError(
            Code.RUNTIME_FAILED,
            "The box ran but could not reach a socket of the host.",
            hint="runsc must understand --host-uds=open: install 20240729 or newer.",
        ) from error
    finally:
        server.close()
        with contextlib.suppress(HostError):
            await run((*base, "delete", "-force", name), timeout_s=BOX_S)
        cgroups.remove(groups, f"{cgroups.PARENT}/{name}")
        cgroups.remove_parent(groups)
    return _facts(raw) | {"took_ms": took_ms}


async def _bounded(reader: asyncio.StreamReader) -> bytes:
    chunks = b""
    while len(chunks) < MAX_SAID_BYTES and (chunk := await reader.read(8192)):
        chunks += chunk
    return chunks


def _facts(raw: bytes) -> dict[str, Any]:
    parts = raw.decode("utf-8", "replace").split("\0")
    if len(parts) != 5:  # noqa: PLR2004 - as PROGRAM sends
        raise HostError(
            Code.RUNTIME_FAILED, "The box said something else.", hint="Run the doctor again."
        )
    status, network, version, writable, processes = parts
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    lines = network.splitlines()[2:]
    return {
        "seccomp": fields.get("Seccomp", "?").strip(),
        "cap_eff": fields.get("CapEff", "?").strip(),
        "no_new_privs": fields.get("NoNewPrivs", "?").strip(),
        "uid": fields.get("Uid", "?").split()[:1],
        "interfaces": [line.split(":", 1)[0].strip() for line in lines],
        "kernel": version.strip()[:200],
        "root_writable": writable == "yes",
        "processes": sum(word.isdigit() for word in processes.split(",")),
    }


def _interpreter() -> str:
    """A Python that an id of the box can reach: not one in somebody's home directory."""
    system = Path("/usr/bin/python3")
    return str(system if system.exists() else Path(sys.executable).resolve())


def _spec(shared: Path, name: str) -> dict[str, Any]:
    ids = id_range(own_mapped_ids(), LANE)
    mapping = [{"containerID": 0, "hostID": ids.base, "size": ids.size}]
    empty: dict[str, list[str]] = {
        kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")
    }
    namespaces = ("pid", "network", "ipc", "uts", "mount", "user")
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": SANDBOX_UID, "gid": SANDBOX_GID},
            "args": [_interpreter(), "-I", "-S", "-c", PROGRAM],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "capabilities": empty,
            "noNewPrivileges": True,
        },
        "root": {"path": "/", "readonly": True},
        "hostname": "doctor",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {
                "destination": _PLACE,
                "type": "bind",
                "source": str(shared),
                "options": ["rbind", "ro", "nosuid", "nodev", "noexec"],
            },
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in namespaces],
            "uidMappings": mapping,
            "gidMappings": mapping,
            "cgroupsPath": f"/ironclaw/{name}",
            "resources": {"memory": {"limit": 256 * 2**20}, "pids": {"limit": 256}},
            "seccomp": profile(platform.machine()),
        },
    }


if __name__ == "__main__":
    sys.exit(main())
