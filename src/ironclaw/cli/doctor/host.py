"""Checks of the machine around the wall: ids, directories, disk, clock, image, keys, port."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ironclaw.api.secret_file import read_private
from ironclaw.cli.doctor.check import Finding, Machine, fail, ok, warn
from ironclaw.core.clock import SystemClock
from ironclaw.core.codes import Code
from ironclaw.core.errors import IronClawError
from ironclaw.models.key_files import missing
from ironclaw.sandbox import nest
from ironclaw.sandbox.keeper import keeper_status

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_FREE_BYTES: Final = 2 * 2**30
LEAST_START_BYTES: Final = 256 * 2**20
LEAST_MEMORY_BYTES: Final = 512 * 2**20
EPOCH_MS: Final = 1_767_225_600_000
"""2026-01-01: a clock before this is wrong."""


def subordinate_ids(machine: Machine) -> Finding:
    """Whether an ordinary user has ids to give to boxes, and the programs that give them."""
    if machine.uid == 0:
        return ok("ids", "root has every id; each agent gets a range of its own")
    name = pwd.getpwuid(machine.uid).pw_name
    try:
        for file in ("/etc/subuid", "/etc/subgid"):
            nest.subordinate(Path(file), name, machine.uid)
    except IronClawError as error:
        return fail("ids", error.message, fix=error.hint, code=error.code)
    for program in ("newuidmap", "newgidmap"):
        path = shutil.which(program)
        if path is None:
            return fail("ids", f"{program} is missing.", fix="As root: apt-get install uidmap")
        mode = Path(path).stat().st_mode
        if not mode & stat.S_ISUID and not _has_capability(Path(path)):
            return fail(
                "ids",
                f"{path} is neither setuid root nor has it the capability to map ids.",
                fix="As root: apt-get install --reinstall uidmap",
            )
    return ok("ids", f"{name} has subordinate ids; all agents share their range")


def _has_capability(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def user_namespaces(machine: Machine) -> Finding:
    """Whether the nest could be made: the box is launched in one."""
    if view := machine.probe.get("view"):
        return ok("nest", f"namespaces can be made; the view is at {view}")
    error = machine.probe["error"]
    return fail("nest", error["message"], fix=error["hint"], code=error["code"])


def directories(machine: Machine) -> Finding:
    """Whether state and runtime directories are, or can be made, ours alone."""
    for path in (machine.settings.state_dir, machine.settings.runtime_dir):
        if path.exists():
            info = path.lstat()
            if not stat.S_ISDIR(info.st_mode) or info.st_uid != machine.uid:
                return fail(
                    "directories",
                    f"{path} belongs to somebody else.",
                    fix="Remove it, or set another one in [paths] of the configuration.",
                    code=Code.CONFIG_INVALID,
                )
            if stat.S_IMODE(info.st_mode) & 0o077:
                return warn("directories", f"{path} is open to others.", fix=f"chmod 700 {path}")
            continue
        parent = _existing(path)
        if not os.access(parent, os.W_OK | os.X_OK):
            return fail(
                "directories",
                f"{path} cannot be made: {parent} is not writable.",
                fix="Make it and give it to this user, or set another one in [paths].",
            )
    return ok("directories", f"{machine.settings.state_dir}, {machine.settings.runtime_dir}")


def disk(machine: Machine) -> Finding:
    """Whether there is room for an image and for work."""
    place = _existing(machine.settings.image_dir)
    free = shutil.disk_usage(place).free
    text = f"{free / 2**30:.1f} GiB free at {place}"
    fix = "Free some space, or set paths.state_dir to a larger disk."
    if free < LEAST_START_BYTES:
        return fail("disk", text, fix=fix, code=Code.DISK_FULL)
    if free < LEAST_FREE_BYTES:
        return warn("disk", text, fix=fix)
    return ok("disk", text)


def memory(_machine: Machine) -> Finding:
    """Whether there is memory for a few boxes."""
    fields = dict(_meminfo())
    free = fields.get("MemAvailable", 0) * 1024
    text = f"{free / 2**20:.0f} MiB available; an idle session needs about 36"
    if free < LEAST_MEMORY_BYTES:
        return warn("memory", text, fix="Stop something, or lower sandbox.max_boxes.")
    return ok("memory", text)


def _meminfo() -> Iterator[tuple[str, int]]:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        yield name, int(rest.split()[0])


def clock(_machine: Machine) -> Finding:
    """Whether the clock is sane: tokens, schedules and receipts depend on it."""
    now_ms = SystemClock().now_ms()
    if now_ms < EPOCH_MS:
        return fail("clock", "The clock is years behind.", fix="timedatectl set-ntp true")
    before = time.monotonic()
    time.sleep(0.01)
    if time.monotonic() <= before:
        return fail("clock", "Time does not pass.", fix="Check the machine's clock source.")
    return ok("clock", time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now_ms / 1000)))


def image(machine: Machine) -> Finding:
    """Whether an image is provisioned and complete."""
    from ironclaw.image.provision import current_rootfs  # noqa: PLC0415 - heavy

    try:
        rootfs = asyncio.run(current_rootfs(machine.settings.image_dir))
    except IronClawError as error:
        if error.code is Code.IMAGE_MISSING:
            return warn("image", error.message, fix="ironclaw image build (or just `ironclaw up`)")
        return fail("image", error.message, fix=error.hint, code=error.code)
    return ok("image", f"{rootfs.digest} at {rootfs.path}")


def keys(machine: Machine) -> Finding:
    """Whether what must be secret is."""
    state = machine.settings.state_dir
    if not state.is_dir():
        return ok("keys", "none yet; the first start makes them")
    try:
        read_private(machine.settings.token_file)
        for path in sorted((state / "keys").glob("*")):
            info = path.lstat()
            if stat.S_ISREG(info.st_mode) and (
                info.st_uid != machine.uid or stat.S_IMODE(info.st_mode) & 0o077
            ):
                return fail(
                    "keys",
                    f"{path} is not yours alone.",
                    fix=f"chown {machine.uid} {path}; chmod 600 {path}",
                    code=Code.KEY_UNUSABLE,
                )
    except IronClawError as error:
        return fail("keys", error.message, fix=error.hint, code=error.code)
    except OSError as error:
        return fail("keys", f"{state} cannot be looked at: {error}.", fix="Check its owner.")
    return ok("keys", "readable by this user only")


def models(machine: Machine) -> Finding:
    """Whether each configured provider of models has its key, as seen from here."""
    providers = machine.settings.models.providers
    without = {name: missing(one, os.environ) for name, one in sorted(providers.items())}
    lacking = [f"{name} ({problem})" for name, problem in without.items() if problem]
    if lacking:
        return warn(
            "models",
            f"No key that can be used: {', '.join(lacking)}.",
            fix="Put each key where models.providers says; `env:` is of the daemon's environment.",
        )
    if not providers:
        return ok("models", "scripted alone, which needs no key")
    return ok("models", f"scripted, {', '.join(sorted(providers))}: keys are in place")


def daemon(machine: Machine) -> Finding:
    """Whether the daemon runs, and if not, whether its port is free."""
    running = keeper_status(machine.settings.runtime_dir)
    if running is not None:
        return ok("daemon", f"running (keeper {running.pid})")
    api = machine.settings.api
    if api.tcp and api.port:
        family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((api.host, api.port))
            except OSError as error:
                return fail(
                    "daemon",
                    f"{api.host} port {api.port} is not free: {error.strerror}.",
                    fix="Set api.port (IRONCLAW_API_PORT) to another, or api.tcp = false.",
                    code=Code.CONFLICT,
                )
        return ok("daemon", "not running; its port is free")
    return ok("daemon", "not running")


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
