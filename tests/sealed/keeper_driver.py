"""Calls the keeper's public functions and prints what came of it as JSON.

python keeper_driver.py start STATE RUNTIME -- CORE…
python keeper_driver.py stop|status RUNTIME
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ironclaw.core.errors import IronClawError
from ironclaw.sandbox.keeper import keeper_status, start_keeper, stop_keeper


def main() -> object:
    match sys.argv[1:]:
        case ["start", state, runtime, "--", *core]:
            status = start_keeper(
                core,
                state_dir=Path(state),
                runtime_dir=Path(runtime),
                log=Path(state) / "log" / "core.log",
                timeout_s=30,
            )
            return {"pid": status.pid}
        case ["stop", runtime]:
            return {"stopped": stop_keeper(Path(runtime))}
        case ["status", runtime]:
            found = keeper_status(Path(runtime))
            return {"pid": found.pid if found else None}
    raise SystemExit(2)


try:
    print(json.dumps(main()))
except IronClawError as error:
    print(json.dumps({"code": error.code, "hint": error.hint, "detail": error.detail}))
