"""Questions that agents ask people: what is an answer, and how a question reads as text. Pure."""

from __future__ import annotations

import enum
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.core.codes import Code
from ironclaw.core.errors import UserError
from ironclaw.core.sanitize import sanitize
from ironclaw_contract.entries import Called, Returned

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ironclaw.core.ids import AgentId, ChatId, MessageId, QuestionId, SessionId
    from ironclaw_contract.entries import Entry
    from ironclaw_contract.records import Ask

TOOL: Final = "ask_user"
MAX_ANSWER_CHARS: Final = 8000
"""Characters of an answer in words of one's own; what is longer is a message, and no answer."""
MAX_OPTION_CHARS: Final = 80
"""Characters of an option, as the contract has it."""
_BREAKS: Final = frozenset({"Cc", "Zl", "Zp", "Zs"})
_TURNS: Final = frozenset(
    "\u061c\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""What changes the order in which letters are shown, or shows nothing."""

EXPIRED: Final = "nobody answered in time"
SOMETHING_ELSE: Final = (
    "they wrote something else instead of answering: it comes as their next message"
)
NEW_CONVERSATION: Final = (
    "they began a new conversation instead of answering: come to an end with a word or two"
)
NOT_ALLOWED: Final = "this agent may not ask people now: go on without an answer"


class QuestionStatus(enum.StrEnum):
    """Where a question is. Only one that is open can be answered."""

    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Closed(enum.StrEnum):
    """Why a question was closed without anybody having answered it; words of the audit."""

    SOMETHING_ELSE = "something_else"
    NEW_CONVERSATION = "new_conversation"
    NOT_ALLOWED = "not_allowed"


WORDS: Final = {
    Closed.SOMETHING_ELSE: SOMETHING_ELSE,
    Closed.NEW_CONVERSATION: NEW_CONVERSATION,
    Closed.NOT_ALLOWED: NOT_ALLOWED,
}
"""What the agent is told of it."""


class Choice(NamedTuple):
    """What people may answer."""

    id: QuestionId
    options: tuple[str, ...]
    free_text: bool
    """Whether words of their own are an answer too."""


class Question(NamedTuple):
    """A question to people."""

    choice: Choice
    agent: AgentId
    agent_name: str
    session: SessionId
    turn: MessageId
    """The message that its turn began with."""
    chat: ChatId
    thread: str | None
    text: str
    status: QuestionStatus
    asked_ms: int
    expires_ms: int

    @property
    def id(self) -> QuestionId:
        """Its id."""
        return self.choice.id


def no_question() -> UserError:
    """There is none of that id; the same words for one that is not there to see."""
    return UserError(
        Code.NOT_FOUND, "There is no such question.", hint="`ironclaw question list` shows them."
    )


def misfit(ask: Ask, entries: Collection[Entry]) -> str:
    """Why a box's question cannot be one; empty when it can.

    Args:
        ask: Of the contract; a box's word.
        entries: Of the record that it is in.
    """
    names = [one.name for one in entries if isinstance(one, Called) and one.call == ask.call]
    if names != [TOOL]:
        return "is no call of the tool in its record"
    if any(isinstance(one, Returned) and one.call == ask.call for one in entries):
        return "has an answer before anybody was asked"
    options = [" ".join(option.split()).casefold() for option in ask.options]
    if "\0" in ask.question or any("\0" in option for option in options):
        return "has a NUL character"
    if not ask.question.strip() or not all(options) or len(set(options)) != len(options):
        return "has a text or an option that nobody can tell"
    return "" if options or ask.free_text else "cannot be answered"


def shown_options(options: Sequence[str]) -> tuple[str, ...]:
    """Options as people see and name them: one line each, and in the order in which they are read.

    Trust:
        A box's words. A line break in one would show two; marks of direction would show another.
    """
    clean = tuple(" ".join(_plain(option).split()) for option in options)
    if all(clean) and len({option.casefold() for option in clean}) == len(clean):
        return clean
    # Told apart by nothing else: then by what they hide.
    return tuple(sanitize(option) for option in options)


def _plain(text: str) -> str:
    return "".join(
        " " if unicodedata.category(letter) in _BREAKS else letter
        for letter in text
        if letter not in _TURNS
    )


def option_of(text: str, options: Sequence[str]) -> str | None:
    """The option that a text names: by its words, whatever their case, or by its number.

    Trust:
        `text` is foreign.
    """
    if len(text) > 4 * MAX_OPTION_CHARS:
        return None
    words = " ".join(text.split())
    for option in options:
        if option.casefold() == words.casefold():
            return option
    number = words.rstrip(".)")
    if number.isascii() and number.isdigit() and len(number) <= 2:  # noqa: PLR2004 - ten at most
        place = int(number)
        return options[place - 1] if 1 <= place <= len(options) else None
    return None


def answer_of(text: str, choice: Choice) -> str | None:
    """What a text answers; None: it is no answer.

    Trust:
        `text` is foreign.
    """
    option = option_of(text, choice.options)
    if option is not None:
        return option
    words = text.strip()
    fits = 0 < len(words) <= MAX_ANSWER_CHARS and "\0" not in words
    return words if choice.free_text and fits else None


def told(answer: str, sender: str) -> str:
    """An answer as the agent reads it: the words alone in the first place, then whose they are.

    Trust:
        Both are foreign: the last line is the host's, so no name may begin another.
    """
    name = "".join(letter for letter in sender if letter.isprintable())
    return f"{answer}\n(answered by {name})"


def as_text(text: str, options: Sequence[str], *, free_text: bool) -> str:
    """A question for people who see no buttons: each option with its number, and how to answer."""
    if not options:
        return text
    lines = [f"{number}. {option}" for number, option in enumerate(options, start=1)]
    hint = "Answer with a number or the words of an option"
    hint += ", or in words of your own." if free_text else "."
    return "\n".join([text, "", *lines, "", hint])
