"""Commands: words in a chat that the host itself answers. Pure.

    parse(text) -> Command -> the host acts -> words_* -> the answer, shown as said by IronClaw

Only a text that is nothing but a command is one; everything else is the agent's, untouched.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from ironclaw.domain.spending import words_of
from ironclaw.domain.taint import NONE, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ironclaw.core.ids import AgentId, ChangeId, ChatId, SessionId
    from ironclaw.domain.model import Agent, Delivery, Event, Message
    from ironclaw.domain.spending import Spent
    from ironclaw.domain.taint import Taints

MAX_CHARS: Final = 400
"""Characters of a command with its argument; what is longer is none."""
SHOWN: Final = 5
"""Changes and tasks that `/status` names, at most, of each."""
STOPPED: Final = "Stopped."
"""What everybody is told who waited for the turn that `/stop` ended."""

_COMMAND: Final = re.compile(
    r"/(?P<word>[A-Za-z]+)(?:@(?P<bot>[A-Za-z0-9_]{1,64}))?(?: +(?P<argument>[!-~]{1,256}))?\s*"
)


class Word(enum.StrEnum):
    """The commands there are."""

    STOP = "stop"
    NEW = "new"
    STATUS = "status"
    HELP = "help"
    MODEL = "model"


class Row(NamedTuple):
    """A command as it is explained."""

    meaning: str
    argument: str = ""
    """What may follow it, one word; empty: nothing may."""


COMMANDS: Final[dict[Word, Row]] = {
    Word.STOP: Row("end what the agent is doing now"),
    Word.NEW: Row("begin a new conversation with the next message"),
    Word.STATUS: Row("show what the agent is doing, and what waits"),
    Word.MODEL: Row("show which model answers, or ask for another one", "NAME"),
    Word.HELP: Row("show this list"),
}


class Command(NamedTuple):
    """A command that somebody gave."""

    word: Word
    argument: str = ""


class Effect(enum.Enum):
    """What a command does to its conversation in the transaction that keeps it."""

    NOTHING = enum.auto()
    STOP = enum.auto()
    """The turn under way ends; its box is dead already."""
    BEGIN = enum.auto()
    """The next message begins a new session."""


class Outcome(NamedTuple):
    """What came of an effect."""

    stopped: bool = False
    """A turn was under way and has ended."""
    waiting: int = 0
    """Messages that wait for an answer still."""
    begun: bool = False
    """There was a conversation to leave."""


class Heard(NamedTuple):
    """A command as it came in."""

    event: Event
    """Checked and clean."""
    agent: AgentId
    chat: ChatId


class Handled(NamedTuple):
    """A command that is kept with its answer."""

    message: Message
    event: int
    """Id of the `ChatEvent` of the command itself."""
    answer: str
    outcome: Outcome
    deliveries: tuple[Delivery, ...]
    """What is to be said now; nothing when it was given before."""
    new: bool
    """False: the same message of the platform was handled before, and did nothing now."""


Words = Callable[[Outcome], str]
"""Makes an answer."""


class Status(NamedTuple):
    """What `/status` tells, of somebody who may know it."""

    agent: Agent
    session: SessionId
    box: str
    """What the box does: `none`, `starting`, `ready`, `busy`, `stopping`."""
    waiting: int
    budgets: Sequence[Spent]
    """How each of the agent's stands."""
    changes: Sequence[ChangeId]
    """Those that are not over, as far as whoever asks may see them."""
    tasks: Sequence[str]
    asks: int = 0
    """Questions that the agent waits for its people to answer."""
    currency: str = ""
    """Of budgets of money."""
    taint: Taints = NONE
    """What foreign content the conversation, or the turn under way, has before it."""


def parse(text: str, *, mentioned: bool) -> Command | None:
    """The command that a text is, or None: then it is for the agent.

    Args:
        text: What was said; foreign.
        mentioned: Whether the channel says that it was said to us. A command with a bot's name
            (`/stop@name`) that was not is another bot's.
    """
    if len(text) > MAX_CHARS or (found := _COMMAND.fullmatch(text)) is None:
        return None
    word = found["word"].lower()
    if word not in COMMANDS or (found["bot"] is not None and not mentioned):
        return None
    command = Command(Word(word), found["argument"] or "")
    if command.argument and not COMMANDS[command.word].argument:
        return None
    return command


def help_words(agent: Agent) -> str:
    """The answer to `/help`."""
    lines = [f"This is {agent.name}, an agent run by IronClaw. Commands:"]
    lines += [
        f"/{word}{row.argument and f' [{row.argument}]'}: {row.meaning}"
        for word, row in COMMANDS.items()
    ]
    lines.append("Everything else goes to the agent.")
    return "\n".join(lines)


def stop_words(outcome: Outcome) -> str:
    """The answer to `/stop`."""
    if not outcome.stopped:
        return "Nothing is running."
    if not outcome.waiting:
        return "The agent has stopped."
    what = "The message that waited is" if outcome.waiting == 1 else "Messages that waited are"
    return f"The agent has stopped. {what} answered next."


def new_words(outcome: Outcome) -> str:
    """The answer to `/new`."""
    if not outcome.begun:
        return "This conversation is new already."
    later = " What waits in the old one is still answered." if outcome.waiting else ""
    return (
        "Your next message begins a new conversation. The old one is kept, and can be read with "
        f"`ironclaw session transcript`.{later}"
    )


def model_words(agent: Agent) -> str:
    """The answer to `/model` alone."""
    return f"{agent.name} answers with the model {agent.model}. Ask for another: /model NAME"


def status_words(status: Status) -> str:
    """The answer to `/status`."""
    agent = status.agent
    waiting = f", {status.waiting} waiting" if status.waiting else ", nothing waits"
    lines = [
        f"Agent: {agent.name}, model {agent.model}",
        f"Conversation: {status.session}, box {status.box}{waiting}",
    ]
    lines += [f"Used of its {words_of(one, status.currency)}" for one in status.budgets]
    if status.asks:
        what = "an answer to its question" if status.asks == 1 else f"{status.asks} answers"
        lines.append(f"It waits for {what}: write it here, or see `ironclaw question list`.")
    if status.taint:
        lines.append(
            f"Foreign content in it: {in_words(status.taint)}. What it asks for needs a person "
            "(/new begins without)."
        )
    lines += _listed("Changes that wait", status.changes)
    lines += _listed("Tasks", status.tasks)
    return "\n".join(lines)


def _listed(title: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = len(names) - SHOWN
    rest = f" and {more} more" if more > 0 else ""
    return [f"{title}: {', '.join(names[:SHOWN])}{rest}"]
