"""A real session whose agent makes more files than it may: a clear word, a code, and it goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.house import wait_for

from ironclaw.core.codes import CODES, Code

if TYPE_CHECKING:
    from tests.support.house import House, Houses

pytestmark = [pytest.mark.sealed, pytest.mark.timeout(180)]

_CAP = 100


def writes(first: int) -> str:
    """A turn that makes more than twice the cap, slowly enough to be looked at."""
    lines = ["!slow 300"]
    for number in range(first, first + 240):
        word = "!tool" if number % 16 == 0 else "!and"
        lines.append(f'{word} write_file {{"path": "f{number}", "text": "x"}}')
    return "\n".join(lines)


def writes_at_once(first: int, count: int) -> str:
    """A turn that makes files and answers before anybody has counted them."""
    calls = [
        f'{"!tool" if n % 16 == 0 else "!and"} write_file {{"path": "f{n}", "text": "x"}}'
        for n in range(first, first + count)
    ]
    return "\n".join(["!say done", *calls])


def said(house: House, text: str) -> tuple[int, dict[str, Any]]:
    """Exit code and object of one `ironclaw chat --json`."""
    done = house.cli("chat", "demo", text, "--json")
    return done.status, json.loads(done.out)


def test_an_agent_over_its_files_is_stopped_with_a_word_and_may_go_on(houses_of: Houses) -> None:
    with houses_of.open(SANDBOX_DISK_FILES=str(_CAP)) as house:
        status, answer = said(house, writes(0))
        assert answer["kind"] == "error", answer
        assert answer["code"] == Code.BOX_OUT_OF_DISK
        assert status == CODES[Code.BOX_OUT_OF_DISK].exit_code
        assert "more disk than it may" in answer["text"]
        assert "sandbox.disk_files" in answer["text"]
        # It may start over-full and talk, but not add to it.
        status, answer = said(house, "still there?")
        assert (status, answer["kind"]) == (0, "reply"), answer
        status, answer = said(house, writes(1024))
        assert answer["code"] == Code.BOX_OUT_OF_DISK, answer
        with house.api() as api:
            failed = api.say("demo", writes(2048))
        assert (failed["status"], failed["code"]) == ("failed", Code.BOX_OUT_OF_DISK)


def test_a_box_over_its_files_after_its_reply_is_not_ended_without_a_word(
    houses_of: Houses,
) -> None:
    """Whether the guard is quicker than the reply or not, the person is told exactly once."""
    with houses_of.open(SANDBOX_DISK_FILES=str(_CAP)) as house:
        assert said(house, writes_at_once(0, 80))[1]["kind"] == "reply"
        first = said(house, writes_at_once(80, 48))[1]

        def error() -> dict[str, Any] | None:
            shown: dict[str, Any] = house.cli("session", "show", first["session"], "--json").told
            found: dict[str, Any] | None = shown["last_error"]
            return found

        wait_for(lambda: error() is not None, "the session keeps the word")
        kept = error()
        assert kept is not None
        assert kept["code"] == Code.BOX_OUT_OF_DISK
        second, third = said(house, "still there?")[1], said(house, "and now?")[1]
        told = [first] if first["kind"] == "error" else second["notices"]
        assert [one["text"] for one in told] == [kept["text"]]
        assert "more disk than it may" in kept["text"]
        assert (second["kind"], third["kind"], third["notices"]) == ("reply", "reply", [])
