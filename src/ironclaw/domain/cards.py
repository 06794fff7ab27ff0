"""Cards: how a change is shown, from all of its fields and nothing else. Pure."""

from __future__ import annotations

import msgspec

from ironclaw.core.ids import ChangeId


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One field of the change, or one thing about it."""

    label: str
    text: str
    """Nothing in it is invisible: what would be is written as `\\u202e`, with its name in
    `warnings` of the card."""
    was: str | None = None
    """What it is now, for a line of the diff."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a person sees, and approves."""

    version: int
    """`domain.change.CARD_VERSION`."""
    change: ChangeId
    hash: str
    """Of the change: `domain.change.hash_of`."""
    state: str
    """Version of the live state that `diff` compares with."""
    title: str
    asker: str
    """Who asks, in the host's words."""
    reason: str
    """The asker's own words; shown as theirs."""
    fields: tuple[Line, ...]
    """Every field of the spec."""
    diff: tuple[Line, ...]
    """Every name of the state that would be another afterwards."""
    notices: tuple[str, ...]
    """What the host has to say of it: what it does to rights, how long, solo mode, a denial."""
    warnings: tuple[str, ...]
    """What in its texts could mislead: characters without a look, or with somebody else's."""
