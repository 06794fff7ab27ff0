"""Options that many commands share, and the settings of this run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from ironclaw.cli import render
from ironclaw.config.file import find_config
from ironclaw.config.load import load_directories, load_settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from ironclaw.config.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="Name or id of an agent.")]
ChangeArgument = Annotated[str, typer.Argument(metavar="CHANGE", help="Id of a change.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for whoever decides.")]
For = Annotated[
    str | None,
    typer.Option("--for", metavar="TIME", help="How long it lasts: 90m, 8h, 30d; for good if not."),
]
Despite = Annotated[
    str | None,
    typer.Option("--despite", metavar="CHANGE", help="Id of a denied change that this sets aside."),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Approve it too, without asking, where you may.")
]
Sure = Annotated[
    bool, typer.Option("--yes", "-y", help="Decide without being asked; the card is shown.")
]
Because = Annotated[str, typer.Option("--because", help="Why, for whoever asked.")]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class _Chosen:
    """What was chosen before the command's name."""

    config: Path | None = None
    token_file: Path | None = None


def choose(config: Path | None, token_file: Path | None) -> None:
    """Use this configuration file, and the token in this file, in this run."""
    _Chosen.config = config
    _Chosen.token_file = token_file


def named_token_file() -> Path | None:
    """The file that was named for the token of this run; None: the house's own."""
    return _Chosen.token_file


def seconds(text: str | None) -> int | None:
    """A time as people write it, in seconds. Raises UserError (`INVALID`)."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text.strip())
    if found is None:
        raise UserError(
            Code.INVALID, f"{text[:40]!r} is no time.", hint="Write 90m, 8h, 30d or seconds."
        )
    return int(found[1]) * _UNITS[found[2] or "s"]


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


def of_running_house() -> Settings:
    """The settings of this run; where they are wrong, the directories of a house that runs there.

    For what somebody must be able to do whatever is wrong: to stop the house, to look at it. That
    the settings are wrong is said on stderr.

    Raises:
        UserError: `CONFIG_INVALID`: the settings are wrong, and no house runs in the directories
            that they name, or it cannot be told which these are.
    """
    try:
        return settings()
    except UserError as wrong:
        found = load_directories(_Chosen.config)
        if not _runs(found):
            raise
        render.note(f"The settings are wrong: {wrong.message}", tone="warn")
        render.note(f"  {wrong.hint}")
        render.note(f"Only the directories are taken of them: {found.runtime_dir}")
        return found


def _runs(found: Settings) -> bool:
    from ironclaw.sandbox.keeper import keeper_status  # noqa: PLC0415 - only when all is not well

    keeper = keeper_status(found.runtime_dir)
    return keeper is not None and keeper.state_dir == found.state_dir.resolve()
