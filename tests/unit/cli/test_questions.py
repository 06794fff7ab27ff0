"""Questions on the command line: shown with numbers, answered by the next line or by their id."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from ironclaw.testing.fake_house import FakeHouse

SHOWN = "Which colour?\n\n1. red\n2. blue\n\nAnswer with a number or the words of an option."


def test_a_question_ends_a_message_and_is_answered_by_its_id(cli: Any, house: FakeHouse):
    house.add_agent("helper")
    status, out, err = cli("chat", "helper", "ask")
    assert (status, SHOWN in out) == (0, True)
    status, out, _ = cli("question", "list", "--json")
    (question,) = json.loads(out)["questions"]
    assert f"ironclaw question answer {question['id']}" in out + err
    status, out, _ = cli("question", "list")
    assert out.startswith(f"{question['id']} helper, until ")
    assert SHOWN in out
    status, out, _ = cli("question", "answer", question["id"], "blue")
    assert (status, "the agent goes on" in out) == (0, True)
    status, _, err = cli("question", "answer", question["id"], "blue")
    assert (status != 0, "answered before" in err) == (True, True)
    status, out, err = cli("question", "list")
    assert "Nobody asks anything." in out + err


def test_a_program_gets_the_question_with_its_options(cli: Any, house: FakeHouse):
    house.add_agent("helper")
    status, out, _ = cli("chat", "helper", "ask", "--json")
    told = json.loads(out)
    assert (status, told["kind"], told["options"]) == (0, "question", ["red", "blue"])
    assert told["question"].startswith("qst_")
    status, out, _ = cli("chat", "helper", "2", "--json")
    assert (json.loads(out)["kind"], json.loads(out)["text"]) == ("reply", "chose: blue")


def test_in_a_conversation_the_next_line_answers(
    cli: Any, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
):
    house.add_agent("helper")
    monkeypatch.setattr("sys.stdin", io.StringIO("ask\nRed\n/quit\n"))
    status, out, _ = cli("chat", "helper")
    assert status == 0
    assert out.index(SHOWN) < out.index("chose: red")
