"""A hundred thousand hostile inputs at every entry point, new ones in each run, and the corpus.

`./run pytest tests/hostile/test_fuzz.py --seed N` repeats the run that printed N;
`./run python -m ironclaw.testing.fuzz --minutes 30` looks for more.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ironclaw.testing.fuzz import corpus, guided, supervise
from ironclaw.testing.fuzz.dice import Dice
from ironclaw.testing.fuzz.supervise import Tally, supervised, throw
from ironclaw.testing.fuzz.targets import TARGETS, spin
from ironclaw_contract.chain import Chain, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ironclaw.testing.fuzz.supervise import Input, Worker

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(240)]

INPUTS = 100_000
CORPUS = Path(__file__).parent / "corpus"
CORPUS_BYTES = 1024 * 1024
MOST_PEAK_BYTES = 512 * 1024 * 1024
REFUSALS = {str(reason) for reason in Refusal} | {"malformed", "too_large", "taken"}


def inputs(seed: int, count: int) -> Iterator[Input]:
    for number in range(count):
        target, make = spin(seed, number)
        yield target, make()


def said(tally: Tally) -> list[str]:
    return [f"{each.target}: {each.why}" for each in tally.found]


def test_no_input_does_more_than_be_refused(seed: int, tell: Callable[[str], None]) -> None:
    """Documented errors in closed words, bounded time and memory, no crash, no hang."""
    tally = supervised(throw(inputs(seed, INPUTS)))
    assert said(tally) == [], f"repeat with --seed {seed}"
    assert tally.inputs == INPUTS
    assert {key.split("/")[1] for key in tally.outcomes} <= REFUSALS
    assert {key.split("/")[0] for key in tally.outcomes} == set(TARGETS)
    assert tally.peak_bytes < MOST_PEAK_BYTES
    # Hostile means hostile: what is taken is what the contract allows, and it is the smaller part.
    taken = sum(count for key, count in tally.outcomes.items() if key.endswith("/taken"))
    assert taken < INPUTS // 4
    tell(
        f"hostile input: {tally.inputs} segments, frames and names, {tally.inputs - taken} refused "
        f"and {taken} within the contract; 0 crashes, slowest {tally.slowest_ms:.0f} ms"
    )


def test_what_once_reached_new_code_is_still_refused() -> None:
    kept = list(corpus.load(CORPUS))
    tally = supervised(throw(kept))
    assert said(tally) == []
    assert tally.inputs == len(kept) > 100
    assert {target for target, _ in kept} == set(TARGETS)


def test_the_corpus_is_small() -> None:
    files = [file for file in CORPUS.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < CORPUS_BYTES


def test_the_same_seed_is_the_same_input(seed: int) -> None:
    assert list(inputs(seed, 300)) == list(inputs(seed, 300))


# --- twins: a fuzzer that finds nothing in something broken would prove nothing -------------------


def test_a_chain_that_checks_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chain, "check", lambda *_arguments, **_more: None)
    tally = supervised(throw(inputs(1, 4_000)))
    assert any("what nobody sealed was believed" in why for why in said(tally))


def test_an_error_that_nobody_catches_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = TARGETS["name"]
    monkeypatch.setattr(broken, "run", lambda data: str(data.decode()), raising=False)
    tally = supervised(throw(("name", broken.make(Dice(str(n)))) for n in range(400)))
    assert any("UnicodeDecodeError" in why for why in said(tally))


def test_a_crash_below_python_is_found_with_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_data: bytes) -> str:
        os.kill(os.getpid(), signal.SIGSYS)
        return "not reached"

    monkeypatch.setattr(TARGETS["ask"], "run", crash, raising=False)
    tally = supervised(throw([("hello", b"\xc0"), ("ask", b"deadly"), ("hello", b"\xc0")]))
    (found,) = tally.found
    assert (found.target, found.why, found.data) == ("ask", "killed by SIGSYS", b"deadly")
    assert tally.inputs == 2


def test_an_input_without_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forever(_data: bytes) -> str:
        while True:
            time.sleep(1)

    monkeypatch.setattr(supervise, "_STANDSTILL_S", 1.0)
    monkeypatch.setattr(TARGETS["ask"], "run", forever, raising=False)
    (found,) = supervised(throw([("ask", b"endless")])).found
    assert (found.why, found.data) == ("no end in 1 s", b"endless")


def test_a_slow_and_a_greedy_input_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_data: bytes) -> str:
        until = time.thread_time() + 0.05
        while time.thread_time() < until:
            pass
        return "slow"

    def greedy(_data: bytes) -> str:
        return str(len(bytes(1 << 29)))

    monkeypatch.setattr(supervise, "SLOW_S", 0.01)
    monkeypatch.setattr(TARGETS["ask"], "run", slow, raising=False)
    monkeypatch.setattr(TARGETS["tell"], "run", greedy, raising=False)
    found = said(supervised(throw([("ask", b""), ("tell", b"")])))
    assert [why.split()[1] for why in found] == ["took", "MemoryError:"]


def test_looking_finds_the_way_to_code_that_chance_does_not_reach(tmp_path: Path) -> None:
    """What reaches new lines is kept, and the corpus ends up as small as it can be."""
    tally = supervised(guided.look(tmp_path, seed=1, minutes=0.05))
    assert said(tally) == []
    kept = list(corpus.load(tmp_path))
    assert {target for target, _ in kept} == set(TARGETS)

    def again(worker: Worker) -> None:
        guided.look(tmp_path, seed=2, minutes=0)(worker)

    assert supervised(again).inputs == len(kept)
    assert list(corpus.load(tmp_path)) == kept


def test_a_file_of_the_corpus_that_was_changed_is_noticed(tmp_path: Path) -> None:
    file = corpus.save(tmp_path, "ask", b"one")
    corpus.save(tmp_path, "ask", b"two").rename(file)
    with pytest.raises(ValueError, match="another input"):
        list(corpus.load(tmp_path))
