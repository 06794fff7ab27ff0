"""Questions to people: which of an answer's tool calls ask something, and what they ask.

No I/O. A call of `ask_user` is not run: it is published with its step, and the turn waits until the
host tells what came of it. A question that cannot be asked is answered to the model at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from ironclaw_agent.tools.specs import ASK
from ironclaw_contract.entries import Called, Returned
from ironclaw_contract.limits import MAX_ID_CHARS
from ironclaw_contract.records import Ask

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ironclaw_contract.entries import Entry

ASK_USER: Final = ASK.name
MAX_ASKS: Final = 4
"""Questions of one answer of the model."""
_MAX_OPTION: Final = 80


class AskUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `ask_user`."""

    question: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    options: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=_MAX_OPTION)], ...],
        msgspec.Meta(max_length=10),
    ] = ()
    free_text: bool = True
    wait_s: Annotated[int, msgspec.Meta(ge=60, le=7 * 86_400)] = 86_400


class Split(NamedTuple):
    """The calls of one answer of the model."""

    run: tuple[Called, ...]
    """Those to run."""
    asks: tuple[Ask, ...]
    """Questions to publish."""
    refused: tuple[Returned, ...]
    """What the model is told of questions that cannot be asked."""


def split(calls: Iterable[Called], *, may_ask: bool) -> Split:
    """Tell questions from the calls that are to be run.

    Args:
        calls: Of one answer; a model's words.
        may_ask: Whether the agent has the tool; a call of a tool that it has not is run, and so
            refused, as any other.
    """
    run: list[Called] = []
    asks: list[Ask] = []
    refused: list[Returned] = []
    for call in calls:
        if call.name != ASK_USER or not may_ask:
            run.append(call)
        elif len(asks) >= MAX_ASKS:
            words = f"not asked: at most {MAX_ASKS} questions at once. Ask when these are answered"
            refused.append(Returned(call=call.call, text=words, is_error=True))
        else:
            ask = _ask(call)
            if isinstance(ask, Ask):
                asks.append(ask)
            else:
                refused.append(Returned(call=call.call, text=ask, is_error=True))
    return Split(tuple(run), tuple(asks), tuple(refused))


def _ask(call: Called) -> Ask | str:
    """The question of a call, or why it is none."""
    try:
        given = msgspec.json.decode(call.arguments, type=AskUser)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:300]
        words = what.encode("utf-8", "replace").decode()
        return f"these are not the arguments of {ASK_USER}: {words}"
    question = given.question.replace("\0", "").strip()
    options = tuple(" ".join(option.replace("\0", "").split()) for option in given.options)
    if not question:
        return "the question has no text"
    if not all(options):
        return "an option has no text: leave it out"
    if len({option.casefold() for option in options}) != len(options):
        return "two options are the same: people could not tell them apart"
    return Ask(
        call=call.call,
        question=question,
        options=options,
        free_text=given.free_text or not options,
        wait_s=given.wait_s,
    )


def apart(entries: tuple[Entry, ...], before: Sequence[Entry]) -> tuple[Entry, ...]:
    """The entries of an answer, with no call that could be taken for a question, nor the reverse.

    A question is known by the id of its call, in the whole turn; a model may use an id twice.

    Args:
        entries: Of one answer of the model.
        before: The turn up to it.
    """
    former = [entry for entry in before if isinstance(entry, Called)]
    new = [entry for entry in entries if isinstance(entry, Called)]
    if all(call.name != ASK_USER for call in (*former, *new)):
        return entries
    used = {call.call for call in former}
    told: list[Entry] = []
    for entry in entries:
        if isinstance(entry, Called) and entry.call in used:
            entry = Called(  # noqa: PLW2901 - the same call under a name of its own
                call=_free(entry.call, used), name=entry.name, arguments=entry.arguments
            )
        if isinstance(entry, Called):
            used.add(entry.call)
        told.append(entry)
    return tuple(told)


def _free(call: str, used: Collection[str]) -> str:
    number = 2
    while (name := f"{call[: MAX_ID_CHARS - 6]}-{number}") in used:
        number += 1
    return name
