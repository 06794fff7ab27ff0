"""What a setting takes, in words, and how one is written in the file and in the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from ironclaw.config.settings import SECTIONS

LISTS: Final[dict[tuple[str, str], tuple[str, str]]] = {
    ("api", "allowed_hosts"): ("claw.example.org", "claw.example.net"),
    ("gateway", "mount_roots"): ("/srv/projects", "/srv/style"),
    ("skills", "trusted_keys"): (
        "dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z/0Me0=",
        "P8TM/nRYcOLA2Z9x8w/wZWyN7dQcwdfT03aw2+aF4vM=",
    ),
}
"""An example of each setting that is a list."""
TABLES: Final[dict[tuple[str, str], str]] = {
    ("models", "providers"): (
        'models.providers.local = { kind = "openai-compatible", '
        'base_url = "http://127.0.0.1:8080/v1" }'
    )
}
"""An example of each that is a table, on one line, as it may stand at the top of the file."""


def type_name(annotation: Any) -> str:
    """A setting's type in words."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is tuple:
        return "list of paths" if get_args(annotation)[0] is Path else "list of text"
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) is dict:
        return "table"
    names = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path"}
    return names[annotation]


def bounds(annotation: Any) -> str:
    """Between what a number must be, in words; empty where it has no bounds."""
    marks = [one for one in get_args(annotation)[1:] if isinstance(one, msgspec.Meta)]
    least = [f"at least {_plain(one.ge)}" for one in marks if one.ge is not None]
    most = [f"at most {_plain(one.le)}" for one in marks if one.le is not None]
    return " and ".join([*least, *most])


def _plain(number: float) -> str:
    """A number without the fraction that it does not have."""
    return str(int(number) if float(number).is_integer() else number)


def is_list(section: str, name: str) -> bool:
    """Whether a setting holds several values of a kind."""
    return get_origin(get_type_hints(SECTIONS[section])[name]) is tuple


def is_table(section: str, name: str) -> bool:
    """Whether a setting holds named values."""
    return get_origin(get_type_hints(SECTIONS[section])[name]) is dict


def in_the_file(section: str, name: str) -> str:
    """What a setting takes in the file, and an example that works."""
    if is_table(section, name):
        return f"It takes a table, such as, at the top of the file: {TABLES[section, name]}"
    kind = type_name(get_type_hints(SECTIONS[section])[name])
    return f"It takes {_one(kind)}, such as: {name} = {_toml(section, name)}"


def in_a_variable(section: str, name: str, variable: str) -> str:
    """What a setting takes in the environment, and an example that works."""
    if is_table(section, name):
        return (
            "Tables stand in the configuration file only, which IRONCLAW_CONFIG may name, such "
            f"as, at its top: {TABLES[section, name]}"
        )
    kind = type_name(get_type_hints(SECTIONS[section])[name])
    if is_list(section, name):
        return (
            f"It takes {_one(kind)}, with commas between and without brackets and quotes, "
            f"such as: {variable}={','.join(LISTS[section, name])}"
        )
    value = _toml(section, name).strip('"')
    return f"It takes {_one(kind)}, such as: {variable}={value}"


def _one(kind: str) -> str:
    """A kind with its article, where it has one."""
    if kind.startswith(("list", "number", "path")):
        return f"a {kind}"
    return f"an {kind}" if kind.startswith("integer") else kind


def _toml(section: str, name: str) -> str:
    """An example of a setting as TOML writes it."""
    if is_list(section, name):
        return "[" + ", ".join(f'"{one}"' for one in LISTS[section, name]) + "]"
    fields = {one.name: one.default for one in msgspec.structs.fields(SECTIONS[section])}
    match fields[name]:
        case bool() as value:
            return str(value).lower()
        case Path():
            return '"/srv/ironclaw"'
        case str() as value:
            return f'"{value}"'
        case value:
            return str(value)
