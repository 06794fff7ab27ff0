"""The least and the most that one sandbox may be given. Pure.

The spec's check has them, and a change that asks for more is refused before anybody sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw_contract.limits import MAX_SEGMENT_BYTES

if TYPE_CHECKING:
    from ironclaw.domain.model import BoxLimits

_MIB: Final = 1024 * 1024
_GIB: Final = 1024 * _MIB


class Bounds(NamedTuple):
    """The least and the most that may be asked for."""

    least: int
    most: int

    def hold(self, value: int) -> bool:
        """Tell whether the value is within."""
        return self.least <= value <= self.most


MEMORY_BYTES: Final = Bounds(64 * _MIB, 64 * _GIB)
CPU_MILLIS: Final = Bounds(50, 64_000)
PIDS: Final = Bounds(8, 4096)
FILES: Final = Bounds(32, 4096)
# A box must be able to write one whole segment.
FILE_BYTES: Final = Bounds(MAX_SEGMENT_BYTES, 16 * _GIB)


def check_box_limits(limits: BoxLimits) -> None:
    """Refuse limits that no sandbox could be started with; those on disk are `domain.disk`'s.

    Raises:
        UserError: `INVALID`; the message names the first, and what it may be.
    """
    for name, value, bounds in (
        ("memory_bytes", limits.memory_bytes, MEMORY_BYTES),
        ("cpu_millis", limits.cpu_millis, CPU_MILLIS),
        ("pids", limits.pids, PIDS),
        ("files", limits.files, FILES),
        ("file_bytes", limits.file_bytes, FILE_BYTES),
    ):
        check_bounds(name, value, bounds)


def check_bounds(name: str, value: int, bounds: Bounds) -> None:
    """Refuse one value. Raises UserError (`INVALID`)."""
    if not bounds.hold(value):
        raise UserError(
            Code.INVALID,
            f"{name} is {bounds.least:,} to {bounds.most:,}, not {value:,}.",
            hint="docs/reference/spec.md lists all bounds.",
        )
