"""Starts and stops a house: the image first, then the keeper, which starts the core."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ironclaw.cli import render
from ironclaw.cli.client import Client
from ironclaw.config.paths import check_way, claim_directory
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from ironclaw.config.settings import Settings
    from ironclaw.sandbox.keeper import KeeperStatus

START_S = 60.0
STOP_S = 30.0
FIRST_AGENT = "demo"
"""The agent that a house without any begins with, as `composition.DEMO_AGENT`."""


def core_argv() -> list[str]:
    """The core's command."""
    return [sys.executable, "-s", "-P", "-m", "ironclaw.daemon"]


def core_environment(settings: Settings, config: Path | None) -> dict[str, str]:
    """The core's environment: ours, with this run's configuration and directories fixed in it."""
    environment = dict(os.environ)
    # In the nest an ordinary user is root, whose default file and directories would be others.
    if config is not None:
        environment["IRONCLAW_CONFIG"] = str(config.resolve())
    environment["IRONCLAW_PATHS_STATE_DIR"] = str(settings.state_dir)
    environment["IRONCLAW_PATHS_RUNTIME_DIR"] = str(settings.runtime_dir)
    environment["IRONCLAW_PATHS_IMAGE_DIR"] = str(settings.image_dir)
    return environment


def claim_directories(settings: Settings) -> None:
    """Make the house's directories, or check that they are ours. Raises IronClawError."""
    for directory in {settings.state_dir, settings.runtime_dir, settings.image_dir}:
        check_way(directory)
        claim_directory(directory)
    claim_directory(settings.log_file.parent)


async def have_image(settings: Settings) -> str:
    """Provide the image; build it when there is none or its sources have changed.

    An image that an operator has imported or pulled is taken as it is: without sources beside the
    package there is nothing to build from.

    Returns:
        Its digest.

    Raises:
        IronClawError: It is not there and cannot be built, or is not trusted.
    """
    from ironclaw.image.build import build_image  # noqa: PLC0415 - heavy
    from ironclaw.image.provision import current_rootfs  # noqa: PLC0415 - heavy

    try:
        await build_image(settings.image_dir, progress=_build_step)
    except UserError as error:
        if error.code is not Code.INVALID:
            raise
    return (await current_rootfs(settings.image_dir)).digest


def _build_step(text: str) -> None:
    if not text.startswith("nothing changed"):
        render.note(f"image: {text}", tone="plain")


def start(
    settings: Settings, environment: Mapping[str, str], *, core: Sequence[str] = ()
) -> KeeperStatus:
    """Start keeper and core in the background; returns when messages are taken.

    Args:
        settings: Whose directories.
        environment: The core's.
        core: Its command; empty for the daemon.

    Raises:
        IronClawError: It did not start.
    """
    from ironclaw.sandbox.keeper import start_keeper  # noqa: PLC0415 - heavy

    return start_keeper(
        list(core) or core_argv(),
        state_dir=settings.state_dir,
        runtime_dir=settings.runtime_dir,
        visible=settings.gateway.mount_roots,
        log=settings.log_file,
        timeout_s=START_S,
        env=environment,
    )


def stop(settings: Settings) -> bool:
    """Stop them; False when they did not run."""
    from ironclaw.sandbox.keeper import stop_keeper  # noqa: PLC0415 - heavy

    return stop_keeper(settings.runtime_dir, timeout_s=STOP_S)


def health(settings: Settings) -> dict[str, Any]:
    """The daemon's own words about itself. Raises UserError (`NOT_RUNNING`)."""
    client = Client(settings)
    try:
        found: dict[str, Any] = client.get("v1", "status")
    finally:
        client.close()
    return found
