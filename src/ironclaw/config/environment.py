"""Settings in the environment: `IRONCLAW_<SECTION>_<NAME>`, each of them a piece of text."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, get_type_hints

from ironclaw.config.file import invalid
from ironclaw.config.kinds import in_a_variable, is_list, is_table
from ironclaw.config.settings import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ironclaw.core.errors import UserError

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
_AS_IN_THE_FILE = re.compile(r"\A\s*(?:\[\s*)?[\"']|\A\s*\[\s*\]\s*\Z")
"""How a list begins that is written as TOML or JSON do. Not `[` alone: `[::1]` is a host."""

Tree = dict[str, dict[str, Any]]


def variable(section: str, name: str) -> str:
    """The variable of a setting."""
    return f"{PREFIX}{section}_{name}".upper()


def variable_names() -> dict[str, tuple[str, str]]:
    """Environment variable -> (section, setting). Tables stand in the file only."""
    return {
        variable(section, name): (section, name)
        for section, name in _pairs()
        if not is_table(section, name)
    }


def overlay(tree: Tree, env: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """Put what the environment says over what the file says.

    Returns:
        The settings that are the environment's.

    Raises:
        UserError: `CONFIG_INVALID`: a variable is no setting, or a list is written as in the file.
    """
    names = variable_names()
    for word, value in given(env):
        if word not in names:
            raise _no_setting(word, names)
        section, name = names[word]
        items = _items(section, name, value) if is_list(section, name) else value
        tree.setdefault(section, {})[name] = items
    return frozenset(names[word] for word, _value in given(env))


def given(env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Variables that are settings, or were meant to be."""
    for word, value in env.items():
        if word.startswith(PREFIX) and word not in NOT_SETTINGS:
            yield word, value


def nearest(name: str, known: Iterable[str]) -> str | None:
    """What was probably meant."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)), None)


def unknown(message: str, name: str, known: Iterable[str]) -> UserError:
    """A name is no setting; the hint has the nearest one that is."""
    names = list(known)
    close = nearest(name, names)
    hint = f"Did you mean {close!r}?" if close else f"There are: {', '.join(sorted(names))}."
    return invalid(message, hint=hint)


def _items(section: str, name: str, value: str) -> list[str]:
    items = [one.strip() for one in value.split(",")] if value.strip() else []
    if _AS_IN_THE_FILE.match(value) or not all(items):
        word = variable(section, name)
        why = "an item is empty" if not all(items) else "brackets and quotes are of the file"
        raise invalid(
            f"${word}: {section}.{name} is {value!r}, which is wrong: {why}.",
            hint=in_a_variable(section, name, word),
        )
    return items


def _no_setting(word: str, names: Mapping[str, tuple[str, str]]) -> UserError:
    for section, name in _pairs():
        table = variable(section, name)
        if is_table(section, name) and (word == table or word.startswith(f"{table}_")):
            # What it holds is not shown: somebody may have written a key into it.
            return invalid(
                f"The environment has {word}, which is no setting: {section}.{name} is a table.",
                hint=in_a_variable(section, name, word),
            )
    return unknown(f"The environment has {word}, which is no setting.", word, names)


def _pairs() -> Iterator[tuple[str, str]]:
    for section, struct in SECTIONS.items():
        for name in get_type_hints(struct):
            yield section, name
