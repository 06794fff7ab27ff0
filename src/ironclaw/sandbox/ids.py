"""Which host ids a box's ids become: a pure function of this process's own user namespace.

With all ids at hand (root of the machine) every agent has a range of its own, by its lane. In the
nest of an ordinary user, or as root of a container, there is what the namespace maps above 0:
usually one range, which all agents then share; the receipt says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw_contract.limits import SANDBOX_GID, SANDBOX_UID

RANGE: Final = 65536
"""Ids of one lane."""
LEAST: Final = SANDBOX_UID + 1
"""A box needs ids 0..65532: gVisor cannot launch with a map of one id."""
FIRST_BASE: Final = 500_000_000
"""Above what distributions and login managers hand out (subordinate ids start at 100,000)."""
LANES: Final = 32_768


class IdRange(NamedTuple):
    """Host ids `base … base + size - 1` are the box's `0 … size - 1`."""

    base: int
    size: int
    own: bool
    """True when no other agent has ids of this range."""

    @property
    def box_uid(self) -> int:
        """The host uid of the box's program."""
        return self.base + SANDBOX_UID

    @property
    def box_gid(self) -> int:
        """The host gid of the box's program."""
        return self.base + SANDBOX_GID

    @property
    def airlock_uid(self) -> int:
        """The host uid of the airlocks of this range: one below the box's."""
        return self.base + SANDBOX_UID - 1


def id_range(mapped: int, lane: int) -> IdRange:
    """Choose the range of a lane.

    Args:
        mapped: How many ids, from 0 up without a gap, this user namespace has.
        lane: The agent's lane, from 0.

    Raises:
        HostError: There are too few ids (`HOST_UNSUITED`).
        ValueError: The lane is out of range: a bug of the caller.
    """
    if not 0 <= lane < LANES:
        raise ValueError(f"lane {lane} is not in 0..{LANES - 1}")
    if mapped >= FIRST_BASE + LANES * RANGE:
        return IdRange(FIRST_BASE + lane * RANGE, RANGE, own=True)
    # Id 0 of the namespace is the core itself and is never given to a box.
    if (base := 1 + lane * RANGE) + RANGE <= mapped:
        return IdRange(base, RANGE, own=mapped - 1 >= 2 * RANGE)
    size = min(mapped - 1, RANGE)
    if size < LEAST:
        raise HostError(
            Code.HOST_UNSUITED,
            f"This user may use {max(size, 0)} subordinate ids; a sandbox needs {LEAST}.",
            hint="Give the user 65536 ids that nobody else has; `ironclaw doctor` names them.",
        )
    return IdRange(1, size, own=False)


def mapped_ids(uid_map: str) -> int:
    """Count the ids that a `/proc/<pid>/uid_map` text maps from 0 up, without a gap."""
    top = 0
    for start, size in sorted(
        (int(fields[0]), int(fields[2]))
        for line in uid_map.splitlines()
        if len(fields := line.split()) == 3  # noqa: PLR2004 - the format has three columns
    ):
        if start > top:
            break
        top = max(top, start + size)
    return top


def own_mapped_ids() -> int:
    """Count the ids this process may use, the smaller of uids and gids."""
    return min(
        mapped_ids(Path(f"/proc/self/{name}").read_text(encoding="ascii"))
        for name in ("uid_map", "gid_map")
    )
