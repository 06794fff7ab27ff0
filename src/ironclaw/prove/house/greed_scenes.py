"""Scenes of greed: what a hostile agent takes, what the host measures of it, how it ends.

Each scene has a box of its own and returns a short word with the numbers behind it; a sibling's
messages go round meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from ironclaw.domain.model import BoxLimits
from ironclaw.prove.house import measure
from ironclaw.prove.house.pulse import PAUSE_S, Pulse
from ironclaw.prove.house.weak_zygote import SMALL_SHARE
from ironclaw.prove.model import Measured
from ironclaw.sandbox.spec import RUNTIME_PIDS
from ironclaw_contract.limits import OUT_DIR_BYTES, OUT_DIR_INODES

if TYPE_CHECKING:
    from ironclaw.core.ids import SlotId
    from ironclaw.domain.model import Delivery
    from ironclaw.prove.house.private import House

MIB: Final = 1 << 20
SMALL: Final = BoxLimits(memory_bytes=128 * MIB, disk_bytes=8 * MIB, disk_files=500)
HALF: Final = BoxLimits(cpu_millis=500)
CROWD: Final = BoxLimits(cpu_millis=2000)
"""Processors enough to start very many threads soon."""
FLOOR_MS: Final = 15.0
"""Added to twice the usual p99: what one pause of a busy machine's scheduler is."""
BEATS: Final = 200
CAPPED: Final = "capped"
_DISK_MOST: Final = 4096 * MIB
_TWIN_MOST: Final = 96 * MIB
_OVERSHOOT: Final = 1024 * MIB
_WINDOW_S: Final = 1.5
_CROWD_S: Final = 1.5
_LOG_BYTES: Final = 32 * MIB
_LOG_GROWTH: Final = 1 * MIB
_CPU_MARGIN: Final = 0.2
_BURST_S: Final = 0.5
_PACED_S: Final = 2.0
_PACE_MARGIN_S: Final = 0.1
_WORD_S: Final = 8.0
_QUICK_S: Final = 0.005
TRIES: Final = 3
_WAITED: Final = "the sibling had to wait"
_NO_WORD: Final = "no word at all"


def word(delivery: Delivery) -> str:
    """How an order ended for the person who gave it."""
    return f"ended: {delivery.code}" if delivery.is_error else f"went on: {delivery.text}"


async def take_memory(house: House, chat: str) -> str:
    """A box takes more memory than it may."""
    limit = house.agent_named(chat).limits.memory_bytes
    before = measure.available_bytes()
    await house.ordered(chat, "wait", seconds=0)
    processes = house.isolator.processes(house.launched(chat).dir.slot)
    began = time.perf_counter()
    delivery = await house.answer(await house.order(chat, "take_memory", most=limit + 64 * MIB))
    took_s = time.perf_counter() - began
    await house.stop(chat)
    is_gone = await measure.gone_within(processes, seconds=_WORD_S) is not None
    missing = before - measure.available_bytes()
    return Measured(
        word(delivery) if is_gone else "it is still there",
        seconds=round(took_s, 2),
        allowed_mib=limit // MIB,
        # Of the whole machine, so other programs' doings are in it too.
        missing_after_mib=round(missing / MIB, 1),
    )


async def take_cpu(house: House, chat: str) -> str:
    """Three threads of a box spin; its control group says what they got."""
    slot = await _at_work(house, chat, "spin", workers=3, seconds=60)
    groups = house.isolator.groups
    allowed = house.agent_named(chat).limits.cpu_millis / 1000
    before, began = measure.box_cpu_s(groups, slot), time.perf_counter()
    await asyncio.sleep(_WINDOW_S)
    cores = (measure.box_cpu_s(groups, slot) - before) / (time.perf_counter() - began)
    said = CAPPED if cores <= allowed + _CPU_MARGIN else f"took {cores:.1f} cores"
    return Measured(said, cores=round(cores, 2), allowed_cores=allowed)


async def take_pids(house: House, chat: str) -> str:
    """A box starts threads that all want to run: each takes a thread of the host."""
    slot = await _at_work(house, chat, "spin", workers=600, seconds=60)
    allowed = house.agent_named(chat).limits.pids + RUNTIME_PIDS
    most = 0
    until = time.perf_counter() + _CROWD_S
    while time.perf_counter() < until and most <= allowed:
        most = max(most, measure.box_pids(house.isolator.groups, slot))
        await asyncio.sleep(PAUSE_S)
    said = CAPPED if most <= allowed else "more than it may have"
    return Measured(said, most=most, allowed=allowed)


async def open_files(house: House, chat: str) -> str:
    """A box opens files until no more can be had."""
    return await _counted(
        house, chat, house.agent_named(chat).limits.files, "open_files", most=2000
    )


async def fill_out(house: House, chat: str) -> str:
    """A box fills its outbound queue with bytes."""
    place = "/queue/out"
    return await _counted(house, chat, OUT_DIR_BYTES, "fill", place=place, most=2 * OUT_DIR_BYTES)


async def fill_out_inodes(house: House, chat: str) -> str:
    """A box fills its outbound queue with files."""
    most = 2 * OUT_DIR_INODES
    return await _counted(house, chat, OUT_DIR_INODES, "make_files", place="/queue/out", most=most)


async def fill_workspace(house: House, chat: str) -> str:
    """A box writes as fast as it can into its workspace."""
    return await _filled(house, chat, "/workspace")


async def fill_memory(house: House, chat: str) -> str:
    """A box writes as fast as it can into its agent's memory."""
    return await _filled(house, chat, "/memory")


async def make_files(house: House, chat: str) -> str:
    """A box makes more files than it may."""
    most = 2000 if house.is_weak else 20_000
    sent = await house.order(chat, "make_files", place="/workspace", most=most, wait_s=2.0)
    said = word(await house.answer(sent))
    held = await _held(house, chat, "/workspace")
    return Measured(said, files=held[1], allowed=SMALL.disk_files or 0)


async def log(house: House, chat: str) -> str:
    """A box writes to its streams and makes calls that a kernel may log."""
    settings = house.settings
    roots = (settings.runtime_dir, settings.log_file.parent)
    await house.ordered(chat, "wait", seconds=0)
    before = measure.tree_bytes(*roots)
    written = int(await house.ordered(chat, "log", most=_LOG_BYTES))
    grown = measure.tree_bytes(*roots) - before
    said = CAPPED if grown < _LOG_GROWTH else "the host keeps what a box logs"
    return Measured(said, written_mib=round(written / MIB, 1), grown_kib=round(grown / 1024, 1))


async def ring(house: House, chat: str) -> str:
    """A box rings its bell without a pause."""
    return await _airlock_paced(house, chat, "ring")


async def pester(house: House, chat: str) -> str:
    """A box asks its model without a pause, and more at once than it may."""
    return await _airlock_paced(house, chat, "pester")


async def storm(house: House, chat: str) -> str:
    """A box asks the model forty things at once."""
    return await _counted(house, chat, 4, "storm", calls=40)


async def steps(house: House, chat: str) -> str:
    """A turn goes on and on in ever more steps."""
    return word(await house.answer(await house.order(chat, "steps", most=60)))


async def never_end(house: House, chat: str) -> str:
    """A turn never ends, and nothing of it gets done."""
    slot = await _at_work(house, chat, "wait", seconds=600)
    taken = await measure.gone_within(house.isolator.processes(slot), seconds=4.0)
    if taken is None:
        return "still there"
    return Measured("ended", seconds=round(taken, 2))


async def everything(house: House, chat: str) -> str:
    """Disk, memory, processor, threads, file table and log at once, again and again.

    What else a machine does can look like harm for a moment, so there are a few tries; greed that
    harms a sibling does so in each.
    """
    said: str = ""
    for _ in range(TRIES):
        said = await _everything_once(house, chat)
        if said != _WAITED:
            break
    return said


async def everything_kept(house: House, chat: str) -> str:
    """The same once, where nothing shares out the processors: whatever pace is left is no harm."""
    return await _everything_once(house, chat, is_paced=False)


async def _everything_once(house: House, chat: str, *, is_paced: bool = True) -> str:
    usual = Pulse(house, pause_s=_QUICK_S)
    await usual.run(least=BEATS)
    during, over = Pulse(house, pause_s=_QUICK_S), asyncio.Event()
    words: list[str] = []

    async def be_greedy() -> None:
        rounds = 10 if house.is_weak else 10_000
        patience_s = _WORD_S / 2 if house.is_weak else _WORD_S
        while not over.is_set() and _NO_WORD not in words:
            sent = await house.order(chat, "everything", most=4 * MIB, rounds=rounds)
            try:
                words.append(word(await house.answer(sent, within_s=patience_s)))
            except TimeoutError:
                words.append(_NO_WORD)
            # A person reads the word before the next message.
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        greedy = group.create_task(be_greedy(), name="prove/everything")
        await during.run(least=BEATS, until=lambda: bool(words))
        over.set()
        await greedy
    before, meanwhile = measure.p99_ms(usual.taken), measure.p99_ms(during.taken)
    unclear = sorted({said for said in words if said not in CLEAR})
    if during.harm:
        said = during.harm
    elif unclear:
        said = unclear[0]
    else:
        waited = is_paced and meanwhile > 2 * before + FLOOR_MS
        said = _WAITED if waited else "the sibling goes on"
    return Measured(
        said,
        usual_p99_ms=before,
        p99_ms=meanwhile,
        messages=len(during.taken),
        lost=during.lost,
        boxes_ended=len(words),
    )


CLEAR: Final = frozenset(f"ended: {code}" for code in ("box_out_of_memory", "box_out_of_disk"))
"""What a person can understand."""


# --- what scenes have in common -----------------------------------------------------------------


async def _at_work(house: House, chat: str, do: str, **arguments: object) -> SlotId:
    """Give an order that is not answered soon; return the slot of the box that obeys."""
    await house.ordered(chat, "wait", seconds=0)
    await house.order(chat, do, **arguments)
    await asyncio.sleep(0.2)
    return house.launched(chat).dir.slot


async def _counted(house: House, chat: str, allowed: int, do: str, **arguments: object) -> str:
    had = int(await house.ordered(chat, do, **arguments))
    said = CAPPED if had <= allowed else f"had {had}"
    return Measured(said, had=had, allowed=allowed)


async def _filled(house: House, chat: str, place: str) -> str:
    most = _TWIN_MOST if house.is_weak else _DISK_MOST
    began = time.perf_counter()
    sent = await house.order(chat, "fill", place=place, most=most, wait_s=2.0)
    said = word(await house.answer(sent))
    took_s = time.perf_counter() - began
    held, _ = await _held(house, chat, place)
    allowed = SMALL.disk_bytes or 0
    if held > allowed + _OVERSHOOT:
        said = "far over before it was ended"
    return Measured(
        said,
        held_mib=round(held / MIB, 1),
        allowed_mib=allowed / MIB,
        seconds=round(took_s, 2),
    )


async def _held(house: House, chat: str, place: str) -> tuple[int, int]:
    """Bytes and files in a place, as a confined counter sees them."""
    spec = house.launched(chat)
    holding = await house.lab.airlocks.count(
        spec.dir, None, workspace=spec.workspace, memory=spec.memory, most_files=10**6
    )
    usage = holding.workspace if place == "/workspace" else holding.memory
    return usage.bytes, usage.files


async def _airlock_paced(house: House, chat: str, do: str) -> str:
    others = measure.airlocks()
    await house.ordered(chat, "wait", seconds=0)
    # Its airlock, and perhaps a process that counts its disk just now.
    its = measure.airlocks() - others
    sent = await house.order(chat, do, seconds=_BURST_S + _PACED_S)
    # What it may have at once is used up then.
    await asyncio.sleep(_BURST_S)
    before, began = sum(map(measure.process_cpu_s, its)), time.perf_counter()
    await asyncio.sleep(_PACED_S)
    used_s = sum(map(measure.process_cpu_s, its)) - before
    lasted_s = time.perf_counter() - began
    await house.answer(sent)
    allowed_s = SMALL_SHARE * lasted_s + _PACE_MARGIN_S
    said = CAPPED if used_s <= allowed_s else "the airlock is kept busy"
    return Measured(
        said, cpu_s=round(used_s, 2), allowed_s=round(allowed_s, 2), of_s=round(lasted_s, 2)
    )
