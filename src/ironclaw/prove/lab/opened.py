"""The laboratory: a private house's directories, a probe tree, a network, and marks to hunt for.

Everything a stage needs of its surroundings; opened once for a whole proof.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.airlock.starter import AirlockStarter
from ironclaw.domain.wall import Durable, Rootfs
from ironclaw.image.provision import current_rootfs
from ironclaw.prove.box.weak import WeakIsolator
from ironclaw.prove.lab import network as lab_network
from ironclaw.prove.lab.tree import make_probe_tree, program
from ironclaw.prove.model import Need
from ironclaw.sandbox.ids import id_range, own_mapped_ids
from ironclaw.sandbox.isolator import open_isolator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ironclaw.config.settings import Settings
    from ironclaw.sandbox.ids import IdRange

LANE: Final = 0
OTHER_LANE: Final = 1
_CGROUPS: Final = Path("/sys/fs/cgroup")
_MARK: Final = "ironclaw-mark-"


class Lab(NamedTuple):
    """What stages work with."""

    settings: Settings
    """Of the private house."""
    image: Rootfs
    """The production image."""
    probe: Rootfs
    """The same with `/probe` beside it."""
    isolator: WeakIsolator
    """Boxes that run the probe's `inside` program."""
    airlocks: AirlockStarter
    mark: str
    """A secret of the host's: in its files, its environment, other sessions. No box may see it."""
    host_socket: Path
    """A unix socket of the host's that is in no mount of a box."""
    rootless: bool

    @property
    def missing(self) -> frozenset[Need]:
        """What this host does not offer."""
        ids = id_range(own_mapped_ids(), LANE)
        return frozenset(
            need
            for need, is_there in (
                (Need.CGROUPS, _has_cgroups()),
                (Need.OWN_IDS, ids.own),
            )
            if not is_there
        )

    def ids(self, lane: int = LANE) -> IdRange:
        """The host ids of a lane."""
        return id_range(own_mapped_ids(), lane)

    async def another_isolator(self, program: tuple[str, ...]) -> WeakIsolator:
        """An isolator of the same house whose boxes run another program."""
        return await open_isolator(
            state_dir=self.settings.state_dir,
            runtime_dir=self.settings.runtime_dir,
            runsc=self.settings.sandbox.runsc,
            platform=self.settings.sandbox.platform,
            program_for_tests=program,
            made_by=WeakIsolator,
        )


def _has_cgroups() -> bool:
    """Whether this machine offers control groups to us, seen with the proof's own eyes.

    `sandbox.cgroups` is under proof: were it to overlook them, the checks that need them must fail
    and not vanish.
    """
    is_unified = (_CGROUPS / "cgroup.controllers").exists()
    place = _CGROUPS if is_unified else _CGROUPS / "memory"
    return os.access(place / "cgroup.procs", os.W_OK)


@contextlib.asynccontextmanager
async def open_lab(settings: Settings) -> AsyncIterator[Lab]:
    """Open the laboratory; the caller is in a nest and in the lab's network already.

    Raises:
        IronClawError: The image, runsc or the airlocks cannot be had.
        OSError: The probe tree or a listener cannot be made.
    """
    state = settings.state_dir
    mark = _MARK + secrets.token_hex(12)
    image = await current_rootfs(settings.image_dir)
    isolator = await open_isolator(
        state_dir=state,
        runtime_dir=settings.runtime_dir,
        runsc=settings.sandbox.runsc,
        platform=settings.sandbox.platform,
        program_for_tests=program("inside"),
        made_by=WeakIsolator,
    )
    ids = id_range(own_mapped_ids(), LANE)
    tree = await asyncio.to_thread(
        make_probe_tree, image.path, state / "probe-tree", owner=(ids.box_uid, ids.box_gid)
    )
    (state / "secret.txt").write_text(mark, encoding="ascii")
    sibling = await isolator.durable(Durable.WORKSPACE, "sibling", lane=LANE)
    (sibling / "letter.txt").write_text(mark, encoding="ascii")
    os.chown(sibling / "letter.txt", ids.box_uid, ids.box_gid)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(lab_network.services())
        socket = state / "public" / "host.sock"
        socket.parent.mkdir()
        server = await asyncio.start_unix_server(_greet, socket)
        # Open to every id, so that nothing but the mount table keeps a box from it.
        for path, mode in ((socket.parent, 0o755), (socket, 0o666)):
            path.chmod(mode)
        stack.callback(server.close)
        airlocks = await stack.enter_async_context(AirlockStarter())
        yield Lab(
            settings=settings,
            image=image,
            probe=Rootfs(image.digest, tree),
            isolator=isolator,
            airlocks=airlocks,
            mark=mark,
            host_socket=socket,
            rootless=isolator.rootless,
        )


async def _greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(lab_network.GREETING)
    writer.close()
