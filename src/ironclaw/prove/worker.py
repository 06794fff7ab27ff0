"""The proof's core: opens the laboratory, runs the battery or its twins, leaves the result.

    python -s -P -m ironclaw.prove.worker [--quick] [--twins [--checks]] [--only NAME]...
    (started by a keeper, inside its nest)

It runs the checks; with `--twins` their twins instead, with `--checks` beside it both.

The result is `prove.json` in the runtime directory; progress goes to the log, a line a stage.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING, Final

from ironclaw.config.load import load_settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError, IronClawError
from ironclaw.daemon import say_failed, say_started
from ironclaw.prove.lab import network as lab_network
from ironclaw.prove.lab.opened import open_lab
from ironclaw.prove.report.model import Report, machine_facts, write_report
from ironclaw.prove.runner import Choice, run_checks, run_twins
from ironclaw.prove.stages import STAGES
from ironclaw.services.enclosing import airlocks_weaker

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULT: Final = "prove.json"
GRACE_S: Final = 60.0
"""For how long the result waits to be read."""
NOTE: Final = "prove: "


def main(argv: Sequence[str]) -> int:
    """Run once, then wait for the keeper to end us. Returns the status of a start that failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--twins", action="store_true")
    parser.add_argument("--checks", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    asked = parser.parse_args(argv)
    halves = (asked.checks or not asked.twins, asked.twins)
    try:
        # Before there is a loop or a thread: the namespace is this thread's.
        lab_network.enter()
        asyncio.run(_main(Choice(asked.quick, tuple(asked.only)), *halves))
    except IronClawError as error:
        return _failed(error)
    except OSError as error:
        return _failed(
            HostError(
                Code.HOST_UNSUITED,
                f"The laboratory of the proof cannot be had: {error}.",
                hint="`ironclaw doctor` tries each thing that a box needs.",
            )
        )
    return 0


def _failed(error: IronClawError) -> int:
    _say(f"{error.code}: {error.message} {error.detail}")
    say_failed(error)
    return error.row.exit_code


async def _main(asked: Choice, checks: bool, twins: bool) -> None:  # noqa: FBT001 - private
    settings = load_settings()
    began = time.monotonic()
    async with open_lab(settings) as lab:
        say_started()
        choice = asked._replace(missing=lab.missing)
        findings = await run_checks(STAGES, lab, choice, _note) if checks else None
        judged = await run_twins(STAGES, lab, choice, _note) if twins else None
        report = Report.of(
            findings,
            judged,
            stages=STAGES,
            choice=choice,
            weaker=(
                *lab.isolator.weaker(),
                *await airlocks_weaker(lab.isolator, lab.airlocks),
            ),
            machine=machine_facts(lab),
            took_s=round(time.monotonic() - began, 1),
        )
    write_report(report, settings.runtime_dir / RESULT)
    # The keeper ends us as soon as the result was read; if its command was killed, nobody does.
    await asyncio.sleep(GRACE_S)


def _note(text: str) -> None:
    _say(NOTE + text)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
