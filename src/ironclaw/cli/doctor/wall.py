"""Checks of the wall: runsc and what one tiny box saw. All pure but for runsc's own version."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from ironclaw.cli.doctor.check import Finding, Machine, fail, ok, warn
from ironclaw.core.errors import IronClawError
from ironclaw.sandbox import cgroups
from ironclaw.sandbox.process import run
from ironclaw.sandbox.runsc import Runsc

PROBE_S = 60.0
SANDBOX_KERNEL = "Linux version 4.4.0"
"""What gVisor's kernel calls itself."""


def runsc_version(machine: Machine) -> Finding:
    """Whether runsc is there and new enough."""
    program = machine.settings.sandbox.runsc
    runsc = Runsc(machine.settings.runtime_dir, cgroups=False, program=program)
    try:
        version = asyncio.run(runsc.version())
    except IronClawError as error:
        return fail("runsc", error.message, fix=error.hint, code=error.code)
    return ok("runsc", f"{shutil.which(program)} is {version.text}")


def launch(program: str, platform: str) -> dict[str, Any]:
    """Launch the tiny box; the answer is `facts` or `error` of `ironclaw.cli.doctor.box`."""
    # A missing program is tried too: the nest comes first, and is worth knowing about.
    path = shutil.which(program) or program
    argv = [sys.executable, "-s", "-P", "-m", "ironclaw.cli.doctor.box", path, platform]
    try:
        done = asyncio.run(run(argv, timeout_s=PROBE_S))
    except IronClawError as error:
        return _error(error.code, error.message, error.hint, error.detail)
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return _error(
            "host_unsuited", "The probe broke.", "Please report its output.", done.stderr[-2000:]
        )
    return told


def _error(code: str, message: str, hint: str, detail: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "hint": hint, "detail": detail}}


def box(machine: Machine) -> Finding:
    """Whether a box launches: nest, id map, platform and host sockets at once."""
    if error := machine.probe.get("error"):
        detail = f" [{error['detail'].strip()[-300:]}]" if error["detail"].strip() else ""
        return fail("box", error["message"] + detail, fix=error["hint"], code=error["code"])
    facts = machine.probe["facts"]
    kernel = facts["kernel"]
    if not kernel.startswith(SANDBOX_KERNEL) or kernel == _own_kernel():
        return fail(
            "box",
            f"The box's kernel says {kernel!r}: that is not gVisor.",
            fix="sandbox.runsc names another program; set it to gVisor's runsc.",
            code="runtime_failed",
        )
    platform = machine.settings.sandbox.platform
    took_ms = facts["took_ms"]
    return ok("box", f"a sealed box ran on {platform} in {took_ms} ms and reached its socket")


def _own_kernel() -> str:
    return Path("/proc/version").read_text(encoding="utf-8").strip()[:200]


def seccomp(machine: Machine) -> Finding:
    """Whether the seccomp profile is in force inside, which runsc can ignore silently."""
    if "facts" not in machine.probe:
        return _unknown("oci-seccomp")
    mode = machine.probe["facts"]["seccomp"]
    if mode != "2":
        return fail(
            "oci-seccomp",
            f"The filter is not in force in the box (mode {mode}).",
            fix="Install runsc 20240729 or newer, which knows --oci-seccomp.",
            code="posture_failed",
        )
    return ok("oci-seccomp", "the filter is in force in the box")


def sealed(machine: Machine) -> Finding:
    """Whether the box has no network, no capability, no write and no company."""
    if "facts" not in machine.probe:
        return _unknown("sealed")
    facts = machine.probe["facts"]
    wrong = [
        name
        for name, is_wrong in (
            ("network", set(facts["interfaces"]) - {"lo"}),
            ("capabilities", facts["cap_eff"].strip("0")),
            ("writable root", facts["root_writable"]),
            ("other processes", facts["processes"] > 1),
            ("uid", facts["uid"] != ["65532"]),
        )
        if is_wrong
    ]
    if wrong:
        return fail(
            "sealed",
            f"The box has what it must not have: {', '.join(wrong)}.",
            fix="Check which runsc this is: `ironclaw doctor --json` has what the box saw.",
            code="posture_failed",
        )
    return ok("sealed", "no network, no capability, no write to the root, alone, uid 65532")


def limits(machine: Machine) -> Finding:
    """Whether boxes can be limited by cgroups."""
    version = cgroups.detect().version
    if version:
        return ok("cgroups", f"version {version}: memory, processor and processes are limited")
    fix = (
        "Start as root. This user would have to own /sys/fs/cgroup itself, as in a container whose "
        "cgroups are delegated to it, or with version 1 its memory, cpu and pids directories. "
        "Rlimits, the disk caps and the sizes of temporary file systems hold all the same."
        if machine.uid
        else "Mount cgroups, or start outside the container that hides them."
    )
    return warn("cgroups", "this user cannot limit a box's memory and processor", fix=fix)


def _unknown(name: str) -> Finding:
    return fail(name, "Not tried: no box came up.", fix="Mend the check `box` first.")
