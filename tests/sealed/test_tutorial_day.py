"""The tutorial about a day, typed line by line, in its order."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from tests.support.house import wait_for
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.house import House, Houses, Said

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]

PAGE: Final = ROOT / "docs/tutorial/a-day-with-an-agent.md"
OVER_BUDGET: Final = "eight times nine"
"""In the one line that is refused."""


class Typed(NamedTuple):
    """One line of the page."""

    section: str
    words: tuple[str, ...]
    """Behind `./run ironclaw`."""
    behind: bool
    """Others are typed while it runs."""


def lines() -> Iterator[Typed]:
    """What the page has people type."""
    section = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").partition(".")[0]
        # A person waits a moment for a turn to begin; the test waits for the turn.
        if line.startswith("$ ") and not line.startswith("$ sleep "):
            program, ironclaw, *words = shlex.split(line.removeprefix("$ "))
            assert (program, ironclaw) == ("./run", "ironclaw"), line
            behind = words[-1] == "&"
            # The house is not below the checkout.
            words = [str(ROOT / word) if word == "README.md" else word for word in words]
            yield Typed(section, tuple(words[:-1] if behind else words), behind)


@pytest.fixture
def house(houses_of: Houses) -> Iterator[House]:
    """A house that nobody has been in yet."""
    with houses_of.closed() as found:
        try:
            yield found
        finally:
            found.cli("down")


def test_the_day_goes_as_the_page_says(house: House) -> None:
    heard: dict[str, list[Said]] = {}
    waiting: list[subprocess.Popen[str]] = []
    for typed in lines():
        if typed.behind:
            waiting.append(
                subprocess.Popen(
                    house.argv(*typed.words), stdout=subprocess.PIPE, text=True, cwd="/"
                )
            )
            wait_for(lambda: "busy" in house.cli("session", "list").out, "the turn to begin")
            continue
        if typed.words == ("usage",):
            approve_what_is_named(house, heard["8"][2])
        said = house.cli(*typed.words)
        assert (said.status == 0) is (OVER_BUDGET not in typed.words[-1]), (typed, said)
        heard.setdefault(typed.section, []).append(said)
    for process in waiting:
        out, _ = process.communicate(timeout=20)
        assert "Stopped." in out

    assert 'heard "Good morning!' in heard["1"][-1].out
    assert "Ann is fond of herons." in heard["2"][1].out
    assert "I am Ann" in heard["2"][-1].out
    assert "-README.md" in heard["3"][0].out
    assert re.search(r"report\.txt.*fil_\w+|fil_\w+.*report\.txt", heard["3"][-1].out)
    asked, listed, answered = heard["4"]
    assert "2. the blue one" in asked.out
    assert "Which boat?" in listed.out
    assert "the blue one" in answered.out
    assert "Europe/Oslo" in heard["5"][1].out
    assert heard["6"][-1].out.count("ses_") >= 2
    stopped, status = heard["7"]
    assert "The agent has stopped." in stopped.out
    assert "Agent: heron" in status.out
    _, _, refused, changes, usage, _ = heard["8"]
    assert "calls of today (UTC): 2 of 2" in refused.err
    assert "pending" in changes.out
    assert "clerk" in usage.out


def approve_what_is_named(house: House, refused: Said) -> None:
    """The one command, and on it goes."""
    command = re.search(r"`ironclaw (approve chg_\w+)`", refused.err)
    assert command is not None, refused
    assert house.cli(*command[1].split(), "--yes").status == 0
    assert "eight times nine" in house.cli("chat", "clerk", "So: eight times nine?").out
