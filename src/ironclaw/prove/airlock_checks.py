"""What is claimed of an airlock, one check for each attack, with the twin in which it succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.airlock.confine import (
    CAPABILITIES,
    LANDLOCK,
    NETWORK,
    NO_NEW_PRIVS,
    ROOT,
    SECCOMP,
    UID,
)
from ironclaw.prove import airlock_facts, airlock_twins, weak_airlock
from ironclaw.prove.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.prove.model import Twin

KILLED: Final = "killed by SIGSYS"
ALONE: Final = "ended, and nothing else"
_AWAY: Final = ("ENOENT", "EACCES")
"""Not in its world; or, where it has no root of its own, kept from it by Landlock."""


def _check(name: str, attack: str, claim: str, control: str, twin: Twin, *expected: str) -> Check:
    return Check(f"airlock.{name}", claim, attack, control, frozenset(expected), twin.name)


def _facts() -> Iterator[Check]:
    look = "Look at a running airlock from outside, in /proc."
    for name, claim, control, twin, expected in (
        (
            "network_namespace",
            "An airlock has network, IPC and host name namespaces of its own, all empty.",
            NETWORK,
            airlock_twins.OPEN_NETWORK,
            airlock_facts.OWN,
        ),
        (
            "mount_namespace",
            "An airlock has a mount table of its own.",
            ROOT,
            airlock_twins.OPEN_ROOT,
            airlock_facts.OWN,
        ),
        (
            "root_directory",
            "All of an airlock's world is its session's in/, out/ and run/.",
            ROOT,
            airlock_twins.OPEN_ROOT,
            airlock_facts.WORLD,
        ),
        (
            "identity",
            "An airlock is not the core's user, and is in no group but its box's.",
            UID,
            airlock_twins.CORE_UID,
            airlock_facts.OWN,
        ),
        (
            "capabilities",
            "An airlock has no capability in any set.",
            CAPABILITIES,
            airlock_twins.CAPABLE,
            airlock_facts.NONE,
        ),
        (
            "no_new_privs",
            "Nothing that an airlock could run would gain rights.",
            NO_NEW_PRIVS,
            airlock_twins.NEW_PRIVS,
            "1",
        ),
        (
            "seccomp_mode",
            "A filter judges every system call of an airlock.",
            SECCOMP,
            airlock_twins.NO_FILTER,
            "2",
        ),
        (
            "not_dumpable",
            "Nobody of an airlock's own uid may look into its memory.",
            weak_airlock.NOT_DUMPABLE,
            airlock_twins.DUMPABLE,
            airlock_facts.LOCKED,
        ),
        (
            "descriptors",
            "An airlock has its link, its three directories and its two listeners open, no more.",
            weak_airlock.CLOSED,
            airlock_twins.INHERITED,
            airlock_facts.OPEN,
        ),
    ):
        yield _check(name, look, claim, control, twin, expected)
    for name, claim, what in (
        ("limit_processes", "An airlock may not have one process more.", "NPROC"),
        ("limit_core", "An airlock that crashes leaves no image of its memory.", "CORE"),
        ("limit_locked", "An airlock may lock no memory.", "MEMLOCK"),
        ("limit_queues", "An airlock may hold no message queue.", "MSGQUEUE"),
    ):
        twin = airlock_twins.UNLIMITED[what]
        yield _check(name, look, claim, weak_airlock.limit(what), twin, "0")


def _network() -> Iterator[Check]:
    for name, what in (
        ("socket_inet", "an IPv4 socket"),
        ("socket_inet6", "an IPv6 socket"),
        ("socket_netlink", "a netlink socket"),
        ("socket_unix", "a unix socket"),
    ):
        yield _check(
            name,
            f"Make {what}.",
            "A hostile airlock cannot make a socket.",
            SECCOMP,
            airlock_twins.NO_FILTER,
            KILLED,
        )
    for name, what, twin in (
        ("tcp_connect", "a service on the host's loopback", airlock_twins.NETWORKED),
        ("metadata", "the address of cloud metadata", airlock_twins.NETWORKED),
        ("abstract_socket", "a service on an abstract unix socket", airlock_twins.NETWORKED),
        (
            "core_socket",
            "a unix socket in the core's runtime directory",
            airlock_twins.CALLING_HOME,
        ),
        ("sibling_bell", "the bell of another session of its agent", airlock_twins.CALLING),
    ):
        yield _check(
            name,
            f"Connect to {what}, which listens.",
            "A hostile airlock reaches no service.",
            SECCOMP,
            twin,
            KILLED,
        )


def _files() -> Iterator[Check]:
    home, near = airlock_twins.AT_HOME, airlock_twins.NEIGHBOURLY
    for name, attack, claim, twin in (
        ("store", "Read the store.", "A hostile airlock cannot read the store.", home),
        ("master_key", "Read the master key.", "A hostile airlock cannot read the keys.", home),
        ("api_token", "Read the API token.", "A hostile airlock cannot act for a person.", home),
        (
            "state_directory",
            "List the state directory.",
            "A hostile airlock learns no name in it.",
            home,
        ),
        ("host_file", "Read /etc/passwd.", "A hostile airlock reads no file of the host's.", near),
        ("climb", "Climb out of in/ by `..` to it.", "No open directory leads out.", near),
        (
            "own_slot",
            "List in/ by its path on the host.",
            "A hostile airlock sees no path of the host's.",
            near,
        ),
        ("processes", "List /proc.", "A hostile airlock sees no process.", near),
        (
            "sibling_inbound",
            "Read what another session of its agent was sent.",
            "A hostile airlock cannot read another session's messages.",
            near,
        ),
        (
            "sibling_outbound",
            "List what another session of its agent says.",
            "A hostile airlock cannot read another session's answers.",
            near,
        ),
        (
            "sibling_key",
            "Read the key of another session while it lies in its run/.",
            "A hostile airlock cannot take another session's key.",
            near,
        ),
        (
            "core_environment",
            "Read the core's environment in /proc.",
            "A hostile airlock cannot read the core's environment.",
            airlock_twins.LOOKING,
        ),
        (
            "core_memory_file",
            "Read a secret at its address in /proc/<core>/mem.",
            "A hostile airlock cannot read the core's memory.",
            airlock_twins.LOOKING,
        ),
        (
            "core_root",
            "List the core's root through /proc.",
            "A hostile airlock cannot enter the core's file system.",
            airlock_twins.LOOKING,
        ),
    ):
        yield _check(name, attack, claim, ROOT, twin, *_AWAY)
    yield _check(
        "parents",
        "Open `..` of each of its directories.",
        "Nothing above its directories can be opened, in its own small root either.",
        LANDLOCK,
        airlock_twins.NO_LANDLOCK,
        "EACCES",
    )
    yield _check(
        "forge_outbound",
        "Make a file in out/, in the box's name.",
        "A hostile airlock cannot leave files where the box's segments lie.",
        LANDLOCK,
        airlock_twins.NO_LANDLOCK,
        "EACCES",
    )
    for name, attack, expected in (
        ("symlink", "Make a symbolic link in in/, to a file of the host's.", KILLED),
        ("hard_link", "Make a second name of a file in in/.", KILLED),
        ("fifo", "Make a FIFO in in/.", KILLED),
        ("directory", "Make a directory in in/.", "EPERM"),
    ):
        yield _check(
            name,
            attack,
            "A hostile airlock can leave nothing but files for its box.",
            SECCOMP,
            airlock_twins.MAKING,
            expected,
        )
    yield _check(
        "device",
        "Make a device node in in/.",
        "A hostile airlock cannot make a device.",
        SECCOMP,
        airlock_twins.MIGHTY,
        KILLED,
    )


def _resources() -> Iterator[Check]:
    for name, attack, claim, control, twin, expected in (
        (
            "large_file",
            "Write past the largest segment.",
            "A hostile airlock can write no large file.",
            weak_airlock.limit("FSIZE"),
            airlock_twins.UNLIMITED["FSIZE"],
            "EFBIG",
        ),
        (
            "fill_bytes",
            "Write 80 MiB into in/.",
            "A hostile airlock cannot fill the host's memory with files.",
            weak_airlock.SLOT_SIZE,
            airlock_twins.BIG_SLOT,
            "ENOSPC",
        ),
        (
            "fill_inodes",
            "Make 5,000 files in in/.",
            "A hostile airlock cannot fill the host's memory with inodes.",
            weak_airlock.SLOT_INODES,
            airlock_twins.MANY_INODES,
            "ENOSPC",
        ),
        (
            "many_files",
            "Hold 200 descriptors.",
            "A hostile airlock holds few files open.",
            weak_airlock.limit("NOFILE"),
            airlock_twins.UNLIMITED["NOFILE"],
            "EMFILE",
        ),
        (
            "much_memory",
            "Map 256 MiB of its own memory.",
            "A hostile airlock cannot take the host's memory.",
            weak_airlock.limit("DATA"),
            airlock_twins.UNLIMITED["DATA"],
            "ENOMEM",
        ),
        (
            "shared_memory",
            "Map memory that is shared: no limit of a process counts it.",
            "A hostile airlock has no memory that is not counted.",
            SECCOMP,
            airlock_twins.NO_FILTER,
            "EPERM",
        ),
        (
            "fork",
            "Fork.",
            "A hostile airlock stays one process.",
            SECCOMP,
            airlock_twins.FORKING,
            KILLED,
        ),
        (
            "threads",
            "Start threads.",
            "A hostile airlock stays one thread.",
            SECCOMP,
            airlock_twins.FORKING,
            KILLED,
        ),
    ):
        yield _check(name, attack, claim, control, twin, expected)


def _processes() -> Iterator[Check]:
    for name, attack, claim, expected in (
        ("trace_core", "Trace the core.", "A hostile airlock cannot trace the core.", KILLED),
        (
            "read_core",
            "Read a secret at its address with process_vm_readv.",
            "A hostile airlock cannot read the core's memory.",
            KILLED,
        ),
        (
            "steal_descriptor",
            "Take a descriptor of the core's by a pidfd.",
            "A hostile airlock cannot take what the core has open.",
            "EPERM",
        ),
        ("signal_core", "Signal the core.", "A hostile airlock cannot signal the core.", "EPERM"),
        (
            "signal_zygote",
            "Signal the zygote.",
            "A hostile airlock cannot signal the zygote.",
            "EPERM",
        ),
        ("regain_capabilities", "Take CAP_SYS_ADMIN.", "What is dropped stays dropped.", "EPERM"),
        (
            "mount",
            "Mount a file system on in/.",
            "A hostile airlock cannot change its mounts.",
            KILLED,
        ),
        ("chroot", "Change its root.", "A hostile airlock cannot leave by another root.", KILLED),
        (
            "new_mount",
            "Make a mount without a place.",
            "A hostile airlock cannot make a mount.",
            KILLED,
        ),
        (
            "unshare_network",
            "Unshare a network namespace.",
            "A hostile airlock gets no namespace.",
            KILLED,
        ),
    ):
        yield _check(name, attack, claim, SECCOMP, airlock_twins.MIGHTY, expected)
    kernel = "A hostile airlock cannot reach the kernel's dangerous parts."
    for name, attack, claim, expected in (
        ("execute", "Execute a program.", "A hostile airlock can start nothing.", KILLED),
        (
            "execveat",
            "Execute a program by descriptor.",
            "A hostile airlock can start nothing.",
            KILLED,
        ),
        (
            "unshare_user",
            "Unshare a user namespace.",
            "A hostile airlock gets no rights in one of its own.",
            KILLED,
        ),
        ("setns", "Enter a namespace.", "A hostile airlock enters no namespace.", KILLED),
        (
            "pivot_root",
            "Pivot its root.",
            "A hostile airlock cannot leave by another root.",
            KILLED,
        ),
        (
            "open_by_handle",
            "Open a file by its handle.",
            "A hostile airlock opens nothing without a path.",
            KILLED,
        ),
        ("setuid", "Become uid 0.", "A hostile airlock cannot become somebody else.", KILLED),
        (
            "setresuid",
            "Become uid 0 in all three ids.",
            "A hostile airlock cannot become somebody else.",
            KILLED,
        ),
        (
            "pidfd_getfd",
            "Take a descriptor of another process.",
            "A hostile airlock takes none.",
            KILLED,
        ),
        ("bpf", "Make a BPF map.", kernel, KILLED),
        ("io_uring", "Set up an io_uring.", kernel, KILLED),
        ("userfaultfd", "Make a userfaultfd.", kernel, KILLED),
        ("keyring", "Open a kernel keyring.", kernel, KILLED),
        ("perf", "Open a perf event.", kernel, KILLED),
        ("module", "Load a kernel module.", kernel, KILLED),
        ("kexec", "Load another kernel.", kernel, KILLED),
        (
            "executable_memory",
            "Map executable memory.",
            "A hostile airlock can run no new code.",
            "EPERM",
        ),
        (
            "protect_memory",
            "Make memory executable.",
            "A hostile airlock can run no new code.",
            "EPERM",
        ),
        (
            "device_control",
            "Control the core's terminal.",
            "A hostile airlock controls no device.",
            "EPERM",
        ),
    ):
        yield _check(name, attack, claim, SECCOMP, airlock_twins.NO_FILTER, expected)


def _memory() -> Iterator[Check]:
    for name, what in (
        ("inherited_mark", "a secret of the host's"),
        ("inherited_key", "the key of a session whose airlock came from the same zygote"),
    ):
        yield _check(
            name,
            f"Search all memory of a fresh airlock for {what}.",
            "An airlock inherits no secret from the zygote.",
            weak_airlock.FRESH_ZYGOTE,
            airlock_twins.TOLD,
            airlock_facts.NOTHING,
        )


def _link() -> Iterator[Check]:
    credulous, patient = airlock_twins.CREDULOUS, airlock_twins.PATIENT
    union, size = weak_airlock.CLOSED_UNION, weak_airlock.FRAME_SIZE
    for name, attack, control, twin in (
        ("link_garbage", "Say bytes of no meaning to the core.", union, credulous),
        ("link_nested", "Say a frame nested 50,000 deep.", union, credulous),
        ("link_backwards", "Say a frame that only the core says.", union, credulous),
        ("link_second_ready", "Say Ready twice.", union, credulous),
        ("link_oversize", "Announce a frame over the limit.", size, patient),
    ):
        yield _check(
            name,
            attack,
            "What a hostile airlock says ends it, and neither the core nor another airlock.",
            control,
            twin,
            ALONE,
        )


FACTS: Final = tuple(_facts())
"""Looked at from outside."""
MEMORY: Final = tuple(_memory())
LINK: Final = tuple(_link())
INSIDE: Final = (*_network(), *_files(), *_resources(), *_processes())
"""Carried out by a hostile airlock."""
CHECKS: Final = (*FACTS, *INSIDE, *MEMORY, *LINK)
