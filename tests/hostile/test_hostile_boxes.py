"""Hundreds of hijacked boxes at real, confined airlocks; the kernel says what those touched.

Each box gets an airlock of its own and attacks it with a segment, with frames on `model.sock` or
`tools.sock`, or on the bell, beside odd names in `out/`. strace sees every name that airlocks and
sweeps use.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.support.cores import until
from tests.support.slots import KEY, SESSION, slots
from tests.support.tracing import read_trace, strays, trace_zygote

from ironclaw.airlock import starter
from ironclaw.domain.wall import Asked, AskedTool, BoxArrived, BoxGone, Outbound, Tampered
from ironclaw.testing.fuzz import samples
from ironclaw.testing.fuzz.dice import Dice, mutate
from ironclaw.testing.fuzz.pages import encrypt
from ironclaw.testing.fuzz.targets import TARGETS
from ironclaw_contract.chain import Refusal
from ironclaw_contract.frames import decode_hello, pack
from ironclaw_contract.limits import MAX_FRAME_BYTES, MAX_TOOL_FRAME_BYTES
from ironclaw_contract.records import ContractError, TurnEnd
from ironclaw_contract.rpc import Hello

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.slots import Slot

    from ironclaw.domain.wall import LinkEvent

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(240)]

SEGMENTS = 700
TALKERS = 1_000
"""Boxes that attack with frames, a dozen or so each."""
FRAMES = 6_000
ANSWER_S = 15.0
FIRST = "0000000000000001.seg"
TOOLS = "tools.sock"
REFUSALS = set(Refusal)
ODD_NAMES = (b"x", b"\xff\xfe", b"new\nline", b"-rf", b" ", b"..x", FIRST.encode() + b"-journal",
             b"a" * 255, FIRST.encode() + b"-wal", b"\xe2\x80\xae.seg", b"0000000000000000.seg",
             b".9999999999999999.seg")  # fmt: skip
LATER = b"9999999999999999.seg"
"""Leaves a gap before it, which ends a box before it has said anything."""


class Attack(NamedTuple):
    """What one box does."""

    names: tuple[bytes, ...]
    """Odd names in `out/`, and what is behind them by their place in the list."""
    segment: bytes | None
    where: str
    """A socket's name."""
    stream: bytes
    frames: int


class Count:
    """What was thrown and what came of it."""

    def __init__(self) -> None:
        self.segments = self.frames = self.refused = 0
        self.answers: dict[str, int] = {}


def attack(dice: Dice, *, is_segment: bool) -> Attack:
    """One box's attack."""
    names = tuple(dice.pick(ODD_NAMES) for _ in range(dice.below(3)))
    if is_segment:
        names += (LATER,) * dice.chance(10)
        target = dice.pick(("pages", "pages", "rows", "segment"))
        data = TARGETS[target].make(dice)
        if target != "segment":
            data = encrypt(samples.OUT_KEYS.page, data)
        return Attack(names, data, "", b"", 0)
    if dice.chance(4):
        return Attack(names, None, "bell.sock", *bell_stream(dice))
    if dice.chance(3):
        # No odd names: a box that is refused for them is offered nothing.
        return Attack((), None, TOOLS, *frames(dice, "use", MAX_TOOL_FRAME_BYTES))
    return Attack(names, None, "model.sock", *frames(dice, "ask", MAX_FRAME_BYTES))


def frames(dice: Dice, kind: str, most: int) -> tuple[bytes, int]:
    """Some frames that the contract takes, and then one that it does not."""
    stream, count = b"", 0
    for _ in range(600):
        body = TARGETS[kind].make(dice)
        is_taken = TARGETS[kind].run(body) == "taken"
        size = len(body) + dice.pick((0, 0, 1 << 31, most + 1))
        if is_taken:
            stream, count = stream + len(body).to_bytes(4, "big") + body, count + 1
        elif count >= 9 or dice.chance(400):
            return stream + (size % 2**32).to_bytes(4, "big") + body, count + 1
    return stream + b"\xff" * 8, count + 1


def bell_stream(dice: Dice) -> tuple[bytes, int]:
    """A hello that is none, or one and then bytes that nobody knows."""
    body = TARGETS["hello"].make(dice)
    with contextlib.suppress(ContractError):
        decode_hello(body)
        body = mutate(dice, body)
    if dice.chance(2):
        return len(body).to_bytes(4, "big") + body, 1
    greeting = pack(Hello(version=1, claimed=True, in_seq=0, out_seq=dice.number() % 2**60))
    return greeting + dice.noise(dice.few(64)), 2


def plant(slot: Slot, names: tuple[bytes, ...], dice: Dice) -> None:
    """Put odd things into `out/`, the box's own."""
    base = os.fsencode(slot.out)
    for name in names:
        path = base + b"/" + name
        with contextlib.suppress(FileExistsError):
            match dice.below(5):
                case 0:
                    os.symlink("/etc/passwd", path)  # noqa: PTH211 - names that are no text
                case 1:
                    os.mkdir(path)  # noqa: PTH102 - names that are no text
                case 2:
                    os.mkfifo(path)
                case 3:
                    os.symlink("../in", path)  # noqa: PTH211 - same
                case _:
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
            if os.geteuid() == 0:
                os.chown(path, slot.dir.box_uid, slot.dir.group, follow_symlinks=False)


def send(slot: Slot, what: Attack, dice: Dice) -> None:
    """Write a stream in pieces to a socket; a refusal may close it in the middle."""
    if dice.chance(3):
        # Somebody before it who has promised more than he sends.
        with slot.box.connect("model.sock") as half:
            half.sendall(dice.noise(3) if dice.chance(2) else b"\x00\x10\x00\x00" + b"\x81" * 99)
    sock = slot.box.connect(what.where)
    with sock, contextlib.suppress(ConnectionError):
        position = 0
        while position < len(what.stream):
            step = dice.pick((1, 3, 100, 5_000, len(what.stream)))
            sock.sendall(what.stream[position : position + step])
            position += step
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass


async def until_it_ends(slot: Slot) -> list[LinkEvent]:
    """Events up to the refusal, or up to a moment in which an airlock that is well says no more."""
    events: list[LinkEvent] = []
    async with asyncio.timeout(ANSWER_S):
        while True:
            event = await slot.link.receive()
            # None is an airlock that crashed.
            assert event is not None, "the airlock is gone without a word"
            events.append(event)
            if isinstance(event, Tampered | Outbound | BoxGone):
                return events


def is_offered(slot: Slot) -> bool:
    """Whether somebody listens on the socket."""
    try:
        slot.box.connect(TOOLS).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


async def be_a_box(slot: Slot, what: Attack, dice: Dice, count: Count) -> None:
    """One airlock, one attack, one verdict."""
    plant(slot, what.names, dice)
    if what.segment is not None:
        slot.box.plant(FIRST, what.segment)
    await slot.start()
    await slot.claim()
    if what.where == TOOLS:
        await slot.link.offer_tools(True)
        await until(lambda: is_offered(slot), TOOLS)
    sending = None
    if what.stream:
        sending = asyncio.get_running_loop().create_task(asyncio.to_thread(send, slot, what, dice))
    events = await until_it_ends(slot)
    if sending is not None:
        await sending
    last = events[-1]
    assert all(isinstance(each, Asked | AskedTool | BoxArrived) for each in events[:-1]), events
    if isinstance(last, Tampered):
        assert last.reason in REFUSALS
        count.refused += 1
    word = last.reason if isinstance(last, Tampered) else type(last).__name__
    count.answers[word] = count.answers.get(word, 0) + 1
    count.segments += what.segment is not None
    count.frames += what.frames
    await slot.link.close()
    clear(slot)


def clear(slot: Slot) -> None:
    """Make the slot as new; the box's part is what the tests put there themselves."""
    for entry in os.scandir(os.fsencode(slot.out)):
        if entry.is_dir(follow_symlinks=False):
            os.rmdir(entry.path)  # noqa: PTH106 - names that are no text
        else:
            os.unlink(entry.path)  # noqa: PTH108 - same


async def attack_all(slot: Slot, seed: int, lane: int, count: Count) -> None:
    """Half of the boxes, one after the other."""
    for number in range(lane, SEGMENTS + TALKERS, 2):
        dice = Dice(f"{seed}/box/{number}")
        what = attack(dice, is_segment=number < SEGMENTS)
        try:
            await be_a_box(slot, what, dice, count)
        except BaseException as error:
            error.add_note(f"box {number} of --seed {seed}")
            raise


async def keep_talking(slot: Slot, stop: asyncio.Event) -> list[float]:
    """Round trips of an honest box beside them, in milliseconds."""
    took = []
    while not stop.is_set():
        name = f"msg_{len(took)}"
        began = time.perf_counter()
        assert await slot.send(name) == [name]
        # Not in a thread: segments are made one at a time in a process, and attacks are made here.
        slot.box.write(TurnEnd(turn=name, index=0, entries=()))
        got = await slot.expect(Outbound)
        await slot.link.ack(got.last_seq)
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)
    return took


async def test_hostile_boxes_are_refused_with_a_word_and_touch_nothing_else(
    seed: int, tell: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert (KEY, SESSION) == (samples.KEY, samples.SESSION)
    # An ordinary user's strace cannot read the names that a process nobody may look into uses.
    is_watched = os.geteuid() == 0
    log = trace_zygote(monkeypatch, tmp_path) if is_watched else None
    count, stop = Count(), asyncio.Event()
    async with slots(3) as made:
        *attacked, honest = made
        await honest.bring_up()
        async with asyncio.TaskGroup() as group:
            talk = group.create_task(keep_talking(honest, stop))
            lanes = [
                group.create_task(attack_all(slot, seed, lane, count))
                for lane, slot in enumerate(attacked)
            ]
            await asyncio.wait(lanes, return_when=asyncio.FIRST_EXCEPTION)
            stop.set()
        zygote = made[0].starter.zygote_pid
        places = [slot.dir.path for slot in made]
    assert count.segments == SEGMENTS
    assert count.frames >= FRAMES
    assert count.refused > (SEGMENTS + TALKERS) * 0.8, count.answers
    assert sorted(talk.result())[len(talk.result()) // 2] < 250
    tell(
        f"hostile boxes: {count.segments} segments and {count.frames} frames at "
        f"{SEGMENTS + TALKERS} airlocks, {count.refused} refused with a word, 0 crashes"
    )
    if log is None:
        tell("hostile boxes: not watched by strace, which needs root for it")
        return
    traced = read_trace(log)
    traced.pop(zygote)
    assert len(traced) >= SEGMENTS + TALKERS + 1
    found = {pid: bad for pid, calls in traced.items() if (bad := strays(calls, places))}
    assert found == {}, f"repeat with --seed {seed}"
    calls = sum(map(len, traced.values()))
    tell(f"hostile boxes: {calls} file calls of airlocks and sweeps, 0 outside their own slot")


# --- twins: the same look at airlocks that do what they must not --------------------------------


def twin(monkeypatch: pytest.MonkeyPatch, patch: str) -> None:
    """Let zygotes load a weakened airlock."""
    loading = "import main; "
    assert loading in starter._BOOT
    weakened = f"{loading}from ironclaw.airlock import process; {patch}; "
    monkeypatch.setattr(starter, "_BOOT", starter._BOOT.replace(loading, weakened))


async def seen_of_a_twin(monkeypatch: pytest.MonkeyPatch, place: Path) -> list[str]:
    log = trace_zygote(monkeypatch, place)
    async with slots(2) as made:
        slot = made[0]
        (slot.out / FIRST).symlink_to("/etc/passwd")
        await slot.start()
        await slot.claim()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await slot.link.receive()
        await slot.link.close()
        places, pid = [each.dir.path for each in made], slot.link.pid
    return strays(read_trace(log)[pid], places)


@pytest.mark.root_only
async def test_the_look_finds_nothing_in_a_sound_airlock(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert await seen_of_a_twin(monkeypatch, tmp_path) == []


@pytest.mark.root_only
async def test_an_airlock_that_follows_links_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    twin(monkeypatch, "import os; process.OutQueue.take.__globals__['_READ_FLAGS'] = os.O_RDONLY")
    assert any("follows" in text for text in await seen_of_a_twin(monkeypatch, tmp_path))


@pytest.mark.root_only
@pytest.mark.parametrize("where", ["/etc/passwd", "/in/../proc/1/environ", "slot1"])
async def test_an_airlock_that_looks_elsewhere_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    path = "request.path[:-1] + '1'" if where == "slot1" else repr(where)
    twin(
        monkeypatch,
        "import os; inner = process.run; process.run = lambda request, link, controls: "
        f"(os.path.exists({path}), inner(request, link, controls))",
    )
    assert await seen_of_a_twin(monkeypatch, tmp_path) != []


@pytest.mark.root_only
async def test_an_airlock_that_looks_elsewhere_later_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After its root has been changed and everything is shut."""
    twin(
        monkeypatch,
        "import os; from ironclaw.airlock import opened; inner = opened.listen; "
        "opened.listen = lambda *a, **k: "
        "(os.path.exists('/etc/shadow'), inner(*a, **k))[1]",
    )
    assert any("/etc/shadow" in text for text in await seen_of_a_twin(monkeypatch, tmp_path))
