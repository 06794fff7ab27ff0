"""A house of its own for one command, with the image of the real one, and away again after it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from ironclaw.cli import launch, render

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import FrameType

    from ironclaw.config.settings import Settings

_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def private_house(
    mine: Settings,
    config: Path | None,
    *,
    purpose: str,
    core: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> Iterator[Settings]:
    """Run a house beside the real one, and remove all of it but the image.

    Args:
        mine: The real house's settings.
        config: Its configuration file.
        purpose: A word in the directories' names.
        core: What runs in place of the daemon; empty for the daemon itself.
        more: More environment for it.

    Yields:
        Settings with which a client finds the private house.

    Raises:
        IronClawError: It cannot be started.
    """
    name = f"{purpose}-{secrets.token_hex(4)}"
    run = mine.runtime_dir
    paths = msgspec.structs.replace(
        mine.paths,
        state_dir=mine.state_dir.with_name(f"{mine.state_dir.name}-{name}"),
        runtime_dir=run.with_name(f"{run.name}-{name}"),
    )
    # No TCP: it must not need the port of a house that runs already.
    api = msgspec.structs.replace(mine.api, tcp=False)
    private = msgspec.structs.replace(mine, paths=paths, api=api)
    environment = launch.core_environment(private, config)
    environment |= {"IRONCLAW_API_TCP": "false", "IRONCLAW_SANDBOX_POOL_SIZE": "0"} | dict(
        more or {}
    )
    with _interrupts() as ignore:
        try:
            launch.claim_directories(private)
            render.note("Starting a private house …")
            launch.start(private, environment, core=core)
            yield private
        finally:
            ignore()
            launch.stop(private)
            _end_leftovers(private.runtime_dir)
            for directory in (paths.state_dir, paths.runtime_dir):
                _remove(directory)


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], None]]:
    """Make every way of asking a program to end an interrupt, so that what follows is cleared up.

    Yields:
        Call it to let nothing interrupt the clearing up; each step of that has a time limit.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def ignore() -> None:
        for number in _ENDINGS:
            signal.signal(number, signal.SIG_IGN)

    before = {number: signal.signal(number, interrupt) for number in _ENDINGS}
    try:
        yield ignore
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_leftovers(runtime_dir: Path) -> None:
    """End what a keeper that was killed could not; no other one will ever look here.

    A proof has houses of its own below its runtime directory.
    """
    from ironclaw.sandbox.leftovers import clear  # noqa: PLC0415 - heavy

    for bundles in (*runtime_dir.glob("bundles"), *runtime_dir.glob("*/bundles")):
        clear(bundles.parent)


def _remove(directory: Path) -> None:
    """Remove a directory of the private house, with what boxes left in it.

    An ordinary user does not own what a box wrote: ids of the nest do, so a helper goes in there.
    """
    if not directory.exists():
        return
    if os.geteuid() == 0:
        shutil.rmtree(directory, ignore_errors=True)
        return
    from ironclaw.sandbox.process import run  # noqa: PLC0415 - heavy

    argv = [sys.executable, "-s", "-P", "-m", "ironclaw.cli.demo_remove", str(directory)]
    done = asyncio.run(run(argv, timeout_s=30.0))
    if done.status:
        render.note(f"{directory} could not be removed.", tone="warn")
