"""Starts a house whose core writes down every frame to and from its airlocks.

    python tapped_core.py TAP [PATCH]

Whatever a box receives comes through an airlock, and whatever an airlock has comes in these frames:
records, model events, answers of host tools. PATCH is Python that runs in the model host before its
`main`: a weakened twin.
"""

from __future__ import annotations

import sys

from ironclaw.cli import launch
from ironclaw.cli.options import settings

_TAP = """
import sys
import ironclaw.airlock.link as link
import ironclaw.models.host.starter as starter
tap = open(sys.argv[1], "ab", buffering=0)
pack, decode = link.pack, link.decode_from_airlock
def packed(message):
    raw = pack(message)
    tap.write(b"TO-BOX " + raw)
    return raw
def decoded(body):
    tap.write(b"FROM-BOX " + body)
    return decode(body)
link.pack, link.decode_from_airlock = packed, decoded
starter._BOOT = "import sys; sys.path.insert(0, sys.argv[1]); " + sys.argv[2] + starter._BOOT
sys.argv[1:] = []
from ironclaw.daemon import main
sys.exit(main())
"""


def main(tap: str, patch: str = "") -> None:
    """Start the keeper and wait until the core is ready."""
    mine = settings()
    launch.claim_directories(mine)
    core = launch.core_argv()
    # Its last word is what a core is known by.
    core = [*core[:3], "-c", _TAP, tap, f"{patch}; " if patch else "", "ironclaw.daemon"]
    launch.start(mine, launch.core_environment(mine, None), core=core)


if __name__ == "__main__":
    main(*sys.argv[1:])
