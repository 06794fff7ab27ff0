"""The queue as a hostile agent meets it: through a real box and production's own airlock."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.prove import controls as c
from ironclaw.prove.airlock.weak import patch
from ironclaw.prove.box import host_changes, spec_changes
from ironclaw.prove.box.weak import Weakening
from ironclaw.prove.model import Twin
from ironclaw.prove.wire import queue_databases, queue_files
from ironclaw.prove.wire.attacks import Wire
from ironclaw.prove.wire.queue_databases import DATABASES, SIZES
from ironclaw.prove.wire.queue_files import INBOUND, PLANTS
from ironclaw.prove.wire.queue_records import RECORDS
from ironclaw.sandbox import kernel, slotdir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.domain.wall import SlotDir
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.spec import Mount

_LARGE: Final = 1 << 41
_READ_ONLY_COPY: Final = "/box/in"


def _open_in(directory: SlotDir) -> None:
    (directory.path / "in").chmod(0o770)


def _real_in(mount: Mount) -> Mount:
    """The airlock's own directory in place of its read-only bind."""
    source = mount.source.removesuffix(_READ_ONLY_COPY) + "/in"
    return msgspec.structs.replace(mount, source=source)


@contextlib.contextmanager
def _suid(_lab: Lab) -> Iterator[None]:
    """Mount slots without `nosuid`."""
    changed = SimpleNamespace(**(vars(kernel) | {"SAFE": kernel.MS_NODEV}))
    patch(slotdir, "kernel", changed)
    try:
        yield
    finally:
        patch(slotdir, "kernel", kernel)


BOXES: Final[dict[Twin, Weakening]] = {
    Twin(queue_files.IN_OPEN, (c.OWNER, c.IN_READ_ONLY, c.HOST_READ_ONLY)): Weakening(
        spec=spec_changes.together(
            spec_changes.writable("/queue/in"), spec_changes.on_mount("/queue/in", _real_in)
        ),
        host=host_changes.then(_open_in),
    ),
    Twin(queue_databases.OUT_MANY, (c.OUT_INODES,)): Weakening(
        host=host_changes.sized(OUT_DIR_INODES=1 << 20)
    ),
    Twin(queue_files.OUT_SUID, (queue_files.NOSUID,)): Weakening(host=_suid),
    Twin(queue_databases.FILES_BIG, (c.FILE_SIZE,)): Weakening(
        spec=spec_changes.limit("FSIZE", _LARGE)
    ),
    Twin(queue_files.UNFILTERED, (c.SECCOMP,)): Weakening(without_flags=("--oci-seccomp",)),
}
QUEUE: Final = Wire("queue", (*INBOUND, *RECORDS, *SIZES, *DATABASES, *PLANTS), boxes=BOXES)
