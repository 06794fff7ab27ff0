"""Where hostile airlocks are let loose: a slot of theirs, a neighbour, and secrets worth having.

The neighbour is production's own airlock on another slot of the same agent, so that ids and modes
keep nothing away: what is refused is refused by the confinement.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.airlock.confine import UID
from ironclaw.core.ids import SessionId, SlotId, new_id
from ironclaw.domain.wall import Claim
from ironclaw.prove.airlock.facts import NOTHING, facts, holds
from ironclaw.prove.airlock.hostile import WAIT
from ironclaw.prove.airlock.hostile_prey import Order
from ironclaw.prove.airlock.hostile_starter import HostileStarter
from ironclaw.prove.airlock.weak import FRESH_ZYGOTE
from ironclaw.prove.lab import network as lab_network
from ironclaw.prove.lab.opened import LANE
from ironclaw.prove.model import ERROR

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.airlock.link import Link
    from ironclaw.domain.wall import SlotDir
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin

_CLAIMED_S: Final = 10.0
"""Within which an airlock has read what it was told, however busy the machine."""
_DECOYS: Final = ("store.db", "master.key", "api-token")


class Scene(NamedTuple):
    """A hostile airlock's surroundings."""

    lab: Lab
    slot: SlotDir
    neighbour: Link
    """Production's airlock on the other slot, with `key` in its memory."""
    key: str
    starter: HostileStarter
    order: Order
    """All that an attacker could want to know, but for the attack."""
    secret: ctypes.Array[ctypes.c_char]
    """What lies at the address that the order names."""

    async def attack(self, name: str) -> str:
        """Carry out an attack in a fresh airlock, and say what came of it."""
        return await self.starter.attack(self.slot, self.ordered(name))

    def ordered(self, attack: str) -> Order:
        """The order to carry out an attack."""
        return msgspec.structs.replace(self.order, attack=attack)

    async def facts(self) -> dict[str, str]:
        """Look at an airlock that does nothing. Raises HostError, OSError."""
        async with self.starter.standing(self.slot, self.ordered(WAIT)) as link:
            return await asyncio.to_thread(facts, link.pid, self.slot)

    async def inherited(self, *, told: bool) -> dict[str, str]:
        """Search a fresh airlock of the neighbour's zygote, or of a twin's that was told.

        Raises:
            HostError, OSError: There was nothing to search.
        """
        needles = {
            "airlock.inherited_mark": self.lab.mark.encode(),
            "airlock.inherited_key": self.key.encode(),
        }
        # The search finds what is there: the neighbour has the key, once it has read its claim.
        until = asyncio.get_running_loop().time() + _CLAIMED_S
        while await asyncio.to_thread(holds, self.neighbour.pid, [self.key.encode()]) == NOTHING:
            if asyncio.get_running_loop().time() < until:
                await asyncio.sleep(0.05)
                continue
            return dict.fromkeys(needles, f"{ERROR}the search finds no key where there is one")
        async with contextlib.AsyncExitStack() as stack:
            if told:
                standing = self.starter.standing(self.slot, self.ordered(WAIT))
                link = await stack.enter_async_context(standing)
            else:
                link = await self.lab.airlocks.start(self.slot)
                stack.push_async_callback(link.close)
            return {
                name: await asyncio.to_thread(holds, link.pid, [needle])
                for name, needle in needles.items()
            }


@contextlib.asynccontextmanager
async def open_scene(lab: Lab, twin: Twin | None) -> AsyncIterator[Scene]:
    """Set the scene; leave nothing of it.

    Raises:
        IronClawError, OSError: A slot, a decoy or a zygote cannot be had.
    """
    removed = () if twin is None else twin.removes
    key = secrets.token_hex(16)
    secret = ctypes.create_string_buffer(lab.mark.encode())
    async with contextlib.AsyncExitStack() as stack:
        slot, other = [await _slot(lab, stack) for _ in range(2)]
        neighbour = await lab.airlocks.start(other)
        stack.push_async_callback(neighbour.close)
        session = SessionId(new_id("ses"))
        await neighbour.claim(Claim(session, 1, key.encode(), out_seq=0, out_hash=b""))
        await asyncio.to_thread(_leave_letters, lab, other)
        if UID in removed:
            slot = await asyncio.to_thread(_as_the_core, slot)
        decoys = await asyncio.to_thread(_decoys, lab)
        stack.callback(_remove, decoys)
        told = (lab.mark, key) if FRESH_ZYGOTE in removed else ()
        starter = await stack.enter_async_context(
            HostileStarter(lab.settings.runtime_dir, removed=removed, told=told)
        )
        store, master, token = (str(decoys / name) for name in _DECOYS)
        order = Order(
            attack=WAIT,
            core_pid=os.getpid(),
            neighbour_pid=neighbour.pid,
            address=ctypes.addressof(secret),
            length=len(secret),
            store=store,
            master_key=master,
            token=token,
            state_dir=str(lab.settings.state_dir),
            core_socket=str(lab.host_socket),
            host_file="/etc/passwd",
            slot=str(slot.path),
            sibling=str(other.path),
            greeting=lab_network.GREETING.decode(),
            loopback="127.0.0.1",
            service_port=lab_network.SERVICE_PORT,
            metadata=lab_network.METADATA,
            http_port=lab_network.HTTP_PORT,
            abstract=lab_network.ABSTRACT,
        )
        yield Scene(lab, slot, neighbour, key, starter, order, secret)


async def _slot(lab: Lab, stack: contextlib.AsyncExitStack) -> SlotDir:
    name = SlotId(new_id("slt"))
    stack.push_async_callback(lab.isolator.discard, name)
    return await lab.isolator.prepare(name, lane=LANE)


def _as_the_core(slot: SlotDir) -> SlotDir:
    """Make a slot as it is where there is no other uid to be had: the core's own."""
    owned = slot._replace(airlock_uid=os.getuid(), group=os.getgid())
    for name in ("in", "run", "out"):
        os.chown(slot.path / name, owned.airlock_uid, owned.group)
    return owned


def _leave_letters(lab: Lab, other: SlotDir) -> None:
    """Leave what the neighbour's box is sent, and what it reads its key from."""
    for place in ("in/letter", "run/key"):
        path = other.path / place
        path.write_text(lab.mark, encoding="ascii")
        os.chown(path, other.airlock_uid, other.group)
        path.chmod(0o440)


def _decoys(lab: Lab) -> Path:
    """Leave secrets as the core's own are kept: 0600, in a directory that is 0700."""
    place = lab.settings.state_dir / "decoys"
    place.mkdir(mode=0o700)
    for name in _DECOYS:
        (place / name).touch(mode=0o600)
        (place / name).write_text(lab.mark, encoding="ascii")
    return place


def _remove(place: Path) -> None:
    for name in _DECOYS:
        (place / name).unlink()
    place.rmdir()
