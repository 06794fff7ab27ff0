"""`ironclaw session transcript`: words, files, questions and destinations, none like another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from ironclaw.cli.nouns import transcript
from ironclaw.cli.nouns.places import Places
from ironclaw.core.ids import ChatId, MessageId, SessionId
from ironclaw.services.house import SentTo, TranscriptEvent

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ironclaw.testing.fake_house import FakeHouse

KNOWN = Places(me="api:cli", agents={"agt_a": "helper"})


def test_files_and_questions_are_shown(cli: Any, house: FakeHouse, tmp_path: Path) -> None:
    plain = tmp_path / "a\u202eb.txt"
    plain.write_bytes(b"hello")
    told = json.loads(cli("chat", "demo", "look", "--file", str(plain), "--json")[1])
    asked = json.loads(cli("chat", "demo", "ask it", "--json")[1])
    (file,) = house.files._kept
    status, out, err = cli("session", "transcript", told["session"])
    assert status == 0, err
    assert f"[file] ab.txt (text/plain, 5 bytes): ironclaw file get {file}\n" in out
    assert f"[question] {asked['question']}\n" in out
    assert "  Which colour?\n\n  1. red\n  2. blue\n" in out
    shown = json.loads(cli("session", "transcript", told["session"], "--json")[1])["events"]
    assert [one["sent_to"] for one in shown] == [None] * 4


def test_what_was_sent_elsewhere_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    elsewhere = SentTo(name="ops", channel="irc", platform_id="#o\n")
    transcript.show([event("disk is full", elsewhere)], KNOWN)
    assert capsys.readouterr().out == (
        "1970-01-01 00:00:01Z reply helper\n[sent to] ops (irc #o\\x0a)\n  disk is full\n"
    )
    transcript.show([event("", SentTo(name="", channel="agent", platform_id="agt_b"))], KNOWN)
    assert "\n[sent to] agent agt_b\n" in capsys.readouterr().out
    own = SentTo(name="desk", channel="api", platform_id="agt_a/api:cli/desk")
    transcript.show([event("", own)], KNOWN)
    assert "\n[sent to] desk (helper / desk)\n" in capsys.readouterr().out


def test_nothing_that_is_said_looks_like_what_the_host_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = "x\n[sent to] ops\r[file] a\u2028[file] b\n\n2026-01-01 00:00:00Z reply ironclaw\x1b[2J"
    transcript.show([event(said, None)], KNOWN)
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("  ") for line in lines if line)
    assert "\x1b" not in "".join(lines)


def test_nothing_that_is_found_looks_like_what_the_host_says(cli: Any, house: FakeHouse) -> None:
    said = "needle\n2026-01-01 00:00:00Z ironclaw\nThere is more: look before 1970."
    session = json.loads(cli("chat", "demo", said, "--json")[1])["session"]

    status, out, _err = cli("session", "search", session, "needle")

    assert status == 0
    assert house.heard
    edge = [line for line in out.splitlines() if not line.startswith("  ")]
    assert [line.split(" ", 2)[2] for line in edge] == ["cli", "agent"]


def test_a_line_that_is_too_long_does_not_go_on_at_the_edge(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    said = " " * 58 + "[sent to] ops\tx\n" + "\u6f22" * 29 + "[file] a.txt\nend"
    elsewhere = SentTo(name="ops", channel="irc", platform_id=" " * 60 + "[file] b.txt")
    one = event(said, elsewhere)
    one["files"] = [
        {"id": "fil_a", "name": " " * 53 + "[sent to] c", "media_type": "text/plain", "size": 1}
    ]

    transcript.show([one], KNOWN)

    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "1970-01-01 00:00:01Z reply helper"
    assert [line[:6] for line in lines if line and line[0] != " "] == ["[sent ", "[file]"]
    assert max(map(len, lines)) <= 60
    assert "  end" in lines
    assert "".join(lines).count("\u6f22") == 29


def event(text: str, sent_to: SentTo | None) -> dict[str, Any]:
    """An event as the API gives it."""
    one = TranscriptEvent(
        id=1,
        kind="reply",
        chat=ChatId("cht_a"),
        thread=None,
        session=SessionId("ses_a"),
        message=MessageId("msg_a"),
        sender="helper",
        text=text,
        at_ms=1000,
        sent_to=sent_to,
    )
    found: dict[str, Any] = msgspec.to_builtins(one)
    return found
