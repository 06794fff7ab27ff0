"""Commands: only what is nothing but a command is one, and the answers say what happened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ironclaw.core.ids import AgentId, ChangeId, SessionId
from ironclaw.domain.commands import (
    COMMANDS,
    MAX_CHARS,
    Command,
    Outcome,
    Status,
    Word,
    help_words,
    model_words,
    new_words,
    parse,
    status_words,
    stop_words,
)
from ironclaw.domain.model import Agent
from ironclaw.domain.spending import Budget, Of, Per, Spent

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE: Final = Path(__file__).parents[3] / "docs/reference/commands.md"
AGENT = Agent(id=AgentId("agt_1"), name="helper", model="scripted")


@pytest.mark.parametrize("word", Word)
@pytest.mark.parametrize(
    "write", [str, str.upper, str.title, "{}@Some_Bot".format, "{} ".format, "{}\n".format]
)
def test_a_word_alone_is_a_command(word: Word, write: Callable[[str], str]):
    assert parse(f"/{write(word)}", mentioned=True) == Command(word)


def test_a_command_may_have_the_argument_that_it_takes():
    wanted = Command(Word.MODEL, "openai:gpt-9")
    assert parse("/model openai:gpt-9", mentioned=False) == wanted
    assert parse("/Model@bot   openai:gpt-9 ", mentioned=True) == wanted


def test_a_command_that_names_a_bot_is_ours_only_when_it_was_said_to_us():
    assert parse("/stop@other", mentioned=False) is None
    assert parse("/stop", mentioned=False) == Command(Word.STOP)


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "stop", "//stop", " /stop", "/stop now", "/stop/", "/stop.", "\n/stop", "/stop\0",
        "/start", "/stopp", "/sto", "/model a b", "/model a\nb", "/model\nx", "/new\tx", "/ stop",
        "/stop@", "/stop@a b", "/stop@a-b", "/\u017ftop", "/\ufb06op", "/STATU\uff33",
        "/model " + "x" * 257, "please /stop", "/stop\n/new", "/quit", "!stop", "/model \u202ex",
        "/modelx", "/stop\u200b",
    ],
)  # fmt: skip
def test_what_is_not_just_a_command_is_for_the_agent(text: str):
    assert parse(text, mentioned=True) is None


def _is_command(text: str) -> bool:
    """The rule in other words: the known word, then a bot's name, then one argument, then space."""
    if not text.startswith("/"):
        return False
    head, *rest = text.rstrip()[1:].split(" ")
    name, _, bot = head.partition("@")
    rest = [piece for piece in rest if piece]
    known = {word.value: row for word, row in COMMANDS.items()}
    row = known.get(name.lower()) if name.isascii() else None
    if row is None or (("@" in head) and not bot):
        return False
    return len(rest) <= (1 if row.argument else 0)


_WORDS = st.sampled_from(
    ["/", "@", " ", "\n", "stop", "NEW", "model", "Help", "x", "a:b", "\u212a"]
)


@given(st.one_of(st.text(), st.lists(_WORDS, max_size=7).map("".join)), st.booleans())
@example("/stop" + " " * MAX_CHARS, True)
@example("/help" + "\n" * MAX_CHARS, True)
def test_no_text_is_taken_for_a_command_by_mistake(text: str, mentioned: bool):
    command = parse(text, mentioned=mentioned)
    if command is not None:
        assert _is_command(text)
        assert text.isascii() or text.rstrip().isascii()
        assert len(text) <= MAX_CHARS
        assert command.argument in text
        assert mentioned or "@" not in text.split(maxsplit=1)[0]


def test_the_help_and_the_page_name_every_command():
    said = help_words(AGENT)
    page = PAGE.read_text()
    assert set(COMMANDS) == set(Word)
    for word, row in COMMANDS.items():
        assert f"/{word}" in said
        assert row.meaning in said
        assert f"| `/{word}` | {row.meaning} |" in page


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(), "Nothing is running."),
        (Outcome(stopped=True), "The agent has stopped."),
        (
            Outcome(stopped=True, waiting=1),
            "The agent has stopped. The message that waited is answered next.",
        ),
        (
            Outcome(stopped=True, waiting=3),
            "The agent has stopped. Messages that waited are answered next.",
        ),
    ],
)
def test_a_stop_says_what_becomes_of_what_waited(outcome: Outcome, said: str):
    assert stop_words(outcome) == said


def test_a_new_conversation_says_what_becomes_of_the_old_one():
    assert new_words(Outcome()) == "This conversation is new already."
    assert "still answered" not in new_words(Outcome(begun=True))
    assert new_words(Outcome(begun=True, waiting=2)).endswith("is still answered.")


def test_a_status_is_short_and_tells_a_budget_only_where_there_is_one():
    status = Status(AGENT, SessionId("ses_1"), "busy", 0, [], [], [])
    assert status_words(status) == (
        "Agent: helper, model scripted\nConversation: ses_1, box busy, nothing waits"
    )
    budgets = [
        Spent(Budget(Of.CALLS, Per.DAY, 4), 4),
        Spent(Budget(Of.MONEY, Per.SESSION, 2_500_000), 1_000_000),
    ]
    changes = [ChangeId(f"chg_{n}") for n in range(7)]
    said = status_words(
        Status(AGENT, SessionId("ses_1"), "none", 2, budgets, changes, ["report"], currency="EUR")
    )
    assert said.splitlines()[1:] == [
        "Conversation: ses_1, box none, 2 waiting",
        "Used of its model calls of today (UTC): 4 of 4",
        "Used of its money for its model of this conversation: 1.00 EUR of 2.50 EUR",
        "Changes that wait: chg_0, chg_1, chg_2, chg_3, chg_4 and 2 more",
        "Tasks: report",
    ]


def test_a_status_says_that_people_are_waited_for():
    for asks, words in ((1, "an answer to its question"), (3, "3 answers")):
        said = status_words(Status(AGENT, SessionId("ses_1"), "none", 1, [], [], [], asks=asks))
        assert said.splitlines()[2].startswith(f"It waits for {words}: write it here")


def test_the_model_is_told_with_how_to_ask_for_another():
    assert model_words(AGENT) == (
        "helper answers with the model scripted. Ask for another: /model NAME"
    )
