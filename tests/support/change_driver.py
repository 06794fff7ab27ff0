"""A gateway on real files that dies where it is told to: the child of the crash test.

    python -m tests.support.change_driver STATE [WEAKNESS]
    stdin: `life how-often ahead-ms point` for each life -> stdout: one line: how it ended

Each life is a forked process: it opens the store, finishes what the one before left, goes through a
few changes, two at a time, and is killed by SIGKILL at the given point, if it comes there.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
import sys
import traceback
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.support.change_house import HOUSE, directory_at, read_stage, snapshot
from tests.support.change_script import Script

from ironclaw.core.clock import SystemClock
from ironclaw.core.tasks import Tasks
from ironclaw.domain import deciding
from ironclaw.domain.changes.base import HostDir, House
from ironclaw.services.gateway.service import GatewayService, Parts
from ironclaw.services.hub import Hub
from ironclaw.services.telling import Telling
from ironclaw.store import audit_rows
from ironclaw.store.change_rows import ChangeRows
from ironclaw.store.op_codec import pack_ops, unpack_ops
from ironclaw.testing.fakes_store import open_core_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import apsw

    from ironclaw.core.ids import ChangeId
    from ironclaw.domain.changes.base import Op
    from ironclaw.domain.skills import KeptSkill
    from ironclaw.testing.fakes_store import CoreStore

CHANGES: Final = 8
"""Of one life."""
_label: ContextVar[str] = ContextVar("label", default="")


class Death:
    """Comes at the n-th call of one point."""

    def __init__(self, point: str = "", often: int = 0) -> None:
        self._point = point
        self._left = often

    def __call__(self, point: str) -> None:
        """The core is at that point now."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Ahead(SystemClock):
    """A clock that is ahead: what lasts an hour has ended in the next life."""

    def __init__(self, ahead_ms: int) -> None:
        self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return super().now_ms() + self._ahead_ms


class FileReach:
    """A running system that is a file: a line for each op that it was told."""

    def __init__(self, path: Path, death: Death) -> None:
        self._path = path
        self._death = death
        self._known = read_reached(path)

    async def reach(self, ops: Sequence[Op]) -> None:
        """Be as those say."""
        self._death("reach: before")
        with self._path.open("ab", buffering=0) as file:
            for op in ops:
                line = line_of(op)
                file.write(line + b"\n")
                self._known.add(line)
                self._death("reach: within")
        await asyncio.sleep(0)
        self._death("reach: after")

    async def holds(self, ops: Sequence[Op]) -> bool:
        """Whether it is."""
        return all(line_of(op) in self._known for op in ops)


class FileLooks:
    """A house that does not change."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock

    def house(self) -> House:
        """The house now."""
        return HOUSE._replace(now_ms=self._clock.now_ms())

    async def directory(self, path: str) -> HostDir:
        """What is at a path: a directory, always the same."""
        return directory_at(path)

    async def skills(self) -> tuple[KeptSkill, ...]:
        """What was imported."""
        return HOUSE.skills


class Driven(NamedTuple):
    """An open core of the crash test."""

    core: CoreStore
    gateway: GatewayService
    tasks: Tasks


def line_of(op: Op) -> bytes:
    """An op as a line."""
    return base64.b64encode(pack_ops((op,)))


def op_of(line: bytes) -> Op:
    """The op of a line."""
    (op,) = unpack_ops(base64.b64decode(line, validate=True))
    return op


def read_reached(path: Path) -> set[bytes]:
    """What the running system was told: death comes between two lines, never within one."""
    return set(path.read_bytes().splitlines()) if path.exists() else set()


@contextlib.asynccontextmanager
async def open_driven(
    state: Path, *, ahead_ms: int = 0, death: Death | None = None
) -> AsyncIterator[Driven]:
    """Open everything; nothing is resumed yet."""
    clock = Ahead(ahead_ms)
    failed: list[BaseException] = []
    async with open_core_store(state, clock=clock) as core:
        if death is not None:
            _hook(core, death)
        async with Tasks("driver", on_failure=lambda _, error: failed.append(error)) as tasks:
            telling = Telling(
                ledger=core.ledger, hub=Hub(core.chatlog), wake=lambda _session, _message: None
            )
            gateway = GatewayService(
                Parts(
                    store=core.registry,
                    reach=FileReach(state / "reached", death or Death()),
                    tell=telling,
                    looks=FileLooks(clock),
                    names=core.registry,
                    record=lambda entry, by: core.audit.append(entry, by=by),
                    clock=clock,
                    tasks=tasks,
                )
            )
            yield Driven(core, gateway, tasks)
    if failed:
        raise failed[0]


def _hook(core: CoreStore, death: Death) -> None:
    """Let death come before, within and after every transaction, and around its audit."""
    write = core.store.write

    async def dying(work: Callable[[apsw.Connection], object]) -> object:
        label = _label.get()

        def within(db: apsw.Connection) -> object:
            done = work(db)
            death(f"{label}: within")
            return done

        death(f"{label}: before")
        done = await write(within)
        death(f"{label}: after")
        return done

    core.store.write = dying  # type: ignore[method-assign,assignment]
    for name in ("request", "act", "end_grant", "reached"):
        _name_steps(core.registry, name)
    _name_steps(core.ledger, "inform")
    append = audit_rows.append

    def appending(*args: object, **more: object) -> object:
        death("audit: before")
        done = append(*args, **more)  # type: ignore[arg-type]
        death("audit: after")
        return done

    for name, module in list(sys.modules.items()):
        if name.startswith("ironclaw.store.") and getattr(module, "append", None) is append:
            module.append = appending  # type: ignore[attr-defined]


def _name_steps(owner: object, name: str) -> None:
    method = getattr(owner, name)

    async def named(*args: object, **more: object) -> object:
        token = _label.set(f"{name} {_step(args[1])}" if name in _STEPPED else name)
        try:
            return await method(*args, **more)
        finally:
            _label.reset(token)

    setattr(owner, name, named)


_STEPPED: Final = {"request", "act", "end_grant"}


def _step(step: object) -> str:
    """`decide` for a step that `GatewayService.decide` makes; else the step's own name."""
    function = getattr(step, "func", step)
    owner, _, rest = function.__qualname__.partition(".<locals>")
    return owner.rpartition(".")[2] if rest else function.__name__


# --- a life ---------------------------------------------------------------------------------------


async def live(state: Path, life: int, death: Death, ahead_ms: int) -> list[str]:
    """One life; what was refused in it, in words."""
    stage = read_stage(state)
    async with open_driven(state, ahead_ms=ahead_ms, death=death) as driven:
        await driven.gateway.resume()
        if await driven.core.store.read(_unfinished):
            raise AssertionError("something is left unfinished after a start")
        script = Script(driven.gateway, stage)

        async def lane(numbers: range) -> None:
            for number in numbers:
                await script.one(number, await driven.core.store.read(snapshot))

        async with asyncio.TaskGroup() as group:
            for first in (0, 1):
                group.create_task(lane(range(life * CHANGES + first, (life + 1) * CHANGES, 2)))
    return script.refused


def _forgetful() -> None:
    """A core that does not finish what a former one began."""
    ChangeRows.unfinished = _nothing  # type: ignore[method-assign]


def _mute() -> None:
    """A core that does not tell the running system what it wrote."""
    ChangeRows.unreached = _nothing  # type: ignore[method-assign,assignment]


def _silent() -> None:
    """A core that keeps no record of who said yes."""
    decided = deciding.decided
    deciding.decided = lambda *args, **more: decided(*args, **more)._replace(audit=())


async def _nothing(*_: object) -> list[ChangeId]:
    return []


WEAK: Final = {"forgetful": _forgetful, "mute": _mute, "silent": _silent}
"""Cores with one thing taken from them: whoever looks at what they left must see it."""


def _unfinished(db: apsw.Connection) -> list[str]:
    left = db.execute("SELECT id FROM change WHERE status IN ('approved', 'applied')")
    return [change for (change,) in left]


def main() -> None:
    """Live as often as a line comes."""
    state = Path(sys.argv[1])
    for weakness in sys.argv[2:]:
        WEAK[weakness]()
    for line in sys.stdin:
        life, often, ahead_ms, point = line.rstrip("\n").split(" ", 3)
        child = os.fork()
        if child == 0:
            code = 3
            try:
                refused = asyncio.run(
                    live(state, int(life), Death(point, int(often)), int(ahead_ms))
                )
                (state / "refused").open("a").writelines(f"{one}\n" for one in refused)
                code = 0
            except BaseException:  # noqa: BLE001 - said, and then the process ends
                traceback.print_exc()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        how = "killed" if os.WIFSIGNALED(status) else str(os.waitstatus_to_exitcode(status))
        sys.stdout.write(f"{how}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
