"""From a TOML file and the environment to `Settings`, or an error that names line and remedy.

Order: defaults, then the file, then `IRONCLAW_<SECTION>_<NAME>`. Both are closed: a name that is
not a setting is an error, with the nearest one that is.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from ironclaw.config.directories import complete, expand, may_be_a_path, salvage
from ironclaw.config.environment import (
    NOT_SETTINGS,
    Tree,
    given,
    nearest,
    overlay,
    unknown,
    variable,
    variable_names,
)
from ironclaw.config.file import find_config, invalid, place, read_config
from ironclaw.config.kinds import bounds, in_a_variable, in_the_file, is_list, is_table
from ironclaw.config.providers import mistakes
from ironclaw.config.settings import SECTIONS, ApiSettings, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

_BOUND = re.compile(r"Expected `(?:int|float)` [<>]=")
"""How a decoder begins what it says of a number that is too small or too large."""


def load_settings(
    config: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Settings:
    """Read the settings of this process.

    Args:
        config: A file that must exist; None looks in $IRONCLAW_CONFIG, then the usual places.
        environ: Environment; the process's own when None.
        uid: User id whose defaults count; the process's own when None.

    Raises:
        UserError: `CONFIG_INVALID`, naming file, line and the setting that was probably meant.
    """
    env = os.environ if environ is None else environ
    user = os.geteuid() if uid is None else uid
    path = find_config(config, environ=env, uid=user)
    text = read_config(path)
    tree = _checked(_parse(text, path), path, text)
    of_environment = overlay(tree, env)
    settings = _convert(tree, path, text, of_environment)
    return _complete(settings, env, user)


def load_directories(
    config: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Settings:
    """Read where the house is and nothing else, whatever is wrong with other settings.

    For what must be possible with wrong settings: to stop the house, and to look at it. All other
    settings of the answer are defaults, but that it names no TCP address.

    Args:
        config: As `load_settings`.
        environ: As `load_settings`.
        uid: As `load_settings`.

    Raises:
        UserError: `CONFIG_INVALID`: what is wrong may be about the directories, so that this could
            be about another house.
    """
    env = os.environ if environ is None else environ
    user = os.geteuid() if uid is None else uid
    names = variable_names()
    wanted = {word for word, (section, _name) in names.items() if section == "paths"}
    others = names.keys() | NOT_SETTINGS
    for word, value in given(env):
        # With a path as its value it may name a house, or its configuration file.
        is_meant = may_be_a_path(value) or nearest(word, others) in wanted | {"IRONCLAW_CONFIG"}
        if word not in names and is_meant:
            raise unknown(f"The environment has {word}, which is no setting.", word, others)
    mine = {word: env[word] for word in wanted & env.keys()}
    path, text = None, ""
    if not {variable("paths", "state_dir"), variable("paths", "runtime_dir")} <= mine.keys():
        path = find_config(config, environ=env, uid=user)
        text = read_config(path)
    tree = _checked(salvage(text, path), path, text)
    of_environment = overlay(tree, mine)
    found = _convert(tree, path, text, of_environment)
    return Settings(paths=complete(found.paths, env, user), api=ApiSettings(tcp=False))


def _parse(text: str, path: Path | None) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"at line (\d+)", str(error))
        line = where[1] if where else "?"
        raise invalid(
            f"{path}:{line}: this is not TOML: {error}", hint="Mend that line; `ironclaw status`."
        ) from error


def _checked(raw: dict[str, Any], path: Path | None, text: str) -> Tree:
    """The same, with nothing in it but sections and settings."""
    tree: Tree = {}
    for section, values in raw.items():
        if section not in SECTIONS:
            where = place(path, text, section, None)
            raise unknown(f"{where}: there is no section [{section}].", section, SECTIONS)
        if not isinstance(values, dict):
            raise invalid(
                f"{place(path, text, section, None)}: {section} is a section, not a value.",
                hint=f"Write [{section}] on a line of its own and its settings below.",
            )
        known = SECTIONS[section].__struct_fields__
        for name in values:
            if name not in known:
                where = place(path, text, section, name)
                raise unknown(f"{where}: [{section}] has no setting {name!r}.", name, known)
        tree[section] = values
    return tree


def _convert(
    tree: Tree, path: Path | None, text: str, of_environment: frozenset[tuple[str, str]]
) -> Settings:
    for section, values in tree.items():
        hints = get_type_hints(SECTIONS[section], include_extras=True)
        for name, value in values.items():
            # Only text may be read as another type: an environment variable has nothing else.
            is_strict = not isinstance(value, str)
            try:
                msgspec.convert(value, hints[name], strict=is_strict, dec_hook=_hook)
            except (msgspec.ValidationError, ValueError) as error:
                word = variable(section, name)
                if (section, name) in of_environment:
                    where, hint = f"${word}", in_a_variable(section, name, word)
                else:
                    where, hint = place(path, text, section, name), _advice(section, name)
                # A table is not shown: somebody may have written a key into it.
                is_shown = not isinstance(value, dict) and not is_table(section, name)
                shown = f"{value!r}, which is " if is_shown else ""
                why = _in_words(str(error), hints[name])
                raise invalid(
                    f"{where}: {section}.{name} is {shown}wrong: {why}", hint=hint
                ) from error
    return msgspec.convert(tree, Settings, strict=False, dec_hook=_hook)


def _in_words(finding: str, annotation: Any) -> str:
    """What a decoder finds; of a number out of bounds, what they are."""
    within = bounds(annotation)
    return f"it must be {within}." if within and _BOUND.match(finding) else finding


def _advice(section: str, name: str) -> str:
    """What to write in the file in place of what is wrong."""
    page = "docs/reference/configuration.md lists each setting with its type."
    if is_list(section, name) or is_table(section, name):
        return f"{in_the_file(section, name)} {page}"
    return page


def _hook(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        if "\0" in value:
            raise ValueError("a path cannot hold NUL")
        return Path(value)
    raise ValueError(f"expected {kind.__name__}")


def _complete(settings: Settings, env: Mapping[str, str], uid: int) -> Settings:
    done = complete(settings.paths, env, uid)
    roots = tuple(expand(root, env) for root in settings.gateway.mount_roots)
    for root in roots:
        if not root.is_absolute() or ".." in root.parts:
            raise invalid(
                f"gateway.mount_roots has {str(root)!r}, which is not an absolute path.",
                hint="Write paths that begin with / or ~/, without `..`.",
            )
    _check_host(settings)
    for name, provider in settings.models.providers.items():
        for wrong, remedy in mistakes(name, provider, hidden=(done.state_dir, done.runtime_dir)):
            raise invalid(f"models.providers.{name[:64]} {wrong}.", hint=remedy)
    gateway = msgspec.structs.replace(settings.gateway, mount_roots=roots)
    return msgspec.structs.replace(settings, paths=done, gateway=gateway)


def _check_host(settings: Settings) -> None:
    api = settings.api
    try:
        loopback = ipaddress.ip_address(api.host).is_loopback
    except ValueError:
        loopback = api.host == "localhost"
    if api.tcp and not loopback and not api.allow_remote:
        raise invalid(
            f"api.host is {api.host!r}, which other machines may reach.",
            hint="Use 127.0.0.1, or set api.allow_remote = true with a TLS proxy in front.",
        )
