"""Starts a house whose core takes the time of day from a file: what to add to the machine's own.

    python steered_core.py FILE

FILE holds milliseconds. Nothing else is different: time that passes is the machine's, and the
processes beside the core know nothing of it.
"""

from __future__ import annotations

import sys

from ironclaw.cli import launch
from ironclaw.cli.options import settings

_STEER = """
import sys, time
from ironclaw.core.clock import SystemClock
path = sys.argv[1]
def now_ms(self):
    with open(path) as file:
        return time.time_ns() // 1_000_000 + int(file.read())
SystemClock.now_ms = now_ms
sys.argv[1:] = []
from ironclaw.daemon import main
sys.exit(main())
"""


def main(file: str) -> None:
    """Start the keeper and wait until the core is ready."""
    mine = settings()
    launch.claim_directories(mine)
    core = launch.core_argv()
    # Its last word is what a core is known by.
    core = [*core[:3], "-c", _STEER, file, "ironclaw.daemon"]
    launch.start(mine, launch.core_environment(mine, None), core=core)


if __name__ == "__main__":
    main(*sys.argv[1:])
