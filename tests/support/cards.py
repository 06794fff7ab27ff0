"""Cards as their readers have them, and the careless way to make one, for the twins of tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ironclaw.domain.cards import Card, Line
from ironclaw.domain.change import CARD_VERSION

if TYPE_CHECKING:
    from ironclaw.domain.cards import Told
    from ironclaw.domain.change import Change


def texts_of(card: Card) -> list[str]:
    """Everything on a card that a person reads; the hashes are for machines."""
    lines = (*card.about, *card.fields, *card.diff)
    return [
        card.title,
        card.asker,
        *card.reason,
        *card.notices,
        *card.warnings,
        *(f"{line.sign}{'|' if line.foreign else ''}{line.label}: {line.text}" for line in lines),
    ]


def naive(change: Change, told: Told) -> Card:
    """A card of the fields as they are: what the real one must be better than."""
    return Card(
        version=CARD_VERSION,
        change=change.id,
        hash="",
        state="",
        title=change.spec.title,
        asker=change.asker.principal,
        reason=(change.reason,),
        about=(),
        fields=tuple(
            Line(label=key, text=str(value).replace('"', "'"))
            for key, value in msgspec.structs.asdict(change.spec).items()
        ),
        diff=tuple(
            Line(label=key, text=str(value)[:80], sign="+") for key, value in told.after.items()
        ),
        notices=(),
        warnings=(),
    )
