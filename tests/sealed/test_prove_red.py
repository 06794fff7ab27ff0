"""Taking any single control out of the source, by hand, turns the proof red with the right name."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.support.tree import SOURCE

if TYPE_CHECKING:
    from tests.support.house import Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(300)]


class Removed(NamedTuple):
    """One edit of the source and what the proof must say of it."""

    file: str
    old: str
    new: str
    only: tuple[str, ...]
    red: frozenset[str]
    """Checks that must fail, at least."""


def red(*names: str) -> frozenset[str]:
    return frozenset(names)


BOX = ("posture", "wall")
REMOVED = {
    "runsc --network=none": Removed(
        "sandbox/runsc.py",
        '    "--network=none",',
        '    "--network=host",',
        BOX,
        red("posture.flag_network", "posture.outside.sentry.flags"),
    ),
    "runsc --oci-seccomp": Removed(
        "sandbox/runsc.py",
        '    "--oci-seccomp",\n',
        "",
        BOX,
        red("posture.flag_oci_seccomp", "process.fork", "privilege.seccomp_mode"),
    ),
    "runsc --directfs=false": Removed(
        "sandbox/runsc.py",
        '    "--directfs=false",\n',
        "",
        ("posture",),
        red("posture.flag_directfs", "posture.outside.sentry.capabilities"),
    ),
    "spec root.readonly": Removed(
        "sandbox/spec.py",
        "readonly: bool = True",
        "readonly: bool = False",
        ("spec",),
        red("spec.root.readonly"),
    ),
    "spec process.user": Removed(
        "sandbox/spec.py",
        "uid: int = SANDBOX_UID",
        "uid: int = 0",
        ("spec",),
        red("spec.process.user.uid"),
    ),
    "spec process.capabilities": Removed(
        "sandbox/spec.py",
        "bounding: tuple[str, ...] = ()",
        'bounding: tuple[str, ...] = ("CAP_NET_RAW",)',
        ("spec",),
        red("spec.process.capabilities"),
    ),
    "spec network namespace": Removed(
        "sandbox/spec.py",
        '"mount", "network", "user")',
        '"mount", "user")',
        ("spec",),
        red("spec.linux.namespaces"),
    ),
    "spec maskedPaths": Removed(
        "sandbox/spec.py",
        '    "/proc/kcore",\n',
        "",
        ("spec",),
        red("spec.linux.maskedPaths"),
    ),
    "mount /queue/in ro": Removed(
        "sandbox/spec.py",
        'bind("/queue/in", f"{slot}/box/in", "ro")',
        'bind("/queue/in", f"{slot}/box/in", "rw")',
        ("spec",),
        red("spec.mounts"),
    ),
    "mount options nosuid, nodev, noexec": Removed(
        "sandbox/spec.py",
        '_SAFE: Final = ("nosuid", "nodev", "noexec")',
        '_SAFE: Final = ("nosuid", "nodev")',
        ("spec",),
        red("spec.mounts"),
    ),
    "mount /tmp size": Removed(
        "sandbox/spec.py",
        'f"size={TMP_BYTES}"',
        '"size=1g"',
        ("spec",),
        red("spec.mounts"),
    ),
    "rlimit NOFILE": Removed(
        "sandbox/spec.py",
        '("RLIMIT_NOFILE", limits.files)',
        '("RLIMIT_NOFILE", 4096)',
        ("wall",),
        red("resources.open_files"),
    ),
    "mount out/ nr_inodes": Removed(
        "sandbox/slotdir.py",
        ",nr_inodes={OUT_DIR_INODES}",
        "",
        ("wall",),
        red("resources.out_inodes"),
    ),
    "mount out/ size": Removed(
        "sandbox/slotdir.py",
        'f"size={OUT_DIR_BYTES},',
        'f"size=1g,',
        ("wall",),
        red("resources.out_bytes"),
    ),
    "nest read-only bind of the root": Removed(
        "sandbox/isolator.py",
        "rootfs, read_only=True, programs=True",
        "rootfs, programs=True",
        ("posture",),
        red("posture.bind_root"),
    ),
    "airlock seccomp": Removed(
        "airlock/confine.py",
        "    controls.attempt(SECCOMP, seccomp.install)\n",
        "",
        ("airlock",),
        red("airlock.seccomp_mode", "airlock.socket_inet", "airlock.fork"),
    ),
    "airlock landlock": Removed(
        "airlock/confine.py",
        "    controls.attempt(LANDLOCK, lock)\n",
        "",
        ("airlock",),
        red("airlock.parents", "airlock.forge_outbound"),
    ),
    "airlock rlimits": Removed(
        "airlock/confine.py",
        "(resource.RLIMIT_FSIZE, MAX_SEGMENT_BYTES),",
        "",
        ("airlock",),
        red("airlock.large_file"),
    ),
    "airlock no_new_privs": Removed(
        "airlock/confine.py",
        "lambda: syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)",
        "lambda: None",
        ("airlock",),
        red("airlock.no_new_privs"),
    ),
    "airlock read-only root": Removed(
        "airlock/confine.py",
        "syscalls.MS_REMOUNT | syscalls.MS_RDONLY | _NARROW",
        "syscalls.MS_REMOUNT | _NARROW",
        ("airlock",),
        red("airlock.mounts"),
    ),
    "airlock mount options": Removed(
        "airlock/confine.py",
        "= syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC",
        "= syscalls.MS_NOSUID | syscalls.MS_NODEV",
        ("airlock",),
        red("airlock.mounts"),
    ),
    "airlock former root": Removed(
        "airlock/confine.py",
        '        syscalls.umount(".")\n',
        "",
        ("airlock",),
        red("airlock.mounts"),
    ),
    "airlock own uid": Removed(
        "sandbox/ids.py",
        "return self.base + SANDBOX_UID - 1",
        "return self.base + SANDBOX_UID",
        ("airlock",),
        red("airlock.identity"),
    ),
    "airlock umask": Removed(
        "airlock/confine.py",
        "os.umask(0o007)",
        "os.umask(0o000)",
        ("airlock",),
        red("airlock.umask"),
    ),
    "queue O_NOFOLLOW": Removed(
        "airlock/queue.py",
        "os.O_RDONLY | os.O_NOFOLLOW | ",
        "os.O_RDONLY | ",
        ("queue",),
        red("queue.symlink_segment"),
    ),
    "queue one link": Removed(
        "airlock/queue.py",
        "            or found.st_nlink != 1\n",
        "",
        ("queue",),
        red("queue.hard_link"),
    ),
    "rlimit NPROC": Removed(
        "sandbox/spec.py",
        '("RLIMIT_NPROC", limits.pids)',
        '("RLIMIT_NPROC", 4096)',
        ("spec",),
        red("spec.limits_as_asked"),
    ),
    "cgroup pids": Removed(
        "sandbox/spec.py",
        "pids=Pids(limit=limits.pids + RUNTIME_PIDS)",
        "pids=Pids(limit=4096)",
        ("spec",),
        red("spec.limits_as_asked"),
    ),
    "oom score": Removed(
        "sandbox/spec.py",
        "oom_score_adj: int = 500",
        "oom_score_adj: int = 1",
        ("spec",),
        red("spec.process.oomScoreAdj"),
    ),
    "mode of in/, run/ and out/": Removed(
        "sandbox/slotdir.py",
        "(path / name).mkdir(mode=0o750)",
        "(path / name).mkdir(mode=0o755)",
        ("ground",),
        red("posture.mode_in", "posture.mode_run"),
    ),
    "mode of durable directories": Removed(
        "sandbox/slotdir.py",
        "mode = 0o755 if shared else 0o700",
        "mode = 0o755",
        ("ground",),
        red("posture.mode_workspace", "posture.mode_memory"),
    ),
    "control group of the airlock": Removed(
        "sandbox/airlock_group.py",
        '        "pids": (("pids.max", PIDS),),\n    },\n    _V2',
        '        "pids": (("pids.max", "max"),),\n    },\n    _V2',
        ("ground",),
        red("posture.airlock_pids"),
    ),
    "verdict on a launch": Removed(
        "sandbox/posture.py",
        "    if failed:\n",
        "    if False:\n",
        ("refusals",),
        red("posture.refused_fact"),
    ),
    "digest of the launched spec": Removed(
        "sandbox/isolator.py",
        "        if not same_spec:\n",
        "        if False:\n",
        ("refusals",),
        red("posture.refused_spec"),
    ),
    "start time beside each pid": Removed(
        "sandbox/isolator.py",
        "running is None or start_ticks(box.pid) != box.started or running.pid != box.pid",
        "running is None or running.pid != box.pid",
        ("refusals",),
        red("posture.refused_process"),
    ),
    "check of each spec": Removed(
        "sandbox/isolator.py",
        "        check_spec(oci, self._expected._replace(shown=tuple(pairs)))\n",
        "",
        ("refusals",),
        red("spec.refused_launch"),
    ),
    "range of ids for each agent": Removed(
        "sandbox/ids.py",
        "IdRange(FIRST_BASE + lane * RANGE, RANGE, own=True)",
        "IdRange(FIRST_BASE, RANGE, own=True)",
        ("refusals",),
        red("files.agent_ids"),
    ),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the source to take something out of."""
    return Path(shutil.copytree(SOURCE, tmp_path / "src", ignore=shutil.ignore_patterns("__py*")))


ROOT_ONLY = ("control group of the airlock", "range of ids for each agent")
"""What an ordinary user's house goes without, and says so."""


@pytest.mark.parametrize(
    "control",
    [
        pytest.param(name, marks=[pytest.mark.root_only] if name in ROOT_ONLY else [])
        for name in REMOVED
    ],
)
def test_a_removed_control_is_named(own_houses: Houses, source: Path, control: str) -> None:
    removed = REMOVED[control]
    file = source / "ironclaw" / removed.file
    text = file.read_text()
    assert text.count(removed.old) == 1, "the source has changed: say anew what is taken out"
    file.write_text(text.replace(removed.old, removed.new))
    path = ":".join([str(source), *(each for each in sys.path if each)])

    with own_houses.closed() as house:
        chosen = [word for name in removed.only for word in ("--only", name)]
        said = house.cli("prove", "--json", *chosen, environment={"PYTHONPATH": path})

    failed = {row["name"] for row in said.told["rows"] if not row["passed"]}
    assert said.status != 0
    assert removed.red <= failed
