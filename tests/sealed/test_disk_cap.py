"""A real session whose agent makes more files than it may: a clear word, a code, and it goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

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


def said(house: House, text: str) -> tuple[int, dict[str, str]]:
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
