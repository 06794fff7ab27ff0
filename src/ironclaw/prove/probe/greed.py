"""What a greedy box does when it is told to: take memory, processor, disk, descriptors, patience.

Each order gets the agent and its own arguments and returns what is said; the arguments bound what
a box takes whose control was taken away, so that a twin hurts nobody.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import socket
import time
from typing import TYPE_CHECKING, Any, Final

from ironclaw.prove.probe import raw_threads
from ironclaw.prove.probe.attempt import syscall
from ironclaw.prove.probe.named import error_name
from ironclaw_contract.entries import Said
from ironclaw_contract.frames import pack
from ironclaw_contract.rpc import Bell, Failed, Generate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ironclaw.prove.probe.greedy import Agent

_CHUNK: Final = 1 << 20
_FILE: Final = 16 << 20
_HEAP: list[bytearray] = []
_PLACES: Final = ("/run", "/queue", "/workspace", "/memory", "/shared", "/tmp", "/etc")  # noqa: S108 - the box's
_ODD_CALLS: Final = (101, 165, 250, 321, 425, 999)
_RUN: Final = "/run/ironclaw"
_BURST: Final = 500
_CLUTTER: Final = 300
_WARM: Final = 2
"""Rounds of greed before the processors are taken as well: the rest would hardly start else."""


def obey(agent: Agent, order: dict[str, Any]) -> str:
    """Carry out one order; return what is said."""
    name = order.pop("do")
    try:
        return ORDERS[name](agent, **order)
    except OSError as error:
        return error_name(error)
    except Exception as error:  # noqa: BLE001 - whatever happens to an attacker is a result
        return f"error: {type(error).__name__}: {error}"


# --- taking -------------------------------------------------------------------------------------


def take_memory(_agent: Agent, *, most: int) -> str:
    """Take memory and touch each page of it."""
    for _ in range(most // _CHUNK):
        block = bytearray(_CHUNK)
        block[::4096] = b"x" * (_CHUNK // 4096)
        _HEAP.append(block)
    return f"took {len(_HEAP)} MiB"


def spin(_agent: Agent, *, workers: int, seconds: float) -> str:
    """Keep processors busy from several threads, for a while or, with 0, without end."""
    for _ in range(workers):
        raw_threads.start(raw_threads.FOREVER)
    time.sleep(seconds)
    return "spun"


def threads(_agent: Agent, *, most: int) -> str:
    """Start threads until no more can be had. They stay."""
    started = 0
    with contextlib.suppress(OSError):
        while started < most:
            raw_threads.start(raw_threads.IDLE)
            started += 1
    return str(started)


def fill(agent: Agent, *, place: str, most: int, wait_s: float = 0.0) -> str:
    """Write bytes into a directory until it is full, then wait for the consequences."""
    written, files = _fill(place, most)
    agent.bell.send(Bell.LOOK.value)
    time.sleep(wait_s)
    for file in files:
        # The gofer may hold a deleted file open for a while: what it holds is given back here.
        os.ftruncate(file, 0)
        os.close(file)
    _remove(place)
    return str(written)


def _fill(place: str, most: int) -> tuple[int, list[int]]:
    block = b"\xa5" * _CHUNK
    files: list[int] = []
    written = 0
    with contextlib.suppress(OSError):
        while written < most:
            # Left open: taking its name away gives nothing back.
            files.append(os.open(f"{place}/.fill{len(files)}", os.O_CREAT | os.O_WRONLY, 0o600))
            while written < min(most, len(files) * _FILE):
                written += os.write(files[-1], block[: most - written])
    return written, files


def _remove(place: str) -> None:
    for name in os.listdir(place):  # noqa: PTH208 - a probe
        if name.startswith(".fill"):
            with contextlib.suppress(OSError):
                os.unlink(f"{place}/{name}")  # noqa: PTH108 - a probe


def make_files(_agent: Agent, *, place: str, most: int, wait_s: float = 0.0) -> str:
    """Make empty files until no more can be made, then wait for the consequences."""
    made = 0
    with contextlib.suppress(OSError):
        for made in range(1, most + 1):
            os.close(os.open(f"{place}/.fill{made}", os.O_CREAT | os.O_WRONLY, 0o600))
    time.sleep(wait_s)
    _remove(place)
    return str(made)


def open_files(_agent: Agent, *, most: int) -> str:
    """Open files until no more can be had."""
    held: list[int] = []
    with contextlib.suppress(OSError):
        while len(held) < most:
            held.append(os.open("/dev/null", os.O_RDONLY))
    for file in held:
        os.close(file)
    return str(len(held))


def log(_agent: Agent, *, most: int) -> str:
    """Write to the streams that a program logs to, and make calls that a kernel may log."""
    block = b"a line of a log that nobody asked for\n" * 1024
    written = 0
    while written < most:
        for stream in (1, 2):
            with contextlib.suppress(OSError):
                os.write(stream, block)
            written += len(block)
    for _ in range(200):
        for number in _ODD_CALLS:
            with contextlib.suppress(OSError):
                syscall(number, 0, 0, 0, 0)
    return str(written)


def everything(agent: Agent, *, most: int, rounds: int) -> str:
    """All of it at once, and without end."""
    threads(agent, most=400)
    held: list[int] = []
    with contextlib.suppress(OSError):
        while len(held) < 1 << 16:
            held.append(os.open("/dev/null", os.O_RDONLY))
    # A few are left for the rest of the work.
    for _ in range(min(8, len(held))):
        os.close(held.pop())
    for number in range(rounds):
        if number == _WARM:
            spin(agent, workers=16, seconds=0)
        for place in ("/workspace", "/memory"):
            _append(f"{place}/.fill{number}", most)
        for small in range(20):
            _append(f"/workspace/.fill{number}.{small}", 0)
        log(agent, most=1 << 18)
        with contextlib.suppress(MemoryError):
            take_memory(agent, most=most)
    while True:
        log(agent, most=1 << 18)


def _append(path: str, size: int) -> None:
    with contextlib.suppress(OSError), open(path, "ab") as file:  # noqa: PTH123 - no pathlib here
        file.write(bytes(size))


# --- pestering ----------------------------------------------------------------------------------


def ring(agent: Agent, *, seconds: float) -> str:
    """Ring the bell without a pause, byte by byte, over a directory that is long to read."""
    for number in range(_CLUTTER):
        with contextlib.suppress(OSError):
            os.close(os.open(f"/queue/out/.{number}", os.O_CREAT | os.O_WRONLY, 0o600))
    until = time.monotonic() + seconds
    rings = 0
    agent.bell.setblocking(False)
    try:
        while time.monotonic() < until:
            try:
                rings += agent.bell.send(Bell.LOOK.value)
            except BlockingIOError:
                select.select([], [agent.bell], [], 0.1)
    finally:
        agent.bell.setblocking(True)
    return str(rings)


def storm(agent: Agent, *, calls: int) -> str:
    """Ask the model many things at once; say how many of them were let in."""
    ends = agent.ask(*(_request(agent, "!hang") for _ in range(calls)), within_s=1.5)
    refused = sum(isinstance(end, Failed) for end in ends)
    return str(calls - refused)


def pester(agent: Agent, *, seconds: float) -> str:
    """Ask the model without a pause, far more than it may; what comes back is thrown away."""
    blob = b"".join(pack(_request(agent, "again")) for _ in range(_BURST))
    until = time.monotonic() + seconds
    sent = 0
    with agent.open_model() as model:
        model.setblocking(False)
        while time.monotonic() < until:
            readable, writable, _ = select.select([model], [model], [], 0.1)
            if readable:
                model.recv(_CHUNK)
            if writable:
                sent += model.send(blob[sent % len(blob) :])
    return str(sent)


def steps(agent: Agent, *, most: int) -> str:
    """Publish parts of a turn without ever ending it."""
    for _ in range(most):
        agent.step()
    return str(most)


def wait(_agent: Agent, *, seconds: float) -> str:
    """Do nothing at all."""
    time.sleep(seconds)
    return "waited"


def deaf(agent: Agent, *, seconds: float) -> str:
    """Close the bell, ignore every signal, and be busy."""
    agent.bell.close()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))
    return "deaf"


def flood(agent: Agent, *, seconds: float) -> str:
    """Keep the airlock busy on every socket it has."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ring(agent, seconds=0.05)
        agent.ask(*(_request(agent, "again") for _ in range(64)), within_s=0.1)
    return "flooded"


# --- spying -------------------------------------------------------------------------------------


def converse(agent: Agent, *, texts: list[str]) -> str:
    """Put these words to the model, one after the other; say how each call ended."""
    ends = [end for text in texts for end in agent.ask(_request(agent, text))]
    return json.dumps([type(end).__name__ for end in ends])


def hunt(agent: Agent, *, parts: list[list[str]]) -> str:
    """Look for words in all that was ever heard and in every file there is; say which was where.

    A word comes in two parts, as hexadecimal digits, so that the order does not contain it.
    """
    words = [bytes.fromhex(first) + bytes.fromhex(second) for first, second in parts]
    places = {"what the host said": b"\0".join(agent.heard)}
    places |= {"the environment": b"\0".join(os.environb.values())}
    found = [
        f"word {number} in {place}"
        for place, content in (*places.items(), *_files())
        for number, word in enumerate(words)
        if word in content
    ]
    return json.dumps(found)


def hunt_key(agent: Agent) -> str:
    """Look for the session's key, in every form, in every file there is."""
    forms = (agent.key, agent.key.hex().encode(), base64.b64encode(agent.key))
    found = [place for place, content in _files() if any(form in content for form in forms)]
    return json.dumps({"key": _try(f"{_RUN}/key"), "run": sorted(os.listdir(_RUN)), "in": found})  # noqa: PTH208


def reach(_agent: Agent, *, paths: list[str]) -> str:
    """Try to read files and list directories; say what came of each."""
    return json.dumps({path: _try(path) for path in paths})


def sees(_agent: Agent) -> str:
    """Say what is in each place that belongs to one session or one agent."""
    return json.dumps({place: sorted(_names(place)) for place in _PLACES[:5]})


def leave(_agent: Agent, *, place: str, text: str) -> str:
    """Leave a letter."""
    with open(f"{place}/letter.txt", "w", encoding="utf-8") as file:  # noqa: PTH123 - a probe
        file.write(text)
    return "left"


def join(_agent: Agent, *, path: str) -> str:
    """Connect to a socket by its path."""
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(2)
        end.connect(path)
    return "connected"


def _files() -> Iterator[tuple[str, bytes]]:
    for name in _names(*_PLACES):
        try:
            with open(name, "rb") as file:  # noqa: PTH123 - no pathlib in a probe
                yield name, file.read(1 << 22)
        except OSError:
            continue


def _names(*places: str) -> Iterator[str]:
    for place in places:
        for root, _, names in os.walk(place):
            yield from (f"{root}/{name}" for name in names)


def _try(path: str) -> str:
    try:
        if os.path.isdir(path):  # noqa: PTH112 - no pathlib in a probe
            return f"listed {len(os.listdir(path))}"  # noqa: PTH208 - the same
        with open(path, "rb") as file:  # noqa: PTH123 - the same
            return f"read {len(file.read(64))}"
    except OSError as error:
        return error_name(error)


def _request(agent: Agent, text: str) -> Generate:
    said = Said(message=agent.turn, sender="probe", text=text, at_ms=0)
    return Generate(
        call=agent.call_number(),
        turn=agent.turn,
        system="",
        entries=(said,),
        tools=(),
        max_output_tokens=100,
    )


ORDERS: Final[dict[str, Callable[..., str]]] = {
    order.__name__: order
    for order in (
        *(take_memory, spin, threads, fill, make_files, open_files, log, everything),
        *(ring, storm, pester, steps, wait, deaf, flood),
        *(converse, hunt, hunt_key, reach, sees, leave, join),
    )
}
