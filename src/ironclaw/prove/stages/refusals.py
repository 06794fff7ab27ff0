"""What production does when a launch is not what was asked for: it refuses, and by the right name.

Other stages look at the facts of a launch one by one. This one has production's own code judge a
box of which one thing is not true, so that a verdict that nobody gives is noticed as well.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ironclaw.core.errors import PeerError, PolicyError, PostureError
from ironclaw.core.ids import SlotId, new_id
from ironclaw.prove.box.probe_box import probe_box
from ironclaw.prove.house.twins import patched
from ironclaw.prove.lab.opened import LANE, OTHER_LANE
from ironclaw.prove.model import Check, Need, Twin
from ironclaw.sandbox import isolator, posture
from ironclaw.sandbox.ids import id_range
from ironclaw.sandbox.process import start_ticks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ironclaw.domain.wall import Box
    from ironclaw.prove.box.probe_box import ProbeBox
    from ironclaw.prove.lab.opened import Lab
    from ironclaw_contract.rpc import Facts

_ACCEPTED: Final = "accepted"
_TERABYTE: Final = 1 << 40
_NO_DIGEST: Final = "sha256:" + "0" * 64


class _Row(NamedTuple):
    """A check and how it is tried; where its control is, and what its twin has in its place."""

    check: Check
    attempt: Callable[[ProbeBox], Awaitable[str]]
    place: object
    name: str
    instead: object


async def _proven(probe: ProbeBox, *, box: Box | None = None, facts: Facts | None = None) -> str:
    """What production says of a box, or of one that it takes for it."""
    try:
        await probe.lab.isolator.prove(box or probe.box, probe.spec, facts or probe.facts)
    except PostureError as error:
        return f"refused: {', '.join(error.checks)}"
    except PeerError:
        return "refused: gone"
    return _ACCEPTED


async def _as_root(probe: ProbeBox) -> str:
    return await _proven(probe, facts=msgspec.structs.replace(probe.facts, uid=0))


async def _of_another_spec(probe: ProbeBox) -> str:
    return await _proven(probe, box=probe.box._replace(spec_digest=_NO_DIGEST))


async def _of_another_process(probe: ProbeBox) -> str:
    return await _proven(probe, box=probe.box._replace(started=probe.box.started + 1))


async def _too_large(probe: ProbeBox) -> str:
    limits = msgspec.structs.replace(probe.spec.limits, memory_bytes=_TERABYTE)
    spec = probe.spec._replace(limits=limits)
    try:
        probe.lab.isolator.evidence(probe.box, spec, probe.facts)
    except PolicyError as error:
        return "refused" if "linux.resources.memory" in error.message else error.message
    return _ACCEPTED


async def _of_two_agents(probe: ProbeBox) -> str:
    found = []
    for lane in (LANE, OTHER_LANE):
        slot = SlotId(new_id("slt"))
        try:
            directory = await probe.lab.isolator.prepare(slot, lane=lane)
            found.append({directory.box_uid, directory.airlock_uid, directory.group})
        finally:
            await probe.lab.isolator.discard(slot)
    return "shared" if found[0] & found[1] else "apart"


def _check(
    name: str, claim: str, attack: str, control: str, *expected: str, needs: Need | None = None
) -> Check:
    twin = f"without-{name.partition('.')[2].replace('_', '-')}"
    return Check(name, claim, attack, control, frozenset(expected), twin, needs=needs)


_ROWS: Final = (
    _Row(
        _check(
            "posture.refused_fact",
            "A launch of which one fact is wrong is refused, by the name of that fact.",
            "have a box proven whose program says that it is root",
            "verdict on a launch",
            "refused: inside.uid",
        ),
        _as_root,
        *(posture, "compare", posture.describe),
    ),
    _Row(
        _check(
            "posture.refused_spec",
            "A box that was launched from another spec than its agent has now is refused.",
            "have a box proven that has another spec's digest",
            "digest of the launched spec",
            "refused: outside.spec_digest",
        ),
        _of_another_spec,
        *(isolator, "spec_digest", lambda *_, **__: _NO_DIGEST),
    ),
    _Row(
        _check(
            "posture.refused_process",
            "A process that has the pid of a dead box is not taken for it.",
            "have a box proven that was started at another time",
            "start time beside each pid",
            "refused: gone",
        ),
        _of_another_process,
        *(isolator, "start_ticks", lambda pid: (start_ticks(pid) or 0) + 1),
    ),
    _Row(
        _check(
            "spec.refused_launch",
            "Production has each spec that it builds checked.",
            "ask for a box with a terabyte of memory",
            "check of each spec that is built",
            "refused",
        ),
        _too_large,
        *(isolator, "check_spec", lambda *_: None),
    ),
    _Row(
        _check(
            "files.agent_ids",
            "The boxes and airlocks of two agents have no host id in common.",
            "compare the owners of their directories",
            "range of ids for each agent",
            "apart",
            needs=Need.OWN_IDS,
        ),
        _of_two_agents,
        *(isolator, "id_range", lambda mapped, _lane: id_range(mapped, LANE)),
    ),
)


class _Refusals:
    """Implements `model.Stage`."""

    name = "refusals"
    checks = tuple(row.check for row in _ROWS)
    twins = tuple(Twin(row.check.twin, (row.check.control,)) for row in _ROWS)

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Launch one box and have production judge it. Raises IronClawError."""
        seen: dict[str, str] = {}
        async with probe_box(lab) as probe:
            for row in _ROWS:
                if row.check not in checks:
                    continue
                with contextlib.ExitStack() as stack:
                    if twin is not None:
                        stack.enter_context(patched(row.place, row.name, row.instead))
                    seen[row.check.name] = await row.attempt(probe)
        return seen


REFUSALS: Final = _Refusals()
