"""Greed in a whole house: a hostile agent takes all it can get while a sibling goes on working.

Boxes, airlocks, guard, store and delivery are production's; the sibling's messages go round all the
time, and none may be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.errors import IronClawError
from ironclaw.prove import controls as c
from ironclaw.prove.house import greed_scenes as scenes
from ironclaw.prove.house import twins
from ironclaw.prove.house.private import GREEDY, open_house
from ironclaw.prove.house.pulse import SIBLING, Pulse, felt
from ironclaw.prove.model import ERROR, Check, Need, could_not

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from ironclaw.domain.model import BoxLimits
    from ironclaw.prove.box.weak import Weakening
    from ironclaw.prove.house.private import House
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.prove.model import Twin


class _Scene(NamedTuple):
    """How one check is played."""

    check: Check
    play: Callable[[House, str], Awaitable[str]]
    limits: BoxLimits | None = None
    house: Weakening | None = None
    """What is smaller in its house than in production, so that a proof need not wait for it, nor
    depend on how busy the machine is; a house of its own then."""
    feels: bool = False
    """It feels the sibling's pulse by itself."""


def _check(
    name: str,
    claim: str,
    attack: str,
    control: str,
    twin: str,
    *expected: str,
    needs: Need | None = None,
    is_slow: bool = True,
    why_no_twin: str = "",
) -> Check:
    words = frozenset(expected or (scenes.CAPPED,))
    return Check(
        f"resources.{name}",
        claim,
        attack,
        control,
        words,
        twin,
        why_no_twin=why_no_twin,
        needs=needs,
        is_slow=is_slow,
    )


_OUT_OF_DISK: Final = "ended: box_out_of_disk"
_SCENES: Final = (
    _Scene(
        _check(
            *("memory_hog", "A box that takes too much memory is ended, with a clear word."),
            *("take memory until the limit is passed", c.MEMORY, "house-memory"),
            "ended: box_out_of_memory",
            needs=Need.CGROUPS,
            is_slow=False,
        ),
        scenes.take_memory,
        scenes.SMALL,
    ),
    _Scene(
        _check(
            *("cpu_hog", "A box gets no more of the processors than it may have."),
            *("spin in three threads", c.CPU, "house-cpu"),
            needs=Need.CGROUPS,
        ),
        scenes.take_cpu,
        scenes.HALF,
    ),
    _Scene(
        _check(
            *("thread_bomb", "A box takes no more threads of the host than it may."),
            *("start six hundred threads that all want to run", "gVisor's own kernel", ""),
            needs=Need.CGROUPS,
            why_no_twin="gVisor runs a box's threads on few threads of the host, so a bomb does "
            "not reach the cgroup's limit behind it, which other checks have twins for. It is "
            "counted in the cgroup: without one it is not claimed.",
        ),
        scenes.take_pids,
        scenes.CROWD,
    ),
    _Scene(
        _check(
            *("file_table", "A box opens as many files as it may and no more."),
            *("open two thousand files", c.OPEN_FILES, "house-files"),
            is_slow=False,
        ),
        scenes.open_files,
    ),
    _Scene(
        _check(
            *("workspace_bytes", "A box that fills the disk by its workspace is ended."),
            *("write to /workspace as fast as it goes", twins.GUARD, "house-unguarded"),
            _OUT_OF_DISK,
        ),
        scenes.fill_workspace,
        scenes.SMALL,
    ),
    _Scene(
        _check(
            *("memory_bytes", "A box that fills the disk by its memory is ended."),
            *("write to /memory as fast as it goes", twins.GUARD, "house-unguarded"),
            _OUT_OF_DISK,
        ),
        scenes.fill_memory,
        scenes.SMALL,
    ),
    _Scene(
        _check(
            *("inode_flood", "A box that makes more files than it may is ended soon."),
            *("make twenty thousand files", twins.GUARD, "house-unguarded"),
            _OUT_OF_DISK,
        ),
        scenes.make_files,
        scenes.SMALL,
    ),
    _Scene(
        _check(
            *("queue_bytes", "The outbound queue of a box takes so many bytes and no more."),
            *("fill /queue/out with twice its size", c.OUT_SIZE, "house-out"),
            is_slow=False,
        ),
        scenes.fill_out,
    ),
    _Scene(
        _check(
            *("queue_files", "The outbound queue of a box takes so many files and no more."),
            *("make twice as many files in /queue/out", c.OUT_INODES, "house-out"),
        ),
        scenes.fill_out_inodes,
    ),
    _Scene(
        _check(
            *("log_flood", "Nothing that a box writes to its streams is kept by the host."),
            *("write 32 MiB to stdout and stderr, make odd calls", twins.NO_STREAMS),
            "house-streams",
        ),
        scenes.log,
    ),
    _Scene(
        _check(
            *("bell_flood", "A box that rings without a pause gets its share of a core for it."),
            *(
                "ring the bell all the time (the share is set to 4 %)",
                twins.PACE,
                "house-unpaced",
            ),
        ),
        scenes.ring,
        house=twins.SMALL_SHARE,
    ),
    _Scene(
        _check(
            *("model_flood", "A box that asks without a pause gets its share of a core for it."),
            *(
                "ask the model all the time (the share is set to 4 %)",
                twins.PACE,
                "house-unpaced",
            ),
        ),
        scenes.pester,
        house=twins.SMALL_SHARE,
    ),
    _Scene(
        _check(
            *("model_calls", "A box has four model calls open at once and no more."),
            *("ask for forty at once", twins.CALLS, "house-calls"),
        ),
        scenes.storm,
    ),
    _Scene(
        _check(
            *("endless_steps", "A turn that makes ever more steps ends its session."),
            *("publish sixty steps of a turn of sixteen", twins.STEPS, "house-steps"),
            "ended: tamper",
        ),
        scenes.steps,
    ),
    _Scene(
        _check(
            *("endless_turn", "A turn that gets nothing done is ended when its time is over."),
            *("wait for ten minutes (the limit is set to 2 s)", twins.TURN, "house-turns"),
            "ended",
        ),
        scenes.never_end,
        house=twins.SHORT_TURNS,
    ),
    _Scene(
        _check(
            "everything_at_once",
            "While a box takes disk, memory, processors, threads, files and log at once, a sibling "
            f"is answered within twice its usual p99 (and {scenes.FLOOR_MS:.0f} ms), nothing is "
            "lost, and the person who started it gets a clear word.",
            *("all of it at once, again and again", twins.GUARD, "house-uncapped"),
            "the sibling goes on",
            # Threads of a box and of its sibling share the processors as control groups say.
            needs=Need.CGROUPS,
        ),
        scenes.everything,
        scenes.SMALL,
        feels=True,
    ),
    _Scene(
        _check(
            "everything_kept",
            "While a box takes all of that at once, nothing of a sibling's is lost, and the person "
            "who started it gets a clear word; on a host without control groups as well.",
            *("all of it at once, again and again", twins.GUARD, "house-uncapped"),
            "the sibling goes on",
        ),
        scenes.everything_kept,
        scenes.SMALL,
        feels=True,
    ),
)


class _Greed:
    """Implements `model.Stage`."""

    name = "greed"
    checks = tuple(scene.check for scene in _SCENES)
    twins = tuple(
        twin for twin in twins.TWINS if twin.name in {scene.check.twin for scene in _SCENES}
    )

    async def observe(
        self, lab: Lab, twin: Twin | None, checks: Sequence[Check]
    ) -> Mapping[str, str]:
        """Play the scenes of these checks. Raises IronClawError when there is no house."""
        wanted = {check.name for check in checks}
        chosen = [scene for scene in _SCENES if scene.check.name in wanted]
        weakening = twins.WEAKENINGS[twin.name] if twin else None
        seen: dict[str, str] = {}
        together = [scene for scene in chosen if scene.house is None]
        if together:
            async with open_house(lab, weakening) as house:
                await _meet_sibling(house)
                for scene in together:
                    seen[scene.check.name] = await _played(house, scene)
        for scene in chosen:
            if scene.house is not None:
                async with open_house(lab, weakening or scene.house) as house:
                    await _meet_sibling(house)
                    house.is_weak = twin is not None
                    seen[scene.check.name] = await _played(house, scene)
        return seen


async def _meet_sibling(house: House) -> None:
    """Start the sibling's box: what is measured later are its usual messages."""
    await house.agent(SIBLING)
    await Pulse(house).run(least=10)


async def _played(house: House, scene: _Scene) -> str:
    """Play one scene with an agent of its own; a sibling that was harmed is the outcome then."""
    chat = scene.check.name.partition(".")[2].replace("_", "-")
    await house.agent(chat, program=GREEDY, limits=scene.limits)
    if scene.feels:
        return await _tried(house, scene, chat)
    async with felt(house) as pulse:
        said = await _tried(house, scene, chat)
    if said.startswith(ERROR) or house.is_weak:
        # A twin is caught by its own attack, or not at all.
        return said
    return pulse.harm or said


async def _tried(house: House, scene: _Scene, chat: str) -> str:
    try:
        return await scene.play(house, chat)
    except (IronClawError, OSError, TimeoutError, ValueError, LookupError) as error:
        return could_not(error)
    finally:
        await house.stop(chat)


GREED: Final = _Greed()
