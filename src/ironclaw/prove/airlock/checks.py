"""What is claimed of an airlock, one check for each attack, with the twin in which it succeeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ironclaw.airlock.confine import (
    CAPABILITIES,
    NETWORK,
    NO_NEW_PRIVS,
    ROOT,
    SECCOMP,
    UID,
)
from ironclaw.prove.airlock import facts as airlock_facts
from ironclaw.prove.airlock import twins as airlock_twins
from ironclaw.prove.airlock import weak as weak_airlock
from ironclaw.prove.airlock.inside import check, inside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.prove.model import Check

ALONE: Final = "ended, and nothing else"


def _facts() -> Iterator[Check]:
    look = "Look at a running airlock from outside, in /proc."
    for name, claim, control, twin, expected in (
        (
            "network_namespace",
            "An airlock has network, IPC and host name namespaces of its own.",
            NETWORK,
            airlock_twins.OPEN_NETWORK,
            airlock_facts.OWN,
        ),
        (
            "interfaces",
            "Nothing but a loopback that is down is in an airlock's network.",
            NETWORK,
            airlock_twins.OPEN_NETWORK,
            airlock_facts.NONE,
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
            "mounts",
            "An airlock's root is read-only, and nothing but its directories is mounted in it.",
            ROOT,
            airlock_twins.OPEN_ROOT,
            airlock_facts.NARROW,
        ),
        (
            "umask",
            "What an airlock makes is for its box's group and nobody else.",
            weak_airlock.UMASK,
            airlock_twins.UNMASKED,
            airlock_facts.MASK,
        ),
        (
            "identity",
            "An airlock is not the core's user nor its box's, and is in no group but its box's.",
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
            "An airlock has its link, directories, listeners and four unbound sockets, no more.",
            weak_airlock.CLOSED,
            airlock_twins.INHERITED,
            airlock_facts.OPEN,
        ),
    ):
        yield check(name, look, claim, control, twin, expected)
    for name, claim, what in (
        ("limit_processes", "An airlock may not have one process more.", "NPROC"),
        ("limit_core", "An airlock that crashes leaves no image of its memory.", "CORE"),
        ("limit_locked", "An airlock may lock no memory.", "MEMLOCK"),
        ("limit_queues", "An airlock may hold no message queue.", "MSGQUEUE"),
    ):
        twin = airlock_twins.UNLIMITED[what]
        yield check(name, look, claim, weak_airlock.limit(what), twin, "0")


def _memory() -> Iterator[Check]:
    for name, what in (
        ("inherited_mark", "a secret of the host's"),
        ("inherited_key", "the key of a session whose airlock came from the same zygote"),
    ):
        yield check(
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
        yield check(
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
INSIDE: Final = tuple(inside())
"""Carried out by a hostile airlock."""
CHECKS: Final = (*FACTS, *INSIDE, *MEMORY, *LINK)
