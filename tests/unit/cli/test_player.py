"""What is shown of a turn: words as they are made, what is done meanwhile, the reply once."""

from __future__ import annotations

import pytest

from ironclaw.cli import player, render
from ironclaw.cli.talk import Spoken


def spoken(kind: str, text: str = "") -> Spoken:
    return Spoken(kind, text, "cht_1", "ses_1", "msg_1")


def play(*kinds: tuple[str, str], is_shown: bool = True) -> player.Player:
    made = player.Player(is_shown=is_shown)
    assert made.play(spoken(*one) for one in kinds).kind == "reply"
    return made


def test_words_of_an_earlier_step_are_not_taken_for_the_reply(capsys: pytest.CaptureFixture[str]):
    play(
        ("progress", "Let me see."), ("doing", "uses clock"), ("progress", "No"), ("reply", "Noon")
    )
    out, err = capsys.readouterr()
    assert out == "Let me see.\nNo" + "on\n"
    assert err == "  uses clock\n"


def test_a_thought_is_one_line_however_long(capsys: pytest.CaptureFixture[str]):
    made = play(("thinking", "hm"), ("thinking", "\x1b[2J"), ("doing", "uses a"), ("reply", "x"))
    assert made.doing == ["thinks", "uses a"]
    assert capsys.readouterr().err == "  thinks\n  uses a\n"


def test_what_is_said_meanwhile_is_shown_and_kept_apart(capsys: pytest.CaptureFixture[str]):
    made = play(("progress", "Hm."), ("said", "I am still at it."), ("said", ""), ("reply", "Noon"))
    assert capsys.readouterr().out == "Hm.\nI am still at it.\nNoon\n"
    assert made.said == ["I am still at it."]


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(player, "MOST_DOING", 2)
    steps = [("doing", f"uses {number}") for number in range(9)]
    assert play(*steps, ("reply", "x"), is_shown=False).doing == ["uses 0", "uses 1"]
    words = [("said", str(number)) for number in range(9)]
    assert play(*words, ("reply", "x"), is_shown=False).said == ["0", "1"]


def test_a_silence_is_spoken_of_to_a_person_and_not_in_the_middle_of_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    made = player.Player(is_shown=True)
    made.wait(2)
    monkeypatch.setattr(render, "is_noted", lambda: True)
    made.wait(10)
    made.play([spoken("progress", "Once upon"), spoken("reply", "Once upon a time")])
    made.wait(30)
    player.Player(is_shown=False).wait(60)
    assert "at work (10 s)" in (err := capsys.readouterr().err)
    assert err.count("at work") == 1
