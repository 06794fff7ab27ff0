"""The airlock's own confinement: hostile airlocks, attacked from, looked at and listened to."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from ironclaw.airlock import link as link_module
from ironclaw.airlock.messages import Here, Ready, decode_from_airlock
from ironclaw.prove.airlock.checks import ALONE, CHECKS, FACTS, INSIDE, LINK, MEMORY
from ironclaw.prove.airlock.scene import open_scene
from ironclaw.prove.airlock.twins import TWINS
from ironclaw.prove.airlock.weak import (
    CLOSED_UNION,
    FRAME_SIZE,
    FRESH_ZYGOTE,
    SLOT_INODES,
    SLOT_SIZE,
    patch,
)
from ironclaw.sandbox import slotdir
from ironclaw_contract.records import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ironclaw.airlock.link import Link
    from ironclaw.airlock.messages import FromAirlock
    from ironclaw.prove.airlock.scene import Scene
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Check, Twin

_END_S: Final = 5.0
"""Seconds for the core to end an airlock that says what it must not."""
_TWIN_END_S: Final = 0.5
_QUIET_S: Final = 0.05
_LARGE: Final = 1 << 30


class _Airlock:
    """Implements `model.Stage`."""

    name = "airlock"
    checks: Sequence[Check] = CHECKS
    twins: Sequence[Twin] = TWINS

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        names = {check.name for check in checks}
        removed = frozenset(() if twin is None else twin.removes)
        seen: dict[str, str] = {}
        with _changed(_WEAK_CORE[name] for name in removed if name in _WEAK_CORE):
            async with open_scene(lab, twin) as scene:
                if names & {check.name for check in FACTS}:
                    seen |= await scene.facts()
                for check in INSIDE:
                    if check.name in names:
                        seen[check.name] = await scene.attack(check.name)
                if names & {check.name for check in MEMORY}:
                    seen |= await scene.inherited(told=FRESH_ZYGOTE in removed)
                for check in LINK:
                    if check.name in names:
                        seen[check.name] = await _spoken_to(scene, check.name, twin)
        return seen


async def _spoken_to(scene: Scene, attack: str, twin: Twin | None) -> str:
    """Let an airlock say something to the core, and see what ends."""
    removed = frozenset(() if twin is None else twin.removes)
    async with scene.starter.standing(scene.slot, scene.ordered(attack)) as link:
        with _changed(_BELIEVING if CLOSED_UNION in removed else ()):
            try:
                async with asyncio.timeout(_END_S if twin is None else _TWIN_END_S):
                    event = await link.receive()
            except TimeoutError:
                return "the core goes on with it"
    if event is not None:
        return f"the core believes {type(event).__name__}"
    return ALONE if await _is_served(scene.neighbour) else "ended, with its neighbour"


async def _is_served(link: Link) -> bool:
    """Whether an airlock that did nothing is still there: its link does not end."""
    link.ask()
    try:
        async with asyncio.timeout(_QUIET_S):
            return await link.receive() is not None
    except TimeoutError:
        return True


def _believe(body: bytes) -> FromAirlock:
    """Take whatever an airlock says for an answer."""
    try:
        said = decode_from_airlock(body)
    except ContractError:
        return Here()
    return Here() if isinstance(said, Ready) else said


_BELIEVING: Final = ((link_module, "decode_from_airlock", _believe),)
_WEAK_CORE: Final[Mapping[str, tuple[object, str, object]]] = {
    SLOT_SIZE: (slotdir, "SLOT_BYTES", _LARGE),
    SLOT_INODES: (slotdir, "SLOT_INODES", _LARGE),
    FRAME_SIZE: (link_module, "MAX_LINK_BYTES", _LARGE),
}


@contextlib.contextmanager
def _changed(changes: Iterable[tuple[object, str, object]]) -> Iterator[None]:
    """Take controls away from the core's own side, until left."""
    with contextlib.ExitStack() as stack:
        for place, name, value in changes:
            stack.callback(patch, place, name, getattr(place, name))
            patch(place, name, value)
        yield


AIRLOCK: Final = _Airlock()
