"""Start of the sealed program. It takes no arguments and reads no environment."""

from __future__ import annotations

import sys

# msgspec asks for this package and does without it; where it is installed it would cost the start
# more than all modules of ours together.
sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type] # None: not importable

from ironclaw_agent.main import run  # noqa: E402 - the line above must come first

if __name__ == "__main__":
    sys.exit(run())
