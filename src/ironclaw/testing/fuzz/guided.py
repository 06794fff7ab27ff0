"""Looks for inputs that reach something new, for as long as it is given, and keeps them.

Half of the inputs are fresh, half are changes of kept ones. At the end the corpus is made small:
the shortest inputs that together still reach everything.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ironclaw.testing.fuzz import corpus
from ironclaw.testing.fuzz.dice import Dice
from ironclaw.testing.fuzz.reach import Reach
from ironclaw.testing.fuzz.targets import TARGETS, spin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ironclaw.testing.fuzz.reach import Feature
    from ironclaw.testing.fuzz.supervise import Input, Worker


def look(place: Path, *, seed: int, minutes: float) -> Callable[[Worker], None]:
    """The work of looking for new inputs.

    Args:
        place: The corpus; read, added to, and made small.
        seed: Of every choice; times of the machine decide where it ends.
        minutes: How long.
    """

    def work(worker: Worker) -> None:
        reach = Reach()
        kept = _replay(worker, reach, place)
        seen = {feature for features in kept.values() for feature in features}
        deadline = time.monotonic() + minutes * 60
        number = 0
        while time.monotonic() < deadline:
            number += 1
            target, data = _next(seed, number, list(kept))
            reached = _run(worker, reach, target, data)
            if reached - seen and len(data) <= corpus.MAX_INPUT:
                seen |= reached
                kept[target, data] = reached
                corpus.save(place, target, data)
        for target, data in kept.keys() - smallest(kept):
            corpus.forget(place, target, data)

    return work


def smallest(kept: dict[Input, frozenset[Feature]]) -> set[Input]:
    """Few and short inputs that reach what all of them reach."""
    chosen: set[Input] = set()
    covered: set[Feature] = set()
    # What comes last in this order is only needed for what nothing shorter reaches.
    for each in sorted(kept, key=lambda item: (len(item[1]), item)):
        if kept[each] - covered:
            chosen.add(each)
            covered |= kept[each]
    for each in sorted(chosen, key=lambda item: (-len(item[1]), item)):
        rest = {feature for other in chosen - {each} for feature in kept[other]}
        if kept[each] <= rest:
            chosen.discard(each)
    return chosen


def _replay(worker: Worker, reach: Reach, place: Path) -> dict[Input, frozenset[Feature]]:
    kept = {}
    for target, data in corpus.load(place):
        kept[target, data] = _run(worker, reach, target, data)
    return kept


def _run(worker: Worker, reach: Reach, target: str, data: bytes) -> frozenset[Feature]:
    reached: frozenset[Feature] = frozenset()

    def run(data: bytes) -> str:
        nonlocal reached
        reached = reach.of(TARGETS[target], data)
        return "run"

    worker.take(target, data, run)
    # The same line of one target is another thing in another.
    return frozenset((f"{target}:{name}", *places) for name, *places in reached)  # type: ignore[misc]


def _next(seed: int, number: int, kept: list[Input]) -> Input:
    target, make = spin(seed, number)
    dice = Dice(f"{seed}/{number}/guided")
    mine = [data for name, data in kept if name == target]
    if not mine or dice.chance(2):
        return target, make()
    return target, TARGETS[target].change(dice, dice.pick(mine), dice.pick(mine))
