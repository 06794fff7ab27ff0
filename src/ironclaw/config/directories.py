"""A house's directories: from the settings, or from what names them alone when others are wrong."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ironclaw.config.environment import nearest
from ironclaw.config.file import invalid
from ironclaw.config.paths import default_runtime_dir, default_state_dir
from ironclaw.config.settings import SECTIONS, PathSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_RUNTIME_CHARS = 64
"""`sun_path` holds 107 bytes; the longest name below is `slots/<slot id>/run/model.sock`."""
_HEADER = re.compile(r"\s*\[+\s*[\"']?([\w-]+)")
_DOTTED = re.compile(r"\s*[\"']?([\w-]+)[\"']?\s*[.=]")
_NAMED = re.compile(r"([\w-]+)[\"']?\s*=\s*([\"']{1,3}[/~.])?")
"""A name and whether it has a path as its value."""


def complete(paths: PathSettings, env: Mapping[str, str], uid: int) -> PathSettings:
    """All of the directories, with the defaults of those that are not set.

    Raises:
        UserError: `CONFIG_INVALID`: one of them cannot be a house's.
    """
    unset = Path()
    state = expand(paths.state_dir, env) if paths.state_dir != unset else None
    runtime = expand(paths.runtime_dir, env) if paths.runtime_dir != unset else None
    state = state or default_state_dir(env, uid)
    done = PathSettings(
        state_dir=state,
        runtime_dir=runtime or default_runtime_dir(env, uid),
        image_dir=expand(paths.image_dir, env) if paths.image_dir != unset else state,
    )
    for name in PathSettings.__struct_fields__:
        if not getattr(done, name).is_absolute():
            raise invalid(
                f"paths.{name} is {str(getattr(done, name))!r}, which is relative.",
                hint="Write a path that begins with / or ~/.",
            )
    if len(os.fsencode(done.runtime_dir)) > _MAX_RUNTIME_CHARS:
        raise invalid(
            f"paths.runtime_dir has over {_MAX_RUNTIME_CHARS} bytes.",
            hint="Names of unix sockets must fit in 107 bytes: choose a shorter directory.",
        )
    return done


def expand(path: Path, env: Mapping[str, str]) -> Path:
    """A path with `~` as the home directory of this user."""
    parts = path.parts
    return Path(env.get("HOME", "/"), *parts[1:]) if parts and parts[0] == "~" else path


def salvage(text: str, path: Path | None) -> dict[str, Any]:
    """What a file says of directories, whatever else is wrong in it.

    Returns:
        [paths], and sections whose names are so near that they may have been meant for it.

    Raises:
        UserError: `CONFIG_INVALID`: these lines are not TOML either, or there may be directories
            elsewhere in it: under a section that is none, or is missing.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        try:
            raw = tomllib.loads(_lines_of_paths(text))
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise invalid(
                f"{path} is not TOML where it names the directories: {error}",
                hint="Mend it, or name them with IRONCLAW_PATHS_STATE_DIR and "
                "IRONCLAW_PATHS_RUNTIME_DIR.",
            ) from error
    found = {section: values for section, values in raw.items() if may_be_paths(section)}
    _check_elsewhere(text, path, found)
    return found


def may_be_paths(section: str) -> bool:
    """Whether a section is [paths], or was probably meant to be."""
    return nearest(section.lower(), SECTIONS) == "paths"


def may_be_a_path(value: str) -> bool:
    """Whether a value looks like one."""
    return value.lstrip("\"' ").startswith(("/", "~", "."))


def _check_elsewhere(text: str, path: Path | None, found: Mapping[str, Any]) -> None:
    """Raises UserError (`CONFIG_INVALID`) for what may name directories and was not found."""
    known = {name for struct in SECTIONS.values() for name in struct.__struct_fields__}
    left = {name for section in found.values() if isinstance(section, dict) for name in section}
    for line in text.splitlines():
        for name, has_path in [] if line.lstrip().startswith("#") else _NAMED.findall(line):
            if name in left:
                # Once: there may be another one under another section.
                left.discard(name)
            elif name in PathSettings.__struct_fields__ or (has_path and name not in known):
                raise invalid(
                    f"{path}: {name[:64]} is none of [paths], and may have been meant to be.",
                    hint="Put directories under [paths]; what is no setting must not have a path.",
                )


def _lines_of_paths(text: str) -> str:
    """The lines of a broken file that name directories, as far as lines tell."""
    kept: list[str] = []
    inside: bool | None = None
    """None before the first section: there, `paths.state_dir = …` may stand."""
    for line in text.splitlines():
        header = _HEADER.match(line)
        dotted = _DOTTED.match(line) if inside is None else None
        if header:
            inside = may_be_paths(header[1])
        if inside or (dotted and may_be_paths(dotted[1])):
            kept.append(line)
    return "\n".join(kept)
