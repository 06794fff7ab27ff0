"""Runs inputs in a process of its own: C code that crashes or never ends is a finding.

The worker writes each input into memory that both share before it runs it. The parent looks now
and then whether the count has moved; when the worker dies or stands still, the input is there.
"""

from __future__ import annotations

import mmap
import os
import resource
import select
import signal
import struct
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Final

import apsw
import msgspec

from ironclaw.testing.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Input = tuple[str, bytes]
"""Target and bytes."""

SLOW_S: Final = 1.0
"""Seconds of processor time that one input may take; the slowest honest one takes 0.02."""
HEAVY_BYTES: Final = 24 * 1024 * 1024
"""What SQLite may hold for one input: six times the largest segment."""
DATA_BYTES: Final = 192 * 1024 * 1024
"""What the worker may allocate beyond its own size: as much as an airlock has in all."""
_STANDSTILL_S: Final = 20.0
_LOOK_S: Final = 0.25
_HEAD: Final = struct.Struct("<QQ16s")
_ROOM: Final = 72 * 1024 * 1024
_MOST_FOUND: Final = 50


class Found(msgspec.Struct, frozen=True):
    """An input that did what none may do."""

    target: str
    why: str
    data: bytes


class Tally(msgspec.Struct, frozen=True):
    """What came of a run."""

    inputs: int
    outcomes: dict[str, int]
    """How often each target ended with each word: `pages/format` -> 1234."""
    slowest_ms: float
    heaviest_bytes: int
    """Of SQLite, for one input."""
    peak_bytes: int
    """The worker's largest resident size."""
    found: tuple[Found, ...]


class Worker:
    """Counts, times and weighs what runs; used inside the supervised process."""

    def __init__(self, shared: mmap.mmap) -> None:
        self._shared = shared
        self.inputs = 0
        self.outcomes: dict[str, int] = {}
        self.slowest_s = 0.0
        self.heaviest = 0
        self.found: list[Found] = []

    def note(self, target: str, data: bytes) -> None:
        """Show the parent what is about to run."""
        self.inputs += 1
        self._shared[: _HEAD.size] = _HEAD.pack(self.inputs, len(data), target.encode())
        self._shared[_HEAD.size : _HEAD.size + len(data)] = data

    def take(self, target: str, data: bytes, run: Callable[[bytes], str]) -> None:
        """Run one input and remember how it ended."""
        self.note(target, data)
        apsw.memory_high_water(reset=True)
        began = time.thread_time()
        try:
            word = run(data)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            word = "finding"
            where = traceback.extract_tb(error.__traceback__)[-1]
            why = f"{type(error).__name__}: {error} ({where.name}:{where.lineno})"
            self.found.append(Found(target, why, data))
        took, held = time.thread_time() - began, apsw.memory_high_water()
        if took > SLOW_S:
            self.found.append(Found(target, f"took {took:.1f} s", data))
        if held > HEAVY_BYTES:
            self.found.append(Found(target, f"SQLite held {held} bytes", data))
        self.slowest_s, self.heaviest = max(self.slowest_s, took), max(self.heaviest, held)
        key = f"{target}/{word}"
        self.outcomes[key] = self.outcomes.get(key, 0) + 1


def supervised(work: Callable[[Worker], None]) -> Tally:
    """Do `work` in a process of its own, and say what came of it.

    Args:
        work: Called there with the worker; what it raises is a finding.
    """
    shared = mmap.mmap(-1, _HEAD.size + _ROOM)
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Python warns of other threads; the child uses nothing that one of them could hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(read)
        _be_worker(shared, write, work)
    os.close(write)
    try:
        report, why = _mind(pid, read, shared)
    finally:
        os.close(read)
    inputs, size, name = _HEAD.unpack_from(shared)
    if not why:
        return msgspec.msgpack.decode(report, type=Tally)
    last = Found(name.rstrip(b"\0").decode(), why, shared[_HEAD.size : _HEAD.size + size])
    return Tally(inputs, {}, 0.0, 0, 0, (last,))


def throw(inputs: Iterable[Input]) -> Callable[[Worker], None]:
    """The work of running inputs, one after the other."""

    def work(worker: Worker) -> None:
        for target, data in inputs:
            worker.take(target, data, TARGETS[target].run)

    return work


def keep(found: Iterable[Found], place: Path) -> None:
    """Write findings where somebody can look at them: the input, and why."""
    for number, each in enumerate(found):
        stem = place / f"{each.target}-{number}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".input").write_bytes(each.data)
        stem.with_suffix(".txt").write_text(each.why + "\n")


def _be_worker(shared: mmap.mmap, write: int, work: Callable[[Worker], None]) -> None:
    status = 1
    try:
        _limit_memory()
        worker = Worker(shared)
        try:
            work(worker)
        except MemoryError:
            worker.found.append(Found("", "out of memory", b""))
        _send(write, worker)
        status = 0
    finally:
        os._exit(status)


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no path to keep
        data_pages = int(file.read().split()[5])
    most = data_pages * mmap.PAGESIZE + DATA_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _send(write: int, worker: Worker) -> None:
    tally = Tally(
        inputs=worker.inputs,
        outcomes=worker.outcomes,
        slowest_ms=worker.slowest_s * 1000,
        heaviest_bytes=worker.heaviest,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        found=tuple(worker.found[:_MOST_FOUND]),
    )
    with os.fdopen(write, "wb") as pipe:
        pipe.write(msgspec.msgpack.encode(tally))


def _mind(pid: int, read: int, shared: mmap.mmap) -> tuple[bytes, str]:
    """Wait for the report; `why` is set when there is none."""
    report = bytearray()
    count, since = 0, time.monotonic()
    why = ""
    while True:
        if select.select([read], [], [], _LOOK_S)[0]:
            if not (part := os.read(read, 1 << 20)):
                break
            report += part
            continue
        (now,) = struct.unpack_from("<Q", shared)
        if now != count:
            count, since = now, time.monotonic()
        elif time.monotonic() - since > _STANDSTILL_S:
            why = f"no end in {_STANDSTILL_S:.0f} s"
            os.kill(pid, signal.SIGKILL)
            break
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status) and not why:
        why = f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    elif not report and not why:
        why = f"the worker ended with {os.waitstatus_to_exitcode(status)}"
    return bytes(report), why
