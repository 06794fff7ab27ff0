"""What a hostile airlock tries from inside, one check for each attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.airlock.confine import LANDLOCK, ROOT, SECCOMP
from ironclaw.prove.airlock import twins as airlock_twins
from ironclaw.prove.airlock import weak as weak_airlock
from ironclaw.prove.model import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.prove.model import Twin

KILLED: Final = "killed by SIGSYS"
_AWAY: Final = ("ENOENT", "EACCES")
"""Not in its world; or, where it has no root of its own, kept from it by Landlock."""


def check(name: str, attack: str, claim: str, control: str, twin: Twin, *expected: str) -> Check:
    """Write a check of an airlock down."""
    return Check(f"airlock.{name}", claim, attack, control, frozenset(expected), twin.name)


def inside() -> Iterator[Check]:
    """All checks that a hostile airlock itself carries out."""
    yield from _network()
    yield from _files()
    yield from _resources()
    yield from _processes()


def _network() -> Iterator[Check]:
    for name, what in (
        ("socket_inet", "an IPv4 socket"),
        ("socket_inet6", "an IPv6 socket"),
        ("socket_netlink", "a netlink socket"),
        ("socket_unix", "a unix socket"),
    ):
        yield check(
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
        (
            "spare_connect",
            "the same bell, with a socket that it was left for tools",
            airlock_twins.CALLING,
        ),
    ):
        yield check(
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
            "A hostile airlock learns no name of the core's files.",
            home,
        ),
        ("host_file", "Read /etc/passwd.", "A hostile airlock reads no file of the host's.", near),
        (
            "climb",
            "Climb out of in/ by `..` to it.",
            "No directory that an airlock has open leads out.",
            near,
        ),
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
        yield check(name, attack, claim, ROOT, twin, *_AWAY)
    yield check(
        "parents",
        "Open `..` of each of its directories.",
        "Nothing above its directories can be opened, in its own small root either.",
        LANDLOCK,
        airlock_twins.NO_LANDLOCK,
        "EACCES",
    )
    yield check(
        "sibling_tools",
        "Bind a socket that it was left for tools in the run/ of another session of its agent.",
        "A hostile airlock offers no other session's box anything.",
        ROOT,
        near,
        *_AWAY,
    )
    yield check(
        "spare_elsewhere",
        "Bind a socket that it was left for tools in in/.",
        "A hostile airlock can bind what it was left in its run/ and nowhere else.",
        LANDLOCK,
        airlock_twins.NO_LANDLOCK,
        "EACCES",
    )
    yield check(
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
        yield check(
            name,
            attack,
            "A hostile airlock can leave nothing but files for its box.",
            SECCOMP,
            airlock_twins.MAKING,
            expected,
        )
    yield check(
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
        yield check(name, attack, claim, control, twin, expected)


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
        yield check(name, attack, claim, SECCOMP, airlock_twins.MIGHTY, expected)
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
            "A hostile airlock takes no descriptor of another's.",
            KILLED,
        ),
        (
            "signal_by_descriptor",
            "Have a descriptor send SIGKILL to another airlock of its uid.",
            "A hostile airlock ends no other airlock.",
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
        yield check(name, attack, claim, SECCOMP, airlock_twins.NO_FILTER, expected)
