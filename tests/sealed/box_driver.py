"""Runs in a nest, as a core would: drives real boxes and writes what happened to a JSON file.

    keeper … -- python box_driver.py STATE RUNTIME ROOTFS RESULTS

Sealed tests start it once for each kind of user and then assert on the results, one by one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from broken_launches import broken_off, orphaned
from disk_parts import floods
from probe_rootfs import PROGRAM

from ironclaw.core.errors import IronClawError
from ironclaw.domain.model import BoxLimits
from ironclaw.domain.wall import Rootfs
from ironclaw.sandbox.isolator import open_isolator
from ironclaw.sandbox.spec import Capabilities
from ironclaw.testing.isolator_kit import CHECKS, WAIT_S, launched, prepared
from ironclaw_contract.rpc import Facts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ironclaw.domain.wall import SlotDir
    from ironclaw.sandbox.isolator import RunscIsolator
    from ironclaw.sandbox.spec import Spec

replace = msgspec.structs.replace


class Bell:
    """The host's end of one box's bell, as an airlock would hold it."""

    def __init__(self) -> None:
        self.connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected.set_result((reader, writer))


class RunscSubject:
    """Drives boxes that run the probe."""

    def __init__(self, isolator: RunscIsolator, rootfs: Path) -> None:
        self.isolator = isolator
        self.rootfs = Rootfs("sha256:" + "0" * 64, rootfs)
        self._bells: dict[Path, Bell] = {}

    async def arm(self, directory: SlotDir) -> None:
        bell = self._bells[directory.path] = Bell()
        path = directory.path / "run" / "bell.sock"
        await asyncio.start_unix_server(bell.accept, path, limit=2**22)
        os.chown(path, directory.airlock_uid, directory.group)
        path.chmod(0o660)

    async def hello(self, directory: SlotDir) -> Facts:
        reader, _ = await self._bells[directory.path].connected
        return msgspec.json.decode(await reader.readline(), type=Facts)

    async def ask(self, directory: SlotDir, command: bytes) -> Any:
        reader, writer = await self._bells[directory.path].connected
        writer.write(command)
        return json.loads(await reader.readline())

    async def tell(self, directory: SlotDir, command: bytes) -> None:
        _, writer = await self._bells[directory.path].connected
        writer.write(command)

    async def end(self, directory: SlotDir) -> None:
        await self.tell(directory, b"x")


async def frozen(subject: RunscSubject) -> dict[str, Any]:
    """What is said of two frozen boxes: one that waits, and one that computes all the time."""
    found: dict[str, Any] = {}
    isolator = subject.isolator
    for way, command in (("waits", b""), ("computes", b"c")):
        spec, box, _ = await launched(subject, name=f"frozen-{way}")
        await subject.tell(spec.dir, command)
        await asyncio.sleep(0.5)
        awake = isolator.is_still(box)
        isolator.freeze(box)
        await asyncio.sleep(0.5)
        before, still = isolator.effort(box), isolator.is_still(box)
        await asyncio.sleep(0.5)
        grew = isolator.effort(box) - before
        isolator.thaw(box)
        await asyncio.sleep(0.1)
        found[way] = {"awake": awake, "still": still, "grew": grew, "after": isolator.is_still(box)}
        await isolator.discard(box.slot)
        found[way]["gone"] = isolator.is_still(box) or isolator.effort(box) > 0
    return found


async def report(subject: RunscSubject) -> dict[str, Any]:
    """What a box sees and could do, its receipt, and what a second one sees of it."""
    spec, box, facts = await launched(subject, name="one")
    (spec.dir.path / "in" / "0000000000000001.seg").write_bytes(b"of the first session")
    other, other_box, other_facts = await launched(subject, name="two")
    third, _, _ = await launched(subject, name="three", agent="other")
    begun = time.perf_counter()
    receipt = await subject.isolator.prove(box, spec, facts)
    prove_ms = (time.perf_counter() - begun) * 1000
    said = await subject.ask(spec.dir, b"?")
    seen = await subject.ask(other.dir, b"?")
    foreign = await subject.ask(third.dir, b"?")
    rescue = (await subject.isolator.prove(other_box, other, other_facts)).spec_digest
    for each in (spec, other, third):
        await subject.isolator.discard(each.dir.slot)
    return {
        **said,
        "facts": msgspec.to_builtins(facts),
        "receipt": msgspec.to_builtins(receipt),
        "prove_ms": prove_ms,
        "other": seen["sees"],
        "foreign": foreign["sees"],
        "same_digest": rescue == receipt.spec_digest,
        "cgroups": subject.isolator._groups.version,
    }


async def timings(subject: RunscSubject) -> dict[str, list[float]]:
    """Milliseconds of launch to hello and of discard, five times."""
    found: dict[str, list[float]] = {"launch": [], "hello": [], "discard": []}
    for _ in range(5):
        spec = await prepared(subject)
        await subject.arm(spec.dir)
        begun = time.perf_counter()
        await subject.isolator.launch(spec)
        found["launch"].append((time.perf_counter() - begun) * 1000)
        await subject.hello(spec.dir)
        found["hello"].append((time.perf_counter() - begun) * 1000)
        begun = time.perf_counter()
        await subject.isolator.discard(spec.dir.slot)
        found["discard"].append((time.perf_counter() - begun) * 1000)
    return found


async def oom(subject: RunscSubject) -> str:
    """What `ended` says of a box that eats all its memory."""
    spec = await prepared(subject, limits=BoxLimits(memory_bytes=96 * 1024 * 1024))
    await subject.arm(spec.dir)
    box = await subject.isolator.launch(spec)
    await subject.hello(spec.dir)
    await subject.tell(spec.dir, b"o")
    async with asyncio.timeout(WAIT_S):
        why = await subject.isolator.ended(box)
    await subject.isolator.discard(box.slot)
    return why


async def log(subject: RunscSubject) -> dict[str, Any]:
    """What becomes of a log that somebody fills, and of its box."""
    spec, box, _ = await launched(subject)
    running = subject.isolator._runsc.state("ironclaw-" + box.slot)
    assert running is not None
    filled = _fill_log(running.gofer_pid)
    goes_on = "sees" in await subject.ask(spec.dir, b"?")
    await subject.isolator.discard(box.slot)
    return {**filled, "goes_on": goes_on, "left": os.path.exists(filled["file"])}  # noqa: ASYNC240, PTH110 - a test


def _fill_log(gofer: int) -> dict[str, Any]:
    words = Path(f"/proc/{gofer}/cmdline").read_bytes().split(b"\0")
    said = next(word for word in words if word.startswith(b"--log="))
    file = Path(said.removeprefix(b"--log=").decode())
    refused = ""
    try:
        with file.open("ab") as stream:
            stream.write(bytes(16 * 1024 * 1024))
    except OSError as error:
        refused = str(error.strerror)
    return {"file": str(file), "refused": refused, "size": file.stat().st_size}


async def adopted(subject: RunscSubject, again: Callable[[], Awaitable[RunscIsolator]]) -> bool:
    """Whether a second isolator finds the first one's box, and can end it."""
    spec, box, _ = await launched(subject)
    heir = await again()
    found = box in await heir.survivors() and await heir.reopen(box.slot) == spec.dir
    await heir.discard(box.slot)
    return found and await heir.survivors() == [] and await heir.slots() == []


# --- weakened twins: the same proof, against a box with one control taken away -------------------


def _spec_twin(change: Callable[[Spec], Spec]) -> Callable[[RunscIsolator], Iterator[None]]:
    def twin(isolator: RunscIsolator) -> Iterator[None]:
        build = isolator._build
        isolator._build = lambda spec, lane: change(build(spec, lane))  # type: ignore[method-assign]
        yield
        isolator._build = build  # type: ignore[method-assign]

    return twin


def _flag_twin(without: str, *added: str) -> Callable[[RunscIsolator], Iterator[None]]:
    def twin(isolator: RunscIsolator) -> Iterator[None]:
        flags = isolator._runsc.flags
        kept = tuple(flag for flag in flags if not flag.startswith(without))
        isolator._runsc.flags = (*kept, *added)
        yield
        isolator._runsc.flags = flags

    return twin


def _mount_twin(destination: str) -> Callable[[RunscIsolator], Iterator[None]]:
    def change(spec: Spec) -> Spec:
        return replace(
            spec,
            mounts=tuple(
                replace(
                    mount,
                    # The kernel's read-only bind and the directory's mode are further controls:
                    # the twin takes them away as well, by giving it the other queue.
                    source=mount.source.replace("/box/in", "/out"),
                    options=tuple("rw" if word == "ro" else word for word in mount.options),
                )
                if mount.destination == destination
                else mount
                for mount in spec.mounts
            ),
        )

    return _spec_twin(change)


def _without_limit(spec: Spec) -> Spec:
    resources = spec.linux.resources
    memory = replace(resources.memory, limit=resources.memory.limit * 2)
    return replace(spec, linux=replace(spec.linux, resources=replace(resources, memory=memory)))


_ALL = ("CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_CHOWN")
TWINS: dict[str, Callable[[RunscIsolator], Iterator[None]]] = {
    "inside.seccomp": _flag_twin("--oci-seccomp"),
    "outside.sentry.capabilities": _flag_twin("--directfs", "--directfs=true"),
    "outside.gofer.mounts": _mount_twin("/queue/in"),
    "inside.queue_in": _mount_twin("/queue/in"),
    "inside.capabilities": _spec_twin(
        lambda s: replace(
            s,
            process=replace(
                s.process, capabilities=Capabilities(bounding=_ALL, permitted=_ALL, effective=_ALL)
            ),
        )
    ),
    "inside.uid": _spec_twin(
        lambda s: replace(s, process=replace(s.process, user=replace(s.process.user, uid=0)))
    ),
    "inside.environment": _spec_twin(
        lambda s: replace(s, process=replace(s.process, env=(*s.process.env, "API_KEY=x")))
    ),
    "outside.cgroup.limits": _spec_twin(_without_limit),
}


async def twins(subject: RunscSubject) -> dict[str, str]:
    """What the proof says of each twin."""
    isolator = subject.isolator
    said: dict[str, str] = {}
    digest = isolator._digest
    isolator._digest = lambda *_: "sha256:twin"  # type: ignore[method-assign]
    for name, twin in TWINS.items():
        spec = await prepared(subject)
        await subject.arm(spec.dir)
        with contextlib.contextmanager(twin)(isolator):
            box = await isolator.launch(spec)
        try:
            async with asyncio.timeout(WAIT_S):
                facts = await subject.hello(spec.dir)
            await isolator.prove(box, spec, facts)
            said[name] = "proven"
        except IronClawError as error:
            said[name] = error.message
        except Exception as error:  # noqa: BLE001 - a result, asserted on by a test
            said[name] = f"{type(error).__name__}: {error}"
        finally:
            await isolator.discard(spec.dir.slot)
    isolator._digest = digest  # type: ignore[method-assign]
    return said


async def main() -> None:
    state, runtime, rootfs, results = (Path(word) for word in sys.argv[1:5])
    only = sys.argv[5:]

    async def again() -> RunscIsolator:
        return await open_isolator(state_dir=state, runtime_dir=runtime, program_for_tests=PROGRAM)

    subject = RunscSubject(await again(), rootfs)
    parts: dict[str, Callable[[], Awaitable[Any]]] = {
        "report": lambda: report(subject),
        "timings": lambda: timings(subject),
        "twins": lambda: twins(subject),
        "log": lambda: log(subject),
        "floods": lambda: floods(subject, state),
        "frozen": lambda: frozen(subject),
        "adopted": lambda: adopted(subject, again),
        "broken_off": lambda: broken_off(subject),
        "orphaned": lambda: orphaned(subject, again),
        **{f"kit.{name}": (lambda check=check: check(subject)) for name, check in CHECKS.items()},
    }
    if subject.isolator._groups.usable:
        parts["oom"] = lambda: oom(subject)
    found: dict[str, Any] = {}
    for name, part in parts.items():
        if only and name not in only:
            continue
        try:
            found[name] = {"value": await part(), "error": ""}
        except Exception as error:  # noqa: BLE001 - a result, asserted on by a test
            detail = getattr(error, "detail", "")
            found[name] = {"value": None, "error": f"{traceback.format_exc()}\n{detail}"}
        for slot in await subject.isolator.slots():
            await subject.isolator.discard(slot)
    found["left"] = [
        *(str(path) for path in (runtime / "bundles").iterdir()),
        *(str(path) for path in (runtime / "runsc").iterdir()),
        *(str(path) for path in (Path(os.environ["IRONCLAW_VIEW"]) / "slots").iterdir()),
    ]
    results.write_text(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
