"""Houses with controls taken away, for twins alone: patches of the proof's own process, undone.

A house is opened while the patches hold, so they reach its core, its airlocks (whose zygote boots
with a patch of its own) and its boxes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw import composition, modelhouse
from ironclaw.airlock.starter import AirlockStarter
from ironclaw.domain.wall import Durable
from ironclaw.models import attempt
from ironclaw.models.scripted import Scripted
from ironclaw.prove import controls as c
from ironclaw.prove.box import host_changes, spec_changes
from ironclaw.prove.box.weak import Weakening
from ironclaw.prove.house import weak_zygote
from ironclaw.prove.model import Twin
from ironclaw.sandbox import isolator, nest, posture, runsc
from ironclaw.sandbox.ending import end_sandbox
from ironclaw.sandbox.process import gone, run
from ironclaw.services import calls
from ironclaw.services.disk_guard import DiskGuard
from ironclaw.services.parts import SessionLimits
from ironclaw.store import outbound
from ironclaw_contract.rpc import Failed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from ironclaw.core.ids import SessionId
    from ironclaw.domain.disk import Over
    from ironclaw.domain.model import Agent
    from ironclaw.prove.lab.opened import Lab
    from ironclaw.sandbox.ids import IdRange
    from ironclaw.sandbox.process import Finished
    from ironclaw.sandbox.runsc import Runsc
    from ironclaw.sandbox.spec import Mount, Spec
    from ironclaw.services.slots import Slot
    from ironclaw_contract.rpc import Generate, ModelTell

GUARD: Final = "disk guard"
PACE: Final = "airlock's share of the processor"
CALLS: Final = "limit on open model calls"
STEPS: Final = "limit on the steps of a turn"
TURN: Final = "limit on the time of a turn"
NO_STREAMS: Final = "streams of a box at /dev/null"
KILL: Final = "SIGKILL by pidfd on stop"
KEY_REMOVED: Final = "removal of the key file"
WIRE_CODES: Final = "closed words for a failed model call"
MOUNTS: Final = "own source of each mount"
POSTURE: Final = "posture of the gofer's mounts"
ONE_BELL: Final = "one connection on the bell"
EMPTY_SHARED: Final = "empty /shared"

BESIDE: Final = "house-beside-root"
"""The twin in which a program beside the agent runs as the box's root."""
SHORT_TURN_S: Final = 2.0
"""In place of production's half an hour, so that a proof need not wait for it."""
POLITE_S: Final = 1.5
"""How long the twin without a kill waits for a box that was asked to end."""
_MANY: Final = 1 << 20


@contextlib.contextmanager
def patched(place: object, name: str, value: object) -> Iterator[None]:
    """Replace an attribute that must be there, until left."""
    before = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, before)


def in_airlocks(control: str) -> Callable[[Lab], AbstractContextManager[None]]:
    """Take a control from the house's airlocks."""
    weak = functools.partial(AirlockStarter, zygote=(weak_zygote.MODULE, control))
    return lambda _lab: patched(composition, "AirlockStarter", weak)


def both(
    *changes: Callable[[Lab], AbstractContextManager[None]],
) -> Callable[[Lab], AbstractContextManager[None]]:
    """Several changes at once."""

    @contextlib.contextmanager
    def go(lab: Lab) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for change in changes:
                stack.enter_context(change(lab))
            yield

    return go


def turns_of(seconds: float) -> Callable[[Lab], AbstractContextManager[None]]:
    """Let a turn take so long without getting anything done."""
    limits = functools.partial(SessionLimits, turn_s=seconds)
    return lambda _lab: patched(composition, "SessionLimits", limits)


class _NoGuard(DiskGuard):
    """Watches nothing."""

    @contextlib.asynccontextmanager
    async def watching(
        self, slot: Slot, agent: Agent, over: Callable[[Over], None]
    ) -> AsyncIterator[None]:
        """Look away."""
        del slot, agent, over
        yield


def no_guard(_lab: Lab) -> AbstractContextManager[None]:
    """A house whose disk guard looks away."""
    return patched(composition, "DiskGuard", _NoGuard)


@contextlib.contextmanager
def kept_streams(_lab: Lab) -> Iterator[None]:
    """Keep what boxes write to their streams, in their bundles."""

    async def keeping(
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        quiet: bool = False,
    ) -> Finished:
        if quiet and "-bundle" in argv:
            bundle = argv[argv.index("-bundle") + 1]
            argv = ("/bin/sh", "-c", 'exec "$@" >"$0" 2>&1', f"{bundle}/streams", *argv)
        return await run(argv, timeout_s=timeout_s, env=env, cwd=cwd, quiet=quiet)

    with patched(runsc, "run", keeping):
        yield


@contextlib.contextmanager
def polite(_lab: Lab) -> Iterator[None]:
    """Ask a box to end, and give it time, before it is killed."""

    async def asking(program: Runsc, id_: str) -> None:
        running = program.state(id_)
        if running is not None and program.is_sentry(running):
            argv = (*program._base(), "kill", id_, "TERM")  # noqa: SLF001 - a twin
            await run(argv, timeout_s=10.0)
            await _gone_or_late(running.pid)
        await end_sandbox(program, id_)

    with patched(isolator, "end_sandbox", asking):
        yield


async def _gone_or_late(pid: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POLITE_S):
            await gone(pid)


def leaking(lab: Lab) -> AbstractContextManager[None]:
    """A provider that quotes its key in each failure. No control is gone: it is an attack."""

    class Leaking(Scripted):
        """The scripted provider, as a careless service would be."""

        async def generate(
            self, agent: Agent, session: SessionId, request: Generate
        ) -> AsyncGenerator[ModelTell, None]:
            """As the real one, with the key in every failure."""
            async for tell in super().generate(agent, session, request):
                if isinstance(tell, Failed):
                    yield msgspec.structs.replace(tell, text=f"401 for key {lab.mark}")
                else:
                    yield tell

    return patched(modelhouse, "Scripted", Leaking)


def blind(_lab: Lab) -> AbstractContextManager[None]:
    """Prove launches without a look at the gofer's mounts: it would refuse such a box."""
    kept = tuple(row for row in posture.CHECKS if row[0] != "outside.gofer.mounts")
    return patched(posture, "CHECKS", kept)


@contextlib.contextmanager
def careless(lab: Lab) -> Iterator[None]:
    """Put a secret of the host's where agents read."""
    make = isolator.make_durable  # type: ignore[attr-defined] # where the isolator has it from

    def making(parent: Path, kind: Durable, name: str, ids: IdRange) -> Path:
        path: Path = make(parent, kind, name, ids)
        if kind is Durable.SHARED:
            (path / "notes.txt").write_text(lab.mark, encoding="ascii")
        return path

    with patched(isolator, "make_durable", making):
        yield


def shown(destination: str, source: str) -> Callable[[Spec, Lab], Spec]:
    """Mount a place of the host's, by its path below the view, where another one belongs."""

    def go(spec: Spec, lab: Lab) -> Spec:
        place = str(lab.isolator.view / source)

        def change(mount: Mount) -> Mount:
            return msgspec.structs.replace(mount, source=place, options=(*mount.options, "rbind"))

        return spec_changes.on_mount(destination, change)(spec, lab)

    return go


def _parent_of(destination: str) -> Callable[[Spec, Lab], Spec]:
    """Mount all directories of a kind where the session's own belongs."""

    def go(spec: Spec, lab: Lab) -> Spec:
        (own,) = (mount.source for mount in spec.mounts if mount.destination == destination)
        source = own.rpartition("/")[0]
        return spec_changes.on_mount(
            destination, lambda mount: msgspec.structs.replace(mount, source=source)
        )(spec, lab)

    return go


def _host_processes(spec: Spec, lab: Lab) -> Spec:
    place = str(nest.expose(lab.isolator.view, Path("/proc"), read_only=True))
    return spec_changes.on_mount(
        "/shared", lambda mount: msgspec.structs.replace(mount, source=place)
    )(spec, lab)


SHORT_TURNS: Final = Weakening(host=turns_of(SHORT_TURN_S))
SMALL_SHARE: Final = Weakening(host=in_airlocks(weak_zygote.SMALL))
_ROWS: Final[dict[Twin, Weakening]] = {
    Twin("house-memory", (c.MEMORY,)): Weakening(spec=spec_changes.MORE_MEMORY),
    Twin("house-cpu", (c.CPU,)): Weakening(spec=spec_changes.MORE_CPU),
    Twin("house-files", (c.OPEN_FILES,)): Weakening(spec=spec_changes.limit("NOFILE", 4096)),
    Twin("house-out", (c.OUT_SIZE, c.OUT_INODES)): Weakening(
        host=host_changes.sized(OUT_DIR_BYTES=_MANY << 20, OUT_DIR_INODES=_MANY)
    ),
    Twin("house-unguarded", (GUARD,)): Weakening(host=no_guard),
    Twin("house-streams", (NO_STREAMS,)): Weakening(host=kept_streams),
    Twin("house-unpaced", (PACE,)): Weakening(host=in_airlocks(weak_zygote.PACE)),
    Twin("house-calls", (CALLS,)): Weakening(
        host=both(
            in_airlocks(weak_zygote.CALLS),
            lambda _lab: patched(calls, "MAX_CALLS", _MANY),
        )
    ),
    Twin("house-steps", (STEPS,)): Weakening(
        host=lambda _lab: patched(outbound._Taking, "_most_steps", lambda _self: _MANY)  # noqa: SLF001 - a twin
    ),
    Twin("house-turns", (TURN,)): Weakening(host=turns_of(SessionLimits().turn_s)),
    Twin("house-uncapped", (c.MEMORY, c.CPU, c.PIDS, c.OPEN_FILES, GUARD, NO_STREAMS)): Weakening(
        spec=spec_changes.together(
            spec_changes.MORE_MEMORY,
            spec_changes.MORE_CPU,
            spec_changes.MORE_PIDS,
            spec_changes.limit("NOFILE", 4096),
        ),
        host=both(no_guard, kept_streams),
    ),
    Twin("house-polite", (KILL,)): Weakening(host=polite),
    Twin("house-key", (KEY_REMOVED,)): Weakening(host=in_airlocks(weak_zygote.KEY)),
    Twin("house-leaking", (WIRE_CODES,)): Weakening(
        host=lambda _lab: patched(attempt, "_checked", lambda _request, end: end)
    ),
    Twin("house-careless", (EMPTY_SHARED,)): Weakening(host=careless),
    Twin("house-bells", (ONE_BELL,)): Weakening(host=in_airlocks(weak_zygote.BELL)),
    Twin(BESIDE, (c.NO_CAPABILITIES, c.NO_USER)): Weakening(),
    Twin("house-processes", (MOUNTS, POSTURE)): Weakening(spec=_host_processes, host=blind),
    Twin("house-workspaces", (MOUNTS,)): Weakening(spec=_parent_of("/workspace")),
    Twin("house-memories", (MOUNTS,)): Weakening(spec=_parent_of("/memory")),
    Twin("house-slots", (MOUNTS, POSTURE)): Weakening(spec=shown("/shared", "slots"), host=blind),
}
WEAKENINGS: Final = {twin.name: weakening for twin, weakening in _ROWS.items()}
TWINS: Final = tuple(_ROWS)
