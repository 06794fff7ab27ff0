"""Ready-made agents: what each is, may use and would do at times, and what to ask people for.

A template gives nothing: it is a draft of the changes that make such an agent, each of which goes
through the gateway like any other. One file a template, beside this one.
"""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Final

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.domain.persona_parts import Parts, compose

_Line = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
_Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")]
MAX_PERSONA_BYTES: Final = 6 * 1024
"""A persona stands in every model call: a ready-made one is short."""


class _Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the values."""


class TemplateTask(_Value, frozen=True):
    """Something that it would do at times, if people agree."""

    name: _Name
    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    cron: Annotated[str, msgspec.Meta(max_length=200)]
    """In the time zone of whoever makes it."""
    quiet: bool = False
    """Whether nothing is delivered when there is nothing to report."""


class TemplateLimits(_Value, frozen=True):
    """What it may use, where that is another than of any agent."""

    max_steps: int | None = None
    turn_s: int | None = None
    calls_per_day: int | None = None
    tokens_per_day: int | None = None


class Template(_Value, frozen=True):
    """A ready-made agent."""

    name: _Name
    summary: _Line
    """What it is for, in a line."""
    identity: str
    soul: str
    instructions: str
    tools: tuple[str, ...]
    limits: TemplateLimits
    tasks: tuple[TemplateTask, ...] = ()
    asks: tuple[_Line, ...] = ()
    """What it works better with, to be asked of people: `AGENT` stands for its name."""

    @property
    def persona(self) -> str:
        """The three parts as one text."""
        return compose(Parts(self.identity, self.soul, self.instructions))


def templates() -> tuple[Template, ...]:
    """All of them, by name. Reads the package's files."""
    found = [
        msgspec.toml.decode(file.read_text(encoding="utf-8"), type=Template)
        for file in resources.files(__name__).iterdir()
        if file.name.endswith(".toml")
    ]
    return tuple(sorted(found, key=lambda one: one.name))


def template(name: str) -> Template:
    """One of them. Raises UserError (`NOT_FOUND`)."""
    known = templates()
    for one in known:
        if one.name == name:
            return one
    raise UserError(
        Code.NOT_FOUND,
        f"There is no template {name[:64]!r}.",
        hint=f"There are: {', '.join(one.name for one in known)}.",
    )
