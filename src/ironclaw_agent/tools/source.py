"""Where a note comes from, and whether more than the agent's people had a hand in it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ironclaw_contract.clean_tools import CLEAN
from ironclaw_contract.entries import Called, Returned, Said

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ironclaw_contract.entries import Entry


class Source(NamedTuple):
    """Where a note comes from."""

    session: str
    sender: str
    """Whose message began the turn."""
    tainted: bool


def source_of(session: str, turn: str, heard: Sequence[Entry]) -> Source:
    """The source of what is written now.

    Args:
        session: Whose box this is.
        turn: Id of the message that began the turn.
        heard: The turn so far, without the answer whose calls are run now.
    """
    senders = [entry.sender for entry in heard if isinstance(entry, Said) and entry.message == turn]
    return Source(session, senders[-1] if senders else "", is_tainted(heard))


def is_tainted(entries: Iterable[Entry]) -> bool:
    """Whether a turn has what is foreign to the agent's people.

    That is a message which the host says is, or has such before it, and the result of any tool that
    is not in `CLEAN`. A result of a call that nobody knows counts as well. Calls that have no
    result yet do not: what is said beside them was said before they were run.

    Args:
        entries: The turn so far, in order.
    """
    names: dict[str, set[str]] = {}
    for entry in entries:
        if isinstance(entry, Said) and entry.foreign:
            return True
        if isinstance(entry, Called):
            # A model may use one id for several calls.
            names.setdefault(entry.call, set()).add(entry.name)
        elif isinstance(entry, Returned):
            called = names.get(entry.call)
            if called is None or not called <= CLEAN:
                return True
    return False
