# ruff: noqa: S101, PT017 - a check is made of assertions, and the package needs no pytest
"""What every Isolator must do, as checks. Run on the fake in unit tests, on runsc in sealed ones.

A check is an async function of a `Subject`; it raises AssertionError. `CHECKS` lists them by name.
Each makes its own slots and discards them.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, PeerError, PolicyError
from ironclaw.core.ids import AgentId, SlotId, new_id
from ironclaw.domain.model import BoxLimits, SharedMount
from ironclaw.domain.wall import Durable, LaunchSpec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ironclaw.domain.wall import Box, Isolator, Rootfs, SlotDir
    from ironclaw_contract.rpc import Facts

LANE: Final = 3
_AGENT: Final = AgentId("agt_kit")
WAIT_S: Final = 20.0
STILL_S: Final = 1.0
"""For how long nothing may happen; what is awaited takes milliseconds otherwise."""


class Subject(Protocol):
    """An isolator and what the kit needs to drive its boxes."""

    isolator: Isolator
    rootfs: Rootfs

    async def arm(self, directory: SlotDir) -> None:
        """Get ready to hear from the box that will be launched in this slot."""
        ...

    async def hello(self, directory: SlotDir) -> Facts:
        """Wait for the box's first words."""
        ...

    async def end(self, directory: SlotDir) -> None:
        """Make the program in the box end by itself."""
        ...


def fresh_slot() -> SlotId:
    """Make a slot id."""
    return SlotId(new_id("slt"))


async def prepared(
    subject: Subject,
    *,
    limits: BoxLimits | None = None,
    name: str = "kit",
    agent: str = "kit",
    mounts: tuple[SharedMount, ...] = (),
) -> LaunchSpec:
    """Make a slot and its durable directories, and the spec to launch them."""
    isolator = subject.isolator
    directory = await isolator.prepare(fresh_slot(), lane=LANE)
    return LaunchSpec(
        dir=directory,
        agent=_AGENT,
        rootfs=subject.rootfs,
        workspace=await isolator.durable(Durable.WORKSPACE, name, lane=LANE),
        memory=await isolator.durable(Durable.MEMORY, agent, lane=LANE),
        shared=await isolator.durable(Durable.SHARED, agent, lane=LANE),
        limits=limits or BoxLimits(),
        mounts=mounts,
    )


def shared(name: str, path: Path) -> SharedMount:
    """Share the directory that is at a path now."""
    found = path.stat()
    return SharedMount(name=name, path=str(path), device=found.st_dev, inode=found.st_ino)


def _made(path: Path) -> SharedMount:
    path.mkdir()
    return shared("docs", path)


def _moved_away(path: Path) -> Path:
    """Put another directory in its place; return a link to where it is now."""
    path.rename(path.with_name("former"))
    path.mkdir()
    link = path.with_name("link")
    link.symlink_to(path.with_name("former"))
    return link


async def launched(
    subject: Subject, *, name: str = "kit", agent: str = "kit"
) -> tuple[LaunchSpec, Box, Facts]:
    """Launch a box and wait for its hello."""
    spec = await prepared(subject, name=name, agent=agent)
    await subject.arm(spec.dir)
    box = await subject.isolator.launch(spec)
    async with asyncio.timeout(WAIT_S):
        return spec, box, await subject.hello(spec.dir)


async def prepare_makes_in_out_and_run(subject: Subject) -> None:
    """A prepared slot has its three directories, and nothing in them."""
    directory = await subject.isolator.prepare(fresh_slot(), lane=LANE)
    for name in ("in", "out", "run"):
        found = directory.path / name
        assert found.is_dir()
        assert list(found.iterdir()) == []
    assert len({directory.box_uid, directory.airlock_uid}) == 2  # noqa: PLR2004 - two owners
    await subject.isolator.discard(directory.slot)
    assert not directory.path.exists()


async def durable_directories_are_kept(subject: Subject) -> None:
    """Asking twice gives the same directory, with what is in it; other names give others."""
    first = await subject.isolator.durable(Durable.SHARED, "kept", lane=LANE)
    (first / "note").write_text("still here", encoding="utf-8")
    again = await subject.isolator.durable(Durable.SHARED, "kept", lane=LANE)
    assert again == first
    assert (again / "note").read_text(encoding="utf-8") == "still here"
    assert await subject.isolator.durable(Durable.SHARED, "other", lane=LANE) != first
    assert await subject.isolator.durable(Durable.MEMORY, "kept", lane=LANE) != first


async def only_empty_durable_directories_go(subject: Subject) -> None:
    """What holds something stays; what is not there is no error."""
    isolator = subject.isolator
    full = await isolator.durable(Durable.SHARED, "full", lane=LANE)
    (full / "note").write_text("still here", encoding="utf-8")
    empty = await isolator.durable(Durable.SHARED, "empty", lane=LANE)
    for name in ("full", "empty", "empty", "never"):
        await isolator.remove_empty(Durable.SHARED, name)
    assert (full / "note").exists()
    assert not empty.exists()


async def durable_names_cannot_escape(subject: Subject) -> None:
    """A name that is not one path component is refused."""
    for name in ("../x", "a/b", "", ".", "..", "a\0b", ".hidden"):
        try:
            await subject.isolator.durable(Durable.WORKSPACE, name, lane=LANE)
        except ValueError:
            continue
        raise AssertionError(f"accepted {name!r}")


async def launch_then_discard(subject: Subject) -> None:
    """A launched box runs and says hello; discard ends it; its durable files stay."""
    spec, box, _ = await launched(subject)
    assert box.pid > 0
    assert box.slot == spec.dir.slot
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(subject.isolator.ended(box))
        await subject.isolator.discard(box.slot)
    assert waiting.result() == "killed"
    assert not spec.dir.path.exists()
    assert spec.workspace.is_dir()


async def discard_is_idempotent(subject: Subject) -> None:
    """Discarding twice, or what never was, does nothing."""
    spec, _, _ = await launched(subject)
    await subject.isolator.discard(spec.dir.slot)
    await subject.isolator.discard(spec.dir.slot)
    await subject.isolator.discard(fresh_slot())


async def ended_says_exit(subject: Subject) -> None:
    """A program that ends by itself is told apart from one that was killed."""
    spec, box, _ = await launched(subject)
    await subject.end(spec.dir)
    async with asyncio.timeout(WAIT_S):
        assert await subject.isolator.ended(box) == "exit"
        assert await subject.isolator.ended(box) == "exit"
    await subject.isolator.discard(box.slot)


async def a_frozen_box_waits(subject: Subject) -> None:
    """Whatever happens, a frozen box does nothing until it is thawed; and it can be discarded."""
    spec, box, _ = await launched(subject)
    subject.isolator.freeze(box)
    subject.isolator.freeze(box)
    await subject.end(spec.dir)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        ending = group.create_task(subject.isolator.ended(box))
        await asyncio.wait({ending}, timeout=STILL_S)
        assert not ending.done()
        assert subject.isolator.is_still(box)
        assert box in await subject.isolator.survivors()
        subject.isolator.thaw(box)
    assert ending.result() == "exit"
    assert not subject.isolator.is_still(box)
    subject.isolator.thaw(box)
    await subject.isolator.discard(box.slot)
    spec, box, _ = await launched(subject)
    subject.isolator.freeze(box)
    async with asyncio.timeout(WAIT_S):
        await subject.isolator.discard(box.slot)
    assert box not in await subject.isolator.survivors()


async def survivors_are_those_that_run(subject: Subject) -> None:
    """Survivors lists the running boxes as launch returned them, and no others."""
    before = await subject.isolator.survivors()
    spec, box, _ = await launched(subject)
    blank = await subject.isolator.prepare(fresh_slot(), lane=LANE)
    assert [each for each in await subject.isolator.survivors() if each not in before] == [box]
    await subject.isolator.discard(spec.dir.slot)
    await subject.isolator.discard(blank.slot)
    assert await subject.isolator.survivors() == before


async def reopen_gives_the_same_directories(subject: Subject) -> None:
    """A slot can be found again by its id alone; one that is gone cannot."""
    directory = await subject.isolator.prepare(fresh_slot(), lane=LANE)
    assert await subject.isolator.reopen(directory.slot) == directory
    await subject.isolator.discard(directory.slot)
    for slot in (directory.slot, fresh_slot()):
        try:
            await subject.isolator.reopen(slot)
        except HostError:
            continue
        raise AssertionError("reopened a slot that is gone")


async def weak_limits_are_refused(subject: Subject) -> None:
    """No limit can be turned off."""
    for weak in (
        BoxLimits(memory_bytes=0),
        BoxLimits(cpu_millis=0),
        BoxLimits(pids=0),
        BoxLimits(files=0),
        BoxLimits(file_bytes=0),
        BoxLimits(memory_bytes=-1),
        BoxLimits(file_bytes=2**63 - 1),
    ):
        spec = await prepared(subject, limits=weak)
        try:
            await subject.isolator.launch(spec)
        except PolicyError as error:
            assert error.code is Code.SPEC_TOO_WEAK
        else:
            raise AssertionError(f"launched with {weak}")
        finally:
            await subject.isolator.discard(spec.dir.slot)


async def a_true_box_is_proven(subject: Subject) -> None:
    """The receipt of a box that is as asked says where it runs and what sealed it."""
    spec, box, facts = await launched(subject)
    receipt = await subject.isolator.prove(box, spec, facts)
    assert receipt.slot == box.slot
    assert receipt.network == "none"
    assert receipt.uid == facts.uid
    assert receipt.inside == facts
    assert receipt.spec_digest == box.spec_digest
    assert receipt.image_digest == spec.rootfs.digest
    assert receipt.outside["netns"] == "own"
    await subject.isolator.discard(box.slot)


async def a_false_box_is_not_proven(subject: Subject) -> None:
    """Each wrong fact fails the proof, and the error names it."""
    spec, box, facts = await launched(subject)
    replace = msgspec.structs.replace
    for name, wrong in (
        ("inside.uid", replace(facts, uid=0)),
        ("inside.capabilities", replace(facts, cap_eff=1)),
        ("inside.seccomp", replace(facts, seccomp=0)),
        ("inside.no_new_privs", replace(facts, no_new_privs=False)),
        ("inside.interfaces", replace(facts, interfaces=("lo", "eth0"))),
        ("inside.routes", replace(facts, routes=1)),
        ("inside.root", replace(facts, root_writable=True)),
        ("inside.queue_in", replace(facts, in_writable=True)),
        ("inside.kernel", replace(facts, kernel="Linux version 6.1.0")),
        ("inside.processes", replace(facts, processes=2)),
        ("inside.environment", replace(facts, environment=("PATH", "API_KEY"))),
    ):
        try:
            await subject.isolator.prove(box, spec, wrong)
        except PeerError as error:
            assert error.code is Code.POSTURE_FAILED
            assert name in error.message
        else:
            raise AssertionError(f"proven in spite of {name}")
    await subject.isolator.discard(box.slot)


async def digests_name_what_slots_share(subject: Subject) -> None:
    """Two slots of one agent have one digest, whatever their sessions; other limits, another."""
    one, box_one, _ = await launched(subject, name="another")
    spec = await prepared(subject, limits=BoxLimits(memory_bytes=300 * 1024 * 1024))
    await subject.arm(spec.dir)
    other = await subject.isolator.launch(spec)
    two = await prepared(subject)
    await subject.arm(two.dir)
    box_two = await subject.isolator.launch(two)
    for each in (one, spec, two):
        await subject.isolator.discard(each.dir.slot)
    assert box_one.spec_digest == box_two.spec_digest
    assert other.spec_digest != box_one.spec_digest


async def a_digest_is_known_before_a_launch(subject: Subject) -> None:
    """What a launch would be is told without one, and for a slot that runs something else."""
    spec, box, _ = await launched(subject)
    other = spec._replace(limits=BoxLimits(memory_bytes=300 * 1024 * 1024))
    assert await subject.isolator.digest_for(spec) == box.spec_digest
    assert await subject.isolator.digest_for(other) != box.spec_digest
    await subject.isolator.discard(box.slot)


async def a_shared_directory_is_the_approved_one(subject: Subject) -> None:
    """It is part of the digest and has a place; whatever else is at its path is refused."""
    with tempfile.TemporaryDirectory() as name:
        docs = Path(name, "docs")
        mount = _made(docs)
        spec = await prepared(subject, mounts=(mount,))
        await subject.arm(spec.dir)
        box = await subject.isolator.launch(spec)
        async with asyncio.timeout(WAIT_S):
            await subject.isolator.prove(box, spec, await subject.hello(spec.dir))
        assert await subject.isolator.digest_for(spec._replace(mounts=())) != box.spec_digest
        assert (spec.shared / "docs").is_dir()
        another = _moved_away(docs)
        inside = await subject.isolator.durable(Durable.MEMORY, "kit", lane=LANE)
        for wrong in (
            mount,
            msgspec.structs.replace(mount, path=str(another)),
            msgspec.structs.replace(mount, path=str(docs.with_name("gone"))),
            shared("memory", inside),
            shared("all", Path("/")),
        ):
            try:
                await subject.isolator.launch(spec._replace(mounts=(wrong,)))
            except HostError as error:
                assert error.code is Code.HOST_UNSUITED
                assert wrong.name in error.message
            else:
                raise AssertionError(f"shared {wrong}")
        await subject.isolator.discard(box.slot)
        plain, second, _ = await launched(subject)
        assert not (plain.shared / "docs").exists()
        await subject.isolator.discard(second.slot)


CHECKS: Final[dict[str, Callable[[Subject], Awaitable[None]]]] = {
    check.__name__: check
    for check in (
        prepare_makes_in_out_and_run,
        durable_directories_are_kept,
        only_empty_durable_directories_go,
        durable_names_cannot_escape,
        launch_then_discard,
        discard_is_idempotent,
        ended_says_exit,
        a_frozen_box_waits,
        survivors_are_those_that_run,
        reopen_gives_the_same_directories,
        weak_limits_are_refused,
        a_true_box_is_proven,
        a_false_box_is_not_proven,
        digests_name_what_slots_share,
        a_digest_is_known_before_a_launch,
        a_shared_directory_is_the_approved_one,
    )
}
