"""What a box must not ask of a kernel, become, change of itself, or find."""

from __future__ import annotations

from typing import Final

from ironclaw.prove import controls as w
from ironclaw.prove.model import Check

_REFUSED: Final = frozenset({"EPERM"})
_NO_WRITE: Final = frozenset({"EROFS", "EACCES", "EPERM"})
_READ_ONLY: Final = frozenset({"EROFS"})
_CALLS: Final = {
    "fork": "make a process",
    "clone3": "make a process by a call that no filter can look into",
    "execute": "run another program",
    "ptrace": "trace a process",
    "process_vm_readv": "read another process's memory",
    "process_vm_writev": "write another process's memory",
    "pidfd_open": "hold another process",
    "pidfd_getfd": "take another process's files",
    "signal_all": "signal every process",
    "keyctl": "use a kernel keyring",
    "add_key": "put a key into a kernel keyring",
    "request_key": "search a kernel keyring",
    "perf_event_open": "measure with performance counters",
    "io_uring_setup": "use io_uring",
    "userfaultfd": "handle page faults itself",
    "syslog": "read the kernel's log",
    "personality": "change its execution domain",
    "seccomp": "install a filter of its own",
    "memfd_create": "make a file that is in no file system",
    "name_to_handle_at": "get a handle that outlives a mount",
    "open_by_handle_at": "open a file by a handle",
    "fanotify_init": "watch the file system",
    "fsopen": "open a file system",
    "open_tree": "clone a mount",
    "move_mount": "move a mount",
    "setns": "join a namespace",
    "shmget": "share memory by System V names",
    "msgget": "use System V queues",
    "mq_open": "use POSIX queues",
    "fallocate": "reserve disk space without writing it",
    "priority": "raise its priority",
    "lock_memory": "lock memory",
    "user_namespace": "make a user namespace and be root in it",
    "net_namespace": "make a network namespace",
    "mount_namespace": "make a mount namespace",
    "pid_namespace": "make a process namespace",
}
_POWERFUL_CALLS: Final = {
    "kcmp": "compare kernel pointers",
    "bpf": "load a program into the kernel",
    "init_module": "load a kernel module",
    "finit_module": "load a kernel module from a file",
    "delete_module": "unload a kernel module",
    "kexec_load": "load another kernel",
    "kexec_file_load": "load another kernel from a file",
    "reboot": "reboot the machine",
    "swapon": "add swap space",
    "acct": "turn on process accounting",
    "quotactl": "change quotas",
    "settimeofday": "set the clock",
    "adjtimex": "bend the clock",
    "iopl": "use I/O ports",
    "pivot_root": "move its root",
}


def _call(name: str, what: str, twin: str) -> Check:
    return Check(
        f"process.{name}",
        f"A box cannot {what}.",
        f"the system call behind `{name}`, with arguments that a willing kernel takes",
        w.SECCOMP,
        _REFUSED,
        twin=twin,
    )


PROCESS: Final = (
    *(_call(name, what, "no-filter") for name, what in _CALLS.items()),
    *(_call(name, what, "all-powerful") for name, what in _POWERFUL_CALLS.items()),
    Check(
        "process.fork_bomb",
        "A box cannot multiply.",
        "fork until refused",
        w.SECCOMP,
        frozenset({"capped after 0"}),
        twin="no-filter",
    ),
    Check(
        "process.processes",
        "Nothing runs in a box but its agent.",
        "start a companion, then count the processes",
        w.SECCOMP,
        frozenset({"1"}),
        twin="no-filter",
    ),
)


def _become(name: str, what: str, twin: str = "all-powerful") -> Check:
    return Check(f"privilege.{name}", f"A box cannot {what}.", name, w.SECCOMP, _REFUSED, twin=twin)


PRIVILEGE: Final = (
    Check(
        "privilege.uid",
        "The agent is nobody: uid and gid 65532.",
        "getuid and getgid",
        w.NO_USER,
        frozenset({"65532:65532"}),
        twin="root-user",
    ),
    Check(
        "privilege.groups",
        "The agent is in no further group.",
        "getgroups",
        w.GROUPS,
        frozenset({"none"}),
        twin="more-groups",
    ),
    Check(
        "privilege.capabilities",
        "All five capability sets are empty.",
        "read /proc/self/status",
        w.NO_CAPABILITIES,
        frozenset({"none"}),
        twin="capabilities",
    ),
    Check(
        "privilege.seccomp_mode",
        "A filter of system calls is in force inside the box.",
        "read /proc/self/status",
        w.SECCOMP,
        frozenset({"2"}),
        twin="no-filter",
    ),
    Check(
        "privilege.seccomp_profile",
        "The filter refuses whatever is not on its list.",
        "a call that the list does not have",
        w.PROFILE,
        _REFUSED,
        twin="open-profile",
    ),
    _become("setuid", "become root"),
    _become("setgid", "join root's group"),
    _become("setgroups", "join other groups"),
    _become("setresuid", "become root by another call"),
    _become("setfsuid", "become root for files alone", "no-filter"),
    _become("add_capability", "give itself a capability"),
    _become("chown", "give a file to root"),
    _become("set_host_name", "rename the machine"),
    Check(
        "privilege.setuid_programs",
        "No program in a box is setuid or setgid.",
        "look at every file",
        w.IMAGE,
        frozenset({"none"}),
        twin="setuid-program",
    ),
    Check(
        "privilege.host_name",
        "A box does not learn the host's name.",
        "uname",
        w.HOST_NAME,
        frozenset({"sandbox"}),
        twin="host-name",
    ),
    Check(
        "privilege.no_new_privs",
        "No program can gain a right by being run.",
        "prctl(PR_GET_NO_NEW_PRIVS)",
        "gVisor's no_new_privs",
        frozenset({"1"}),
        why_no_twin="gVisor sets it whatever the spec says; `spec.process.noNewPrivileges` has "
        "the twin of the spec.",
    ),
    Check(
        "privilege.kernel",
        "The kernel that answers is gVisor's.",
        "read /proc/version",
        "gVisor's own kernel",
        frozenset({"Linux version 4.4.0"}),
        why_no_twin="No other runtime is installed with IronClaw; `posture.inside.kernel` is "
        "tried against the host's own.",
    ),
)


def _self(
    name: str,
    what: str,
    attack: str,
    control: str,
    twin: str,
    *,
    expected: frozenset[str] = _NO_WRITE,
) -> Check:
    return Check(f"self.{name}", f"An agent cannot {what}.", attack, control, expected, twin=twin)


SELF: Final = (
    _self(
        "code",
        "change the program it runs",
        "write to a program file that belongs to its own id",
        w.READ_ONLY_ROOT,
        "writable-root",
        expected=_READ_ONLY,
    ),
    _self(
        "program",
        "replace the program it runs",
        "rename a program file that belongs to its own id",
        w.READ_ONLY_ROOT,
        "writable-root",
        expected=_READ_ONLY,
    ),
    _self(
        "setup",
        "write its own configuration",
        "put a first record into /queue/in",
        w.OWNER,
        "in-writable",
    ),
    _self(
        "egress_grant",
        "grant itself the network",
        "make /run/ironclaw/egress.sock",
        w.SECCOMP,
        "run-writable",
        expected=_REFUSED,
    ),
    _self(
        "tools_grant",
        "grant itself tools",
        "make /run/ironclaw/tools.sock",
        w.SECCOMP,
        "run-writable",
        expected=_REFUSED,
    ),
    _self("bell", "remove its own bell", "unlink bell.sock", w.OWNER, "run-writable"),
    _self(
        "skill",
        "teach itself a skill",
        "write /shared/SKILL.md",
        w.OWNER,
        "shared-writable",
    ),
    Check(
        "self.sockets",
        "A box has the sockets that it was granted, and no other.",
        "list /run/ironclaw",
        w.RUN_READ_ONLY,
        frozenset({"bell.sock"}),
        twin="more-sockets",
    ),
)
SECRETS: Final = (
    Check(
        "secrets.environment",
        "The environment names nothing of the host.",
        "list the names of all variables",
        w.ENVIRONMENT,
        frozenset({"HOME,PATH", "HOME,LC_CTYPE,PATH"}),
        twin="leaked-key",
    ),
    Check(
        "secrets.marks",
        "No secret of the host is in a box's environment or command line.",
        "search /proc for a mark that the host bears",
        w.ENVIRONMENT,
        frozenset({"nothing"}),
        twin="leaked-key",
    ),
    Check(
        "secrets.descriptors",
        "No open file of the host is handed into a box.",
        "look at every open file that is no stream and no socket",
        "runsc passes three streams and no more",
        frozenset({"none"}),
        why_no_twin="This runsc has no flag that passes further files.",
    ),
)
CHECKS: Final = (*PROCESS, *PRIVILEGE, *SELF, *SECRETS)
