"""structlog, loaded without `rich`: a core shows no console, and pays 3 MB and 30 ms for one.

structlog loads it wherever it is installed, and it is: the command line's library brings it along.
"""

from __future__ import annotations

import sys

_rich = sys.modules.get("rich")
sys.modules["rich"] = _rich  # type: ignore[assignment] # None: as if it were not installed
import structlog  # noqa: E402 - see above

if _rich is None:
    del sys.modules["rich"]

__all__ = ["structlog"]
