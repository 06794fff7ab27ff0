"""Cards: how a change is shown, from all of its fields and nothing else. Pure.

    render(change, told) -> Card
        every field of the change   a place on the card, or a refusal: nothing is left out
        before -> after             a diff with everything that differs in it
        what the host knows         notices, in the host's words
        foreign texts               `visible`: escapes for what would mislead, and a warning for each

A card is text in lines. No line of it has a line break or any other character without a look, and
lines in foreign words are marked as such, so that no text can pass for another part of its card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from ironclaw.core.ids import ChangeId

if TYPE_CHECKING:
    from ironclaw.domain.change import Change
    from ironclaw.domain.changes.base import Bearing, State

MAX_LINES: Final = 1000
"""Of a whole card. More than anybody reads is refused, never cut."""
MAX_CHARS: Final = 128 * 1024
"""Of all its texts together, as they are shown."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a card."""

    label: str
    """What it is of: a field, with the place inside it (`policy.approvers[0].roles[1]`)."""
    text: str
    """One line; nothing in it is invisible or has another's look: that is written as `\\u202e`."""
    sign: Literal["", "-", "+"] = ""
    """In the diff: `-` is taken away, `+` is new."""
    foreign: bool = False
    """Whether `text` is a row of a longer foreign text, as it is; else it is in the host's words, or
    a foreign string in quotes."""


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
    """Who asks, and through which conversation, in the host's words."""
    reason: tuple[str, ...]
    """The asker's own words, row by row; shown as theirs."""
    about: tuple[Line, ...]
    """What the change says beside its spec: when, how long, in spite of what."""
    fields: tuple[Line, ...]
    """Every field of the spec."""
    diff: tuple[Line, ...]
    """Everything of the state that would be another afterwards."""
    notices: tuple[str, ...]
    """What the host has to say of it: what it does to rights, how long, solo mode, a denial."""
    warnings: tuple[str, ...]
    """What in its texts could mislead: characters without a look, or with somebody else's."""


class Told(NamedTuple):
    """What the host knows of a change beside it."""

    before: State
    after: State
    bearing: Bearing
    revocable: bool
    """Whether there is a way back: `spec.inverse(live) is not None`."""
    agent_name: str = ""
    """Of the agent that it is about."""
    asker_name: str = ""
    """Of the agent that asks."""
    solo: bool = False
    """Whether its asker may decide on it under solo mode."""
    only_owner: bool = False
    """Whether its asker may decide on it because there is no other owner."""
    people: int = 1
    """How many different persons must say yes."""


def render(change: Change, told: Told) -> Card:
    """Show a change, all of it.

    Raises:
        UserError: `INVALID`: it has something that this form of card has no place for.
            `TOO_LARGE`: no person would read it.
    """
    raise NotImplementedError
