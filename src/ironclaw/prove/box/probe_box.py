"""A box that runs the probe, with the host's end of its bell in our hands.

The slot, the spec, runsc's flags and the mounts are production's own (`RunscIsolator`); in the
airlock's place stands a plain listener, so that the wall is attacked and nothing in front of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError
from ironclaw.core.ids import AgentId, SlotId, new_id
from ironclaw.domain.model import BoxLimits
from ironclaw.domain.wall import Durable, LaunchSpec
from ironclaw.prove.lab import network as lab_network
from ironclaw.prove.lab.opened import LANE
from ironclaw_contract.limits import SANDBOX_GID
from ironclaw_contract.rpc import Facts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from ironclaw.domain.wall import Box
    from ironclaw.prove.box.weak import Weakening
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.posture import Evidence

AGENT: Final = AgentId("agt_prove")
_HELLO_S: Final = 10.0
_ANSWER_S: Final = 60.0
_LINE_BYTES: Final = 1 << 20
EXTRA_MOUNT: Final = "/probe/extra"
"""Where a twin shows a directory of the host; nothing is mounted there otherwise."""
BOMB: Final = 8
"""Processes that a fork bomb may make where nothing else stops it."""


class NoHelloError(PeerError):
    """The box runs, and cannot or will not speak."""


class ProbeBox:
    """One launched probe."""

    def __init__(
        self,
        lab: Lab,
        spec: LaunchSpec,
        box: Box,
        facts: Facts,
        bell: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.lab = lab
        self.spec = spec
        self.box = box
        self.facts = facts
        self._reader, self._writer = bell

    def evidence(self) -> Evidence:
        """What the proof of a launch would look at. Raises PeerError."""
        return self.lab.isolator.evidence(self.box, self.spec, self.facts)

    async def attempt(self, names: Iterable[str]) -> dict[str, str]:
        """Carry out attacks, one after the other.

        Raises:
            PeerError: The box ended, or said something else.
        """
        asked = {"names": list(names), "context": context(self.lab, self.spec.limits)}
        self._writer.write(json.dumps(asked).encode() + b"\n")
        async with asyncio.timeout(_ANSWER_S):
            line = await self._reader.readline()
        try:
            return msgspec.json.decode(line, type=dict[str, str])
        except ValueError as error:
            raise PeerError(
                Code.BOX_BROKEN,
                "The probe ended during its attacks.",
                hint="Run the proof again; if it stays, report it.",
                detail=line[:200].decode("utf-8", "replace"),
            ) from error


@contextlib.asynccontextmanager
async def probe_box(
    lab: Lab, weakening: Weakening | None = None, *, limits: BoxLimits | None = None
) -> AsyncIterator[ProbeBox]:
    """Launch a probe, weakened if asked; discard it on leaving.

    Raises:
        IronClawError: The launch failed.
        NoHelloError: It runs and does not speak.
    """
    isolator = lab.isolator
    slot = SlotId(new_id("slt"))
    taken = isolator.weakened(weakening, lab) if weakening else contextlib.nullcontext()
    connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
        asyncio.get_running_loop().create_future()
    )

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if connected.done():
            writer.close()
        else:
            connected.set_result((reader, writer))

    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(taken)
        stack.push_async_callback(isolator.discard, slot)
        directory = await isolator.prepare(slot, lane=LANE)
        durable = {
            kind: await isolator.durable(kind, name, lane=LANE)
            for kind, name in (
                (Durable.WORKSPACE, slot),
                (Durable.MEMORY, AGENT),
                (Durable.SHARED, AGENT),
            )
        }
        spec = LaunchSpec(
            dir=directory,
            agent=AGENT,
            rootfs=lab.probe,
            workspace=durable[Durable.WORKSPACE],
            memory=durable[Durable.MEMORY],
            shared=durable[Durable.SHARED],
            limits=limits or BoxLimits(),
        )
        path = directory.path / "run" / "bell.sock"
        server = await asyncio.start_unix_server(accept, path, limit=_LINE_BYTES)
        stack.callback(server.close)
        os.chown(path, directory.airlock_uid, directory.group)
        path.chmod(0o666 if weakening else 0o660)
        box = await isolator.launch(spec)
        try:
            async with asyncio.timeout(_HELLO_S):
                bell = await connected
                line = await bell[0].readline()
        except TimeoutError as error:
            raise NoHelloError(
                Code.LAUNCH_TIMEOUT,
                f"The probe did not say hello within {_HELLO_S:.0f} s.",
                hint="Run the proof again; the machine may be overloaded.",
            ) from error
        stack.callback(bell[1].close)
        facts = msgspec.json.decode(line, type=Facts)
        yield ProbeBox(lab, spec, box, facts, bell)


def context(lab: Lab, limits: BoxLimits) -> dict[str, object]:
    """What an attacker in a box is told: where to strike. The mark never goes in as one word."""
    half = len(lab.mark) // 2
    return {
        "loopback": "127.0.0.1",
        "loopback6": "::1",
        "private": lab_network.PRIVATE,
        "metadata": lab_network.METADATA,
        "resolver": lab_network.RESOLVER,
        "abstract": lab_network.ABSTRACT,
        "service_port": lab_network.SERVICE_PORT,
        "http_port": lab_network.HTTP_PORT,
        "dns_port": lab_network.DNS_PORT,
        "host_socket": f"{EXTRA_MOUNT}/{lab.host_socket.name}",
        # Every host has it, readable by all; no image of ours does.
        "host_file": "/bin/sh",
        "host_words": [str(lab.settings.runtime_dir), str(lab.isolator.view), "slots/"],
        "mark_parts": [lab.mark[:half], lab.mark[half:]],
        "files": limits.files,
        "pids": limits.pids,
        "gid": SANDBOX_GID,
        "bomb": BOMB,
    }
