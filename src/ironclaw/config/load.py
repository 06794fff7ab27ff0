"""From a TOML file and the environment to `Settings`, or an error that names line and remedy.

Order: defaults, then the file, then `IRONCLAW_<SECTION>_<NAME>`. Both are closed: a name that is
not a setting is an error, with the nearest one that is.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from ironclaw.config.paths import config_candidates, default_runtime_dir, default_state_dir
from ironclaw.config.providers import mistakes
from ironclaw.config.settings import SECTIONS, PathSettings, Settings
from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PREFIX = "IRONCLAW_"
NOT_SETTINGS = frozenset(
    {
        "IRONCLAW_CONFIG",
        "IRONCLAW_PYTHON",
        "IRONCLAW_READY_FD",
        "IRONCLAW_TOKEN_FILE",
        "IRONCLAW_VIEW",
    }
)
"""Variables of the prefix that are not settings: where the file is, what `./run` starts, what the
keeper tells the core, and whom the command line acts as."""
MAX_CONFIG_BYTES = 1024 * 1024

_Tree = dict[str, dict[str, Any]]


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
    text = _read(path) if path is not None else ""
    tree = _parse(text, path)
    _overlay(tree, env)
    settings = _convert(tree, path, text)
    return _complete(settings, env, user)


def find_config(
    config: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    uid: int | None = None,
) -> Path | None:
    """The file that `load_settings` reads with the same arguments; None when there is none.

    Raises:
        UserError: `CONFIG_INVALID`: a file was named that does not exist.
    """
    env = os.environ if environ is None else environ
    user = os.geteuid() if uid is None else uid
    if config is None and (named := env.get("IRONCLAW_CONFIG")):
        config = Path(named)
    if config is not None:
        if not config.is_file():
            raise UserError(
                Code.CONFIG_INVALID,
                f"There is no configuration file {config}.",
                hint="Check --config and $IRONCLAW_CONFIG; without both, defaults apply.",
            )
        return config
    return next((path for path in config_candidates(env, user) if path.is_file()), None)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_CONFIG_BYTES + 1)
        if len(raw) > MAX_CONFIG_BYTES:
            raise _invalid(
                f"{path} is over {MAX_CONFIG_BYTES} bytes.", hint="Is it the right file?"
            )
        return raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(
            f"{path} cannot be read: {error}.", hint="It must be a readable UTF-8 text file."
        ) from error


def _parse(text: str, path: Path | None) -> _Tree:
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"at line (\d+)", str(error))
        line = where[1] if where else "?"
        raise _invalid(
            f"{path}:{line}: this is not TOML: {error}", hint="Mend that line; `ironclaw status`."
        ) from error
    tree: _Tree = {}
    for section, values in raw.items():
        if section not in SECTIONS:
            place = _place(path, text, section, None)
            raise _unknown(f"{place}: there is no section [{section}].", section, SECTIONS)
        if not isinstance(values, dict):
            raise _invalid(
                f"{_place(path, text, section, None)}: {section} is a section, not a value.",
                hint=f"Write [{section}] on a line of its own and its settings below.",
            )
        known = SECTIONS[section].__struct_fields__
        for name in values:
            if name not in known:
                place = _place(path, text, section, name)
                raise _unknown(f"{place}: [{section}] has no setting {name!r}.", name, known)
        tree[section] = values
    return tree


def _overlay(tree: _Tree, env: Mapping[str, str]) -> None:
    names = variable_names()
    for variable, value in env.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        if variable not in names:
            raise _unknown(f"The environment has {variable}, which is no setting.", variable, names)
        section, name = names[variable]
        wants_list = get_origin(get_type_hints(SECTIONS[section])[name]) is tuple
        tree.setdefault(section, {})[name] = value.split(",") if wants_list and value else value


def variable_names() -> dict[str, tuple[str, str]]:
    """Environment variable -> (section, setting). Tables stand in the file only."""
    return {
        f"{PREFIX}{section}_{name}".upper(): (section, name)
        for section, struct in SECTIONS.items()
        for name, kind in get_type_hints(struct).items()
        if get_origin(kind) is not dict
    }


def _convert(tree: _Tree, path: Path | None, text: str) -> Settings:
    for section, values in tree.items():
        hints = get_type_hints(SECTIONS[section], include_extras=True)
        for name, value in values.items():
            # Only text may be read as another type: an environment variable has nothing else.
            from_file = f"{path}" if path and not isinstance(value, str) else None
            try:
                msgspec.convert(value, hints[name], strict=from_file is not None, dec_hook=_hook)
            except (msgspec.ValidationError, ValueError) as error:
                place = _place(path, text, section, name)
                # A table is not shown: somebody may have written a key into it.
                shown = "" if isinstance(value, dict) else f"{value!r}, which is "
                raise _invalid(
                    f"{place}: {section}.{name} is {shown}wrong: {error}",
                    hint="docs/reference/configuration.md lists each setting with its type.",
                ) from error
    return msgspec.convert(tree, Settings, strict=False, dec_hook=_hook)


def _hook(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        if "\0" in value:
            raise ValueError("a path cannot hold NUL")
        return Path(value)
    raise ValueError(f"expected {kind.__name__}")


def _complete(settings: Settings, env: Mapping[str, str], uid: int) -> Settings:
    paths = settings.paths
    unset = Path()
    state = _expand(paths.state_dir, env) if paths.state_dir != unset else None
    runtime = _expand(paths.runtime_dir, env) if paths.runtime_dir != unset else None
    state = state or default_state_dir(env, uid)
    done = PathSettings(
        state_dir=state,
        runtime_dir=runtime or default_runtime_dir(env, uid),
        image_dir=_expand(paths.image_dir, env) if paths.image_dir != unset else state,
    )
    for name in PathSettings.__struct_fields__:
        if not getattr(done, name).is_absolute():
            raise _invalid(
                f"paths.{name} is {str(getattr(done, name))!r}, which is relative.",
                hint="Write a path that begins with / or ~/.",
            )
    roots = tuple(_expand(root, env) for root in settings.gateway.mount_roots)
    for root in roots:
        if not root.is_absolute() or ".." in root.parts:
            raise _invalid(
                f"gateway.mount_roots has {str(root)!r}, which is not an absolute path.",
                hint="Write paths that begin with / or ~/, without `..`.",
            )
    if len(os.fsencode(done.runtime_dir)) > _MAX_RUNTIME_CHARS:
        raise _invalid(
            f"paths.runtime_dir has over {_MAX_RUNTIME_CHARS} bytes.",
            hint="Names of unix sockets must fit in 107 bytes: choose a shorter directory.",
        )
    _check_host(settings)
    for name, provider in settings.models.providers.items():
        for wrong, remedy in mistakes(name, provider, hidden=(done.state_dir, done.runtime_dir)):
            raise _invalid(f"models.providers.{name[:64]} {wrong}.", hint=remedy)
    gateway = msgspec.structs.replace(settings.gateway, mount_roots=roots)
    return msgspec.structs.replace(settings, paths=done, gateway=gateway)


_MAX_RUNTIME_CHARS = 64
"""`sun_path` holds 107 bytes; the longest name below is `slots/<slot id>/run/model.sock`."""


def _check_host(settings: Settings) -> None:
    api = settings.api
    try:
        loopback = ipaddress.ip_address(api.host).is_loopback
    except ValueError:
        loopback = api.host == "localhost"
    if api.tcp and not loopback and not api.allow_remote:
        raise _invalid(
            f"api.host is {api.host!r}, which other machines may reach.",
            hint="Use 127.0.0.1, or set api.allow_remote = true with a TLS proxy in front.",
        )


def _expand(path: Path, env: Mapping[str, str]) -> Path:
    parts = path.parts
    return Path(env.get("HOME", "/"), *parts[1:]) if parts and parts[0] == "~" else path


def _place(path: Path | None, text: str, section: str, name: str | None) -> str:
    """`file:line` of a setting, `file` where the line cannot be told, or the environment."""
    inside = name is None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        header = re.match(r"\[\s*([^\]]+?)\s*\]", stripped)
        if header:
            inside = header[1].strip("\"'") == section
            if name is not None and header[1].startswith(f"{section}.{name}."):
                return f"{path}:{number}"
            if inside and name is None:
                return f"{path}:{number}"
        key = re.match(r"[\"']?([A-Za-z0-9_\-.]+)[\"']?\s*=", stripped)
        wanted = {name, f"{section}.{name}"} if name is not None else {section}
        if key and (key[1] in wanted and (inside or "." in key[1] or name is None)):
            return f"{path}:{number}"
    if name is not None and f"{PREFIX}{section}_{name}".upper() in variable_names():
        return f"${PREFIX}{section.upper()}_{name.upper()}"
    return str(path)


def _unknown(message: str, name: str, known: Iterable[str]) -> UserError:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(sorted(names))}."
    return _invalid(message, hint=hint)


def _invalid(message: str, *, hint: str) -> UserError:
    return UserError(Code.CONFIG_INVALID, message, hint=hint)


def type_name(annotation: Any) -> str:
    """A setting's type in words, for the reference page."""
    if get_origin(annotation) is tuple:
        return "list of text"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is dict:
        return "table"
    names = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}
    return names[get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation]
