"""What a box must not read, write, run or fill."""

from __future__ import annotations

from typing import Final

from ironclaw.prove import controls as w
from ironclaw.prove.model import Check

_NO_WRITE: Final = frozenset({"EROFS", "EACCES", "EPERM"})
_MODE: Final = frozenset({"EACCES"})
_REFUSED: Final = frozenset({"EPERM"})
_NONE: Final = frozenset({"none"})
_FULL: Final = frozenset({"capped No space left on device"})
_READ_ONLY: Final = {
    "in": ("/queue/in", "the host's records", w.IN_READ_ONLY),
    "run": ("/run/ironclaw", "its sockets", w.RUN_READ_ONLY),
    "shared": ("/shared", "what people share with it", w.SHARED_READ_ONLY),
}
_PROGRAMS: Final = {
    "workspace": "/workspace",
    "memory": "/memory",
    "out": "/queue/out",
    "tmp": "/tmp",  # noqa: S108 - the box's own
}


def _flag(name: str) -> Check:
    place, what, control = _READ_ONLY[name]
    return Check(
        f"files.{name}_flag",
        f"The box's kernel itself holds {what} read-only.",
        f"read the options of {place} in /proc/mounts",
        control,
        frozenset({"ro"}),
        twin=f"{name}-flag",
    )


def _write(name: str) -> Check:
    place, what, _ = _READ_ONLY[name]
    return Check(
        f"files.{name}_write",
        f"A box cannot change {what}.",
        f"make a file in {place}",
        w.OWNER,
        _NO_WRITE,
        twin=f"{name}-writable",
    )


def _program(name: str) -> Check:
    place = _PROGRAMS[name]
    return Check(
        f"files.{name}_program",
        f"A box cannot run a program from {place}.",
        f"put a program into {place} and execute it",
        w.SECCOMP,
        _REFUSED,
        twin=f"exec-{place.strip('/').replace('/', '-')}",
    )


def _powerful(name: str, claim: str, attack: str) -> Check:
    return Check(f"files.{name}", claim, attack, w.SECCOMP, _REFUSED, twin="all-powerful")


def _modes(name: str, claim: str, attack: str, expected: frozenset[str] = _MODE) -> Check:
    return Check(f"files.{name}", claim, attack, w.NO_USER, expected, twin="all-powerful")


FILES: Final = (
    Check(
        "files.root_flag",
        "The root file system is read-only to the box's kernel.",
        "read the options of / in /proc/mounts",
        w.READ_ONLY_ROOT,
        frozenset({"ro"}),
        twin="root-flag",
    ),
    Check(
        "files.root_write",
        "A box cannot write to the root file system, whatever modes allow.",
        "make a file in a directory that is open to everybody",
        w.READ_ONLY_ROOT,
        frozenset({"EROFS"}),
        twin="writable-root",
    ),
    *(_flag(name) for name in _READ_ONLY),
    *(_write(name) for name in _READ_ONLY),
    *(_program(name) for name in _PROGRAMS),
    _powerful("mount", "A box cannot mount.", "mount a tmpfs over /tmp"),
    _powerful("umount", "A box cannot unmount.", "unmount /queue/in"),
    _powerful("chroot", "A box cannot change its root.", "chroot into /tmp"),
    _powerful("tunnel", "A box cannot make a network interface.", "TUNSETIFF on /dev/net/tun"),
    _modes("sysctl", "A box cannot set a kernel parameter.", "write /proc/sys/kernel/hostname"),
    _modes("sysrq", "A box cannot use the magic keys.", "write /proc/sysrq-trigger"),
    _modes("sys_write", "Nothing in /sys can be written.", "look for a file that can", _NONE),
    Check(
        "files.device",
        "A box cannot make a device.",
        "mknod of a block device in /tmp",
        w.SECCOMP,
        _REFUSED,
        twin="no-filter",
    ),
    Check(
        "files.others",
        "A box sees no file of another session or of the host.",
        "search every file and name for a mark that stands in the host's state and in a "
        "sibling's workspace",
        w.WORKSPACE,
        frozenset({"nothing"}),
        twin="sibling-workspace",
    ),
    Check(
        "files.host_paths",
        "No path of the host shows in a box.",
        "search /proc/mounts, mountinfo, maps and cgroup for the host's directories",
        w.MOUNT_TABLE,
        frozenset({"nothing"}),
        twin="named-path",
    ),
    Check(
        "files.core_dump",
        "A crash writes no memory to a disk.",
        "read the limit of core files",
        w.CORE,
        frozenset({"0/0"}),
        twin="core-dumps",
    ),
    Check(
        "files.symlink",
        "A link made in a box leads nowhere on the host.",
        "link to /bin/sh of the host and read it",
        "gVisor resolves names itself",
        frozenset({"ENOENT"}),
        why_no_twin="gVisor resolves every name inside; no flag hands a link to the host.",
    ),
    Check(
        "files.climb",
        "No number of `..` leads out of a box.",
        "read ../../…/bin/sh from /workspace",
        "gVisor resolves names itself",
        frozenset({"ENOENT"}),
        why_no_twin="gVisor resolves every name inside; no flag hands a path to the host.",
    ),
)


def _capped(
    name: str, claim: str, attack: str, control: str, *, twin: str, expected: frozenset[str] = _FULL
) -> Check:
    return Check(f"resources.{name}", claim, attack, control, expected, twin=twin)


LIMITS: Final = (
    _capped(
        "out_bytes",
        "A box cannot fill the host's memory through its queue.",
        "write 48 MiB into /queue/out",
        w.OUT_SIZE,
        twin="big-out",
    ),
    _capped(
        "out_inodes",
        "A box cannot fill its queue with names.",
        "make 1,024 files in /queue/out",
        w.OUT_INODES,
        twin="many-out",
    ),
    _capped(
        "tmp_bytes",
        "A box cannot fill memory through /tmp.",
        "write 80 MiB into /tmp",
        w.TMP_SIZE,
        twin="big-tmp",
    ),
    _capped(
        "file_bytes",
        "No single file of a box grows beyond its limit.",
        "write 72 MiB into one file of /workspace",
        w.FILE_SIZE,
        twin="big-files",
        expected=frozenset({"capped File too large"}),
    ),
    _capped(
        "sparse_file",
        "A box cannot pretend a file of a terabyte.",
        "truncate a file to 1 TiB",
        w.FILE_SIZE,
        twin="big-files",
        expected=frozenset({"EFBIG"}),
    ),
    _capped(
        "open_files",
        "A box opens so many files and no more.",
        "open 64 more than its limit",
        w.OPEN_FILES,
        twin="many-files",
        expected=frozenset({"capped Too many open files"}),
    ),
    _capped(
        "threads",
        "A box starts so many threads and no more.",
        "start four times as many as its limit",
        w.SECCOMP,
        twin="many-threads",
        expected=frozenset({"capped", "no thread at all"}),
    ),
    *(
        _capped(
            f"raise_{name}",
            f"A box cannot raise its own limit on {what}.",
            "setrlimit to infinity",
            w.NO_CAPABILITIES,
            twin="all-powerful",
            expected=_REFUSED,
        )
        for name, what in (
            ("file_bytes", "file size"),
            ("core", "core files"),
        )
    ),
)
CHECKS: Final = (*FILES, *LIMITS)
