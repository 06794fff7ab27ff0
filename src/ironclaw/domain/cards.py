"""Cards: how a change is shown, from all of its fields and nothing else. Pure.

    render(change, told) -> Card
        every field of the change   a place on the card, or a refusal: nothing is left out
        before -> after             a diff with everything that differs in it
        what the host knows         notices, in the host's words
        foreign texts               `visible`: escapes for what would mislead, and warnings

A card is text in lines. No line of it has a line break or any other character without a look, and
lines in foreign words are marked as such, so that no text can pass for another part of its card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.ids import ChangeId
from ironclaw.domain.card_text import compared, explained, flat, items, moment, plain, span
from ironclaw.domain.change import (
    CARD_VERSION,
    MAX_CHANGE_BYTES,
    canonical,
    hash_of,
    state_version,
)
from ironclaw.domain.changes.base import Bearing
from ironclaw.domain.changes.table import SPECS
from ironclaw.domain.characters import Findings, danger
from ironclaw.domain.summaries import summary
from ironclaw.domain.taint import in_words
from ironclaw.domain.visible import name, prose, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ironclaw.domain.card_text import Plain
    from ironclaw.domain.change import Change
    from ironclaw.domain.changes.base import State

MAX_LINES: Final = 1000
"""Of a whole card. More than anybody reads is refused, never cut."""
MAX_CHARS: Final = 128 * 1024
"""Of all its texts together, as they are shown."""

_PLACES: Final = frozenset(
    {"version", "id", "asker", "created_ms", "expires_ms", "grant_s", "despite"}
)
"""Fields of a change, beside its spec and its reason: all of them are in its exact line."""
_UNSET: Final = "not set"
_NOTHING: Final[tuple[str | list[str] | None, ...]] = (None, "", [])
"""Values of a state that say that there is nothing."""
_PROSE: Final = frozenset({"persona", "prompt", "pattern", "instructions"})
"""Fields of specs that are texts in somebody's words; all others are exact names."""
_PROSE_LABELS: Final = _PROSE | {
    spec.labels[key] for spec in SPECS.values() for key in _PROSE & spec.labels.keys()
}
"""What a state may call them: also that of a spec which only takes them away."""
_TAINTED: Final = (
    "The agent had foreign content before it when it asked, as is said above: no rule of the "
    "policy approves it, only a person."
)
_BEARINGS: Final = {
    Bearing.WIDENS: "It widens what may be done: somebody can do more afterwards than before.",
    Bearing.NARROWS: "It only takes away: nobody can do anything afterwards that they cannot now.",
    Bearing.ALTERS: "It alters what is there; it neither only gives rights nor only takes them.",
}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a card."""

    label: str
    """What it is of: a field, with the place inside it (`policy.approvers[0].roles[1]`)."""
    text: str
    """One line; nothing in it is invisible or has another's look: that is written as `\\u202e`."""
    sign: Literal["", "-", "+"] = ""
    """In the diff: `-` is taken away, `+` is new."""
    foreign: bool = False
    """Whether `text` is a row of a longer foreign text, as it is; else it is in the host's words,
    or a foreign string in quotes."""


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
    """All of it in one line: `domain.summaries.summary`."""
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
    """Whether there is a way back: `Spec.has_way_back`."""
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
    not_yet: str = ""
    """Why it cannot be approved as things are, and what would help; names may be in it."""


def render(change: Change, told: Told) -> Card:
    """Show a change, all of it.

    Raises:
        UserError: `INVALID`: it has something that this form of card has no place for.
            `TOO_LARGE`: no person would read it.
    """
    try:
        size = len(canonical(change))
        change_hash, state = hash_of(change), state_version(told.before)
    except UnicodeEncodeError:
        raise _unshowable("A text with half of a character in it") from None
    if size > MAX_CHANGE_BYTES:
        raise _too_large(f"{size} bytes")
    found = _Found()
    card = Card(
        version=CARD_VERSION,
        change=change.id,
        hash=change_hash,
        state=state,
        title=summary(change.spec, agent=told.agent_name, before=told.before),
        asker=_asker(change, told),
        reason=tuple(prose(change.reason, found.of("reason"))) if change.reason else (),
        about=tuple(_about(change, told, found)),
        fields=tuple(_fields(change, found)),
        diff=tuple(_diff(change, told, found)),
        notices=tuple(_notices(change, told)),
        warnings=(),
    )
    card = msgspec.structs.replace(card, warnings=found.warnings())
    _check(card)
    return card


class _Found:
    """What was found in the texts: of each field, and of the state as it is and as it will be."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Findings] = {}

    def of(self, label: str, side: Literal["", ", as it is now", ", afterwards"] = "") -> Findings:
        return self._found.setdefault((label, side), Findings())

    def warnings(self) -> tuple[str, ...]:
        """Each thing once: what is asked for is mostly what will be."""
        said: dict[str, None] = {}
        for (label, side), one in self._found.items():
            if side != ", afterwards" or not said.keys() >= set(one.warnings(label)):
                said |= dict.fromkeys(one.warnings(label + side))
        return tuple(said)


def _builtins(value: msgspec.Struct) -> dict[str, Plain]:
    """All fields of a struct, as its canonical form has them."""
    plain_fields: dict[str, Plain] = msgspec.to_builtins(value)
    return plain_fields


def _about(change: Change, told: Told, found: _Found) -> Iterator[Line]:
    exact = []
    for key, value in _builtins(change).items():
        if key in {"spec", "reason"}:
            continue
        if key not in _PLACES:
            raise _unshowable(f"The field {key!a} of a change")
        exact += [
            f"{place} {plain('', one, found.of(key))}"
            for place, one in flat(key, value)
            if one is not None
        ]
    yield Line(label="asked at", text=moment(change.created_ms))
    yield Line(label="expires if nobody has decided by", text=moment(change.expires_ms))
    if change.asker.tainted:
        yield Line(label="foreign content before its agent", text=in_words(change.asker.tainted))
    if change.grant_s is not None:
        yield Line(label="lasts from when it is applied", text=span(change.grant_s))
    if change.despite is not None:
        shown = quoted(change.despite, found.of("despite"))
        yield Line(label="asked in spite of the denial", text=shown)
    if told.agent_name:
        yield from _lines("name of its agent now", "agent_name", told.agent_name, found)
    yield Line(label="exactly", text=", ".join(exact))


def _fields(change: Change, found: _Found) -> Iterator[Line]:
    kind = str(type(change.spec).__struct_config__.tag)
    yield Line(label="kind", text=kind)
    labels = change.spec.labels
    unset = []
    defaults = {one.encode_name: one.default for one in msgspec.structs.fields(change.spec)}
    for key, value in _builtins(change.spec).items():
        if key == "kind":
            continue
        if key not in labels:
            raise _unshowable(f"The field {key!a} of {kind}")
        # Only what was left out: an empty list in place of "as it is" is something asked for.
        if _is_left_out(value, defaults[key]):
            unset.append(labels[key])
            continue
        yield from _lines(labels[key], key, value, found)
    if unset:
        yield Line(label=_UNSET, text="; ".join(unset))


def _is_left_out(value: Plain, default: object) -> bool:
    """Whether a value says nothing: it is empty, and what the field has when nobody sets it."""
    if isinstance(value, list | tuple):
        return not value and default == ()
    return (value is None or value == "") and value == default


def _lines(label: str, key: str, value: Plain, found: _Found) -> Iterator[Line]:
    findings = found.of(label)
    if key in _PROSE:
        for item in items(value, findings, key=key, is_prose=True):
            yield Line(label=label, text=item.text, foreign=item.foreign)
        return
    for place, one in flat(label, value):
        # The last name on the way is what has a unit: `policy.pending_s`.
        unit = key if place == label else place.rpartition(".")[2]
        text = explained(key if place.startswith(f"{label}[") else unit, one, findings)
        yield Line(label=name(place, findings), text=text)


def _diff(change: Change, told: Told, found: _Found) -> Iterator[Line]:
    keys = {label: key for key, label in change.spec.labels.items()}
    for label in dict.fromkeys((*told.before, *told.after)):
        key, is_prose = keys.get(label, label), label in _PROSE_LABELS
        shown = name(label, found.of("names of what it is about"))
        now, then = found.of(shown, ", as it is now"), found.of(shown, ", afterwards")
        before = items(told.before.get(label), now, key=key, is_prose=is_prose)
        after = items(told.after.get(label), then, key=key, is_prose=is_prose)
        # Nothing, beside something, needs no line of its own.
        if before != after and told.before.get(label) in _NOTHING:
            before = []
        elif before != after and told.after.get(label) in _NOTHING:
            after = []
        if len(before) + len(after) > 2 * MAX_LINES:
            raise _too_large(f"{len(before) + len(after)} lines to compare")
        for is_new, number, item in compared(before, after):
            what = f", {item.what} {number}" if item.what else ""
            yield Line(
                label=shown + what,
                text=item.text,
                sign="+" if is_new else "-",
                foreign=item.foreign,
            )


def _asker(change: Change, told: Told) -> str:
    """Who asks. Their own names are quoted; what is odd in these is warned of in `about`."""
    asker, unread = change.asker, Findings()
    if asker.agent is None:
        who = quoted(asker.principal, unread)
    else:
        named = f"{quoted(told.asker_name, unread)} " if told.asker_name else ""
        who = f"the agent {named}({quoted(asker.agent, unread)})"
    if asker.session is None:
        return who
    return f"{who}, in the conversation {quoted(asker.session, unread)}"


def _notices(change: Change, told: Told) -> Iterator[str]:
    if told.not_yet:
        yield f"It cannot be approved as things are. {name(told.not_yet, Findings())}"
    if told.before != told.after:
        yield _BEARINGS[told.bearing]
    yield from change.spec.notices()
    yield from _how_long(change, told)
    yield from _who_asks(change)
    if change.reason:
        yield "The reason is in the asker's own words; nobody has checked them."
    else:
        yield "No reason is given."
    if told.solo:
        yield "Solo mode is on: whoever asked for it may approve it alone."
    if told.only_owner:
        yield "Whoever asked for it is the only owner there is, and may approve it alone."
    if told.people > 1:
        yield f"It needs the approval of {told.people} different people."
    if change.despite is not None:
        denied = quoted(change.despite, Findings())
        yield f"The same was denied before ({denied}); the asker knows that, and asks again."
    # What is so for a time only would be so for longer.
    if told.before == told.after and not told.not_yet:
        yield "Nothing would be different afterwards from what is there now."


def _who_asks(change: Change) -> Iterator[str]:
    if change.asker.is_agent:
        yield "An agent asks for it; something that the agent has read may have made it do so."
    if change.asker.tainted:
        yield _TAINTED
    if change.asker.is_at_the_door(change.spec):
        yield "The asker wrote to the agent in a chat whose unknown senders are asked about."
    if change.asker.is_house(change.spec):
        yield "The house asks for it by itself: the budget is used up, and the agent is paused."


def _how_long(change: Change, told: Told) -> Iterator[str]:
    if not told.revocable:
        yield "There is no way back: nothing can undo it."
    if change.grant_s is None:
        yield "It has no time limit."
    elif told.revocable:
        yield f"It is taken back by itself {span(change.grant_s)} after it is applied."
    else:
        yield f"It asks for {span(change.grant_s)}, but cannot be taken back by itself."


def _check(card: Card) -> None:
    """Refuse what nobody reads, and anything that slipped through."""
    lines = (*card.about, *card.fields, *card.diff)
    texts = [card.change, card.title, card.asker, *card.reason, *card.notices, *card.warnings]
    texts += [text for line in lines for text in (line.label, line.text)]
    count = len(lines) + len(card.reason) + len(card.notices) + len(card.warnings)
    if count > MAX_LINES:
        raise _too_large(f"{count} lines, and a card has at most {MAX_LINES}")
    chars = sum(map(len, texts))
    if chars > MAX_CHARS:
        raise _too_large(f"{chars} characters, and a card has at most {MAX_CHARS}")
    if any(danger(character) for text in texts for character in set(text)):
        raise _unshowable("A character without a look")


def _unshowable(what: str) -> UserError:
    return UserError(
        Code.INVALID,
        f"{what} cannot be shown to whoever decides.",
        hint="Nothing is approved that is not shown completely. Ask for it without that.",
    )


def _too_large(how: str) -> UserError:
    return UserError(
        Code.TOO_LARGE,
        f"The change is too long for anybody to read: {how}.",
        hint="Split it into several changes.",
    )
