"""The fuzzer's command: throw a number of inputs, or look for new ones for some minutes."""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ironclaw.cli import render
from ironclaw.testing.fuzz.guided import look
from ironclaw.testing.fuzz.supervise import keep, supervised, throw
from ironclaw.testing.fuzz.targets import TARGETS, spin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.testing.fuzz.supervise import Input, Tally

_CORPUS = Path("tests/hostile/corpus")


def main() -> int:
    """Run; 0 when nothing was found."""
    chosen = _arguments()
    render.note(f"seed {chosen.seed}")
    if chosen.minutes:
        work = look(chosen.corpus, seed=chosen.seed, minutes=chosen.minutes)
    else:
        work = throw(_inputs(chosen.seed, chosen.only, chosen.inputs, chosen.target))
    tally = supervised(work)
    keep(tally.found, chosen.findings)
    _show(tally, seed=chosen.seed, as_json=chosen.json, findings=chosen.findings)
    return 1 if tally.found else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ironclaw.testing.fuzz", description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--inputs", type=int, default=100_000, help="throw so many")
    how.add_argument("--minutes", type=float, default=0.0, help="look for new ones so long")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="repeat a run")
    parser.add_argument("--only", type=int, default=None, help="throw this one of the run only")
    parser.add_argument("--target", choices=sorted(TARGETS), help="throw at this one only")
    parser.add_argument("--corpus", type=Path, default=_CORPUS, help="what is kept (%(default)s)")
    parser.add_argument(
        "--findings", type=Path, default=Path("fuzz-findings"), help="made when there are any"
    )
    parser.add_argument("--json", action="store_true", help="one object")
    return parser.parse_args()


def _inputs(seed: int, only: int | None, count: int, wanted: str | None) -> Iterator[Input]:
    for number in range(count) if only is None else (only,):
        target, make = spin(seed, number)
        if wanted in {None, target}:
            yield target, make()


def _show(tally: Tally, *, seed: int, as_json: bool, findings: Path) -> None:
    if as_json:
        told = msgspec.to_builtins(tally)
        told["found"] = [f"{each.target}: {each.why}" for each in tally.found]
        render.data({"seed": seed, **told})
        return
    render.table(
        ("target/outcome", "inputs"),
        [(key, count) for key, count in sorted(tally.outcomes.items())],
    )
    held, peak = tally.heaviest_bytes / 2**20, tally.peak_bytes / 2**20
    render.line(
        f"{tally.inputs} inputs, slowest {tally.slowest_ms:.0f} ms, "
        f"SQLite at most {held:.1f} MiB, process at most {peak:.0f} MiB"
    )
    for each in tally.found:
        render.line(f"FOUND {each.target}: {each.why}", tone="bad")
    if tally.found:
        render.line(f"The inputs are in {findings}.", tone="bad")
    else:
        render.line("Nothing was found.", tone="good")


if __name__ == "__main__":
    sys.exit(main())
