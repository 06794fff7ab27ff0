"""Options that many commands share, and the settings of this run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ironclaw.config.load import find_config, load_settings

if TYPE_CHECKING:
    from ironclaw.config.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="Name or id of an agent.")]
SessionArgument = Annotated[str, typer.Argument(metavar="SESSION", help="Id of a session.")]


class _Chosen:
    """What was chosen before the command's name."""

    config: Path | None = None


def choose_config(config: Path | None) -> None:
    """Use this configuration file in this run."""
    _Chosen.config = config


class Chosen(NamedTuple):
    """Settings and where they are from."""

    settings: Settings
    config: Path | None
    """The file they were read from; None when there is none."""


def chosen() -> Chosen:
    """The settings of this run. Raises UserError (`CONFIG_INVALID`)."""
    found = find_config(_Chosen.config)
    return Chosen(load_settings(found), found)


def settings() -> Settings:
    """The settings of this run. Raises UserError (`CONFIG_INVALID`)."""
    return chosen().settings
