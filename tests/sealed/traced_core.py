"""Starts a house whose core runs under strace, as `ironclaw up` does it otherwise.

    python traced_core.py LOG [PATCH]

PATCH is Python that runs in the core before its `main`: a weakened twin.
"""

from __future__ import annotations

import sys

from ironclaw.cli import launch
from ironclaw.cli.options import settings

# Without --seccomp-bpf: that filter would stay on what the core starts, which nobody traces.
STRACE = (
    *("strace", "-D", "-f", "-b", "execve", "-A", "-qq", "-y", "-s", "512", "-e", "signal=none"),
    *("-e", "trace=%file,fchdir,open_by_handle_at,open_tree,move_mount,fsopen"),
)


def main(log: str, patch: str = "") -> None:
    """Start the keeper and wait until the core is ready."""
    mine = settings()
    launch.claim_directories(mine)
    core = launch.core_argv()
    if patch:
        program = f"import sys; {patch}; from ironclaw.daemon import main; sys.exit(main())"
        core = [*core[:3], "-c", program]
    launch.start(mine, launch.core_environment(mine, None), core=[*STRACE, "-o", log, *core])


if __name__ == "__main__":
    main(*sys.argv[1:])
