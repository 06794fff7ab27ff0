"""Every way in which the proof weakens an airlock: one row for each control, or pile of controls.

A control that stands alone has a row that removes it alone. Where one control is behind another, a
further row removes all of them, so that the attack is seen to succeed.
"""

from __future__ import annotations

from typing import Final

from ironclaw.airlock.confine import (
    CAPABILITIES,
    LANDLOCK,
    NETWORK,
    NO_NEW_PRIVS,
    ROOT,
    SECCOMP,
    UID,
)
from ironclaw.prove.airlock.weak import (
    CLOSED,
    CLOSED_UNION,
    FRAME_SIZE,
    FRESH_ZYGOTE,
    NOT_DUMPABLE,
    SLOT_INODES,
    SLOT_SIZE,
    UMASK,
    limit,
)
from ironclaw.prove.model import Twin

OPEN_NETWORK: Final = Twin("airlock-network", (NETWORK,))
OPEN_ROOT: Final = Twin("airlock-root", (ROOT,))
CORE_UID: Final = Twin("airlock-uid", (UID,))
CAPABLE: Final = Twin("airlock-capabilities", (CAPABILITIES,))
NEW_PRIVS: Final = Twin("airlock-new-privs", (NO_NEW_PRIVS,))
NO_LANDLOCK: Final = Twin("airlock-no-landlock", (LANDLOCK,))
NO_FILTER: Final = Twin("airlock-no-filter", (SECCOMP,))
DUMPABLE: Final = Twin("airlock-dumpable", (NOT_DUMPABLE,))
INHERITED: Final = Twin("airlock-inherited", (CLOSED,))
UNMASKED: Final = Twin("airlock-unmasked", (UMASK,))
TOLD: Final = Twin("airlock-told", (FRESH_ZYGOTE,))
BIG_SLOT: Final = Twin("airlock-big-slot", (SLOT_SIZE,))
MANY_INODES: Final = Twin("airlock-many-inodes", (SLOT_INODES,))
CREDULOUS: Final = Twin("credulous-core", (CLOSED_UNION,))
PATIENT: Final = Twin("patient-core", (FRAME_SIZE,))
UNLIMITED: Final = {
    name: Twin(f"airlock-{name.lower()}", (limit(name),))
    for name in ("NOFILE", "NPROC", "CORE", "FSIZE", "DATA", "MEMLOCK", "MSGQUEUE")
}

NETWORKED: Final = Twin("airlock-networked", (SECCOMP, NETWORK, LANDLOCK))
NEIGHBOURLY: Final = Twin("airlock-neighbourly", (ROOT, LANDLOCK))
CALLING: Final = Twin("airlock-calling", (ROOT, LANDLOCK, SECCOMP))
AT_HOME: Final = Twin("airlock-at-home", (ROOT, LANDLOCK, UID))
CALLING_HOME: Final = Twin("airlock-calling-home", (ROOT, LANDLOCK, UID, SECCOMP))
LOOKING: Final = Twin("airlock-looking", (ROOT, LANDLOCK, UID, CAPABILITIES))
MIGHTY: Final = Twin("airlock-mighty", (SECCOMP, LANDLOCK, UID, CAPABILITIES))
MAKING: Final = Twin("airlock-making", (SECCOMP, LANDLOCK))
FORKING: Final = Twin("airlock-forking", (SECCOMP, limit("NPROC")))

TWINS: Final = (
    *(OPEN_NETWORK, OPEN_ROOT, CORE_UID, CAPABLE, NEW_PRIVS, NO_LANDLOCK, NO_FILTER, DUMPABLE),
    *(INHERITED, UNMASKED, TOLD, BIG_SLOT, MANY_INODES, CREDULOUS, PATIENT, *UNLIMITED.values()),
    *(NETWORKED, NEIGHBOURLY, CALLING, AT_HOME, CALLING_HOME, LOOKING, MIGHTY, MAKING, FORKING),
)
