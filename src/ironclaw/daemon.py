"""The daemon: a core and its API as a process, until it is told to stop.

    python -s -P -m ironclaw.daemon [--config FILE]     (started by the keeper, inside its nest)

main: settings, log -> run: open_core -> API -> ready
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ironclaw.api.app import create_app
from ironclaw.api.metrics import Metrics
from ironclaw.api.server import serve
from ironclaw.composition import open_core
from ironclaw.config.load import load_settings
from ironclaw.core import log
from ironclaw.core.errors import IronClawError
from ironclaw.core.log_file import BoundedLog
from ironclaw.sandbox.keeper import READY_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.api.server import Listening
    from ironclaw.config.settings import Settings

_log = log.get_logger("daemon")


async def run(settings: Settings) -> None:
    """Be the daemon until SIGTERM or SIGINT.

    Raises:
        IronClawError: It cannot start.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    metrics = Metrics()
    async with open_core(settings, metrics=metrics) as core:
        app = create_app(core.house, core.tokens, settings, metrics=metrics)
        serving = core.tasks.start(serve(app, settings, ready=say_ready), name="api")
        ending = core.tasks.start(stopping.wait(), name="signals")
        await asyncio.wait({serving, ending}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        serving.cancel()
        await asyncio.wait({serving})
    _log.info("stopped")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; returns the exit code of `core.codes`."""
    parser = argparse.ArgumentParser(prog="ironclaw.daemon")
    parser.add_argument("--config", type=Path)
    options = parser.parse_args(argv)
    try:
        settings = load_settings(options.config)
        sink = BoundedLog(sys.stderr, settings.log_file, most_bytes=settings.log.max_bytes)
        log.configure(level=settings.log.level, form=settings.log.form, sink=sink)
        asyncio.run(run(settings))
    except IronClawError as error:
        _log.error(
            "cannot_start",
            code=error.code,
            message=error.message,
            hint=error.hint,
            detail=error.detail,
        )
        say_failed(error)
        return error.row.exit_code
    return 0


def say_ready(listening: Listening) -> None:
    """Tell the keeper, and through it `ironclaw up`, that messages are taken."""
    _log.info("ready", socket=str(listening.socket), host=listening.host, port=listening.port)
    say_started()


def say_started() -> None:
    """Tell the keeper that its core, of whatever kind, has come up."""
    _tell_keeper(b"ready\n")


def say_failed(error: IronClawError) -> None:
    """Tell the keeper why its core does not come up.

    The words name the next step: the exit status alone would only tell the kind of error.
    """
    told = {"code": error.code, "message": error.message, "hint": error.hint}
    _tell_keeper(json.dumps(told).encode() + b"\n")


def _tell_keeper(line: bytes) -> None:
    """Say how the start went to whoever waits for it; once, and to nobody when nobody waits."""
    descriptor = os.environ.pop(READY_VARIABLE, "")
    if descriptor:
        with contextlib.suppress(OSError):
            os.write(int(descriptor), line)
            os.close(int(descriptor))


if __name__ == "__main__":
    sys.exit(main())
