"""The command line against a real API server over the fake house."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from ironclaw.cli import chat, render, talk
from ironclaw.cli.client import Client
from ironclaw.cli.launch import core_environment
from ironclaw.cli.main import COMMANDS
from ironclaw.cli.options import chosen
from ironclaw.config.load import load_settings
from ironclaw.core.codes import CODES, Code
from ironclaw.domain.commands import Word
from ironclaw.domain.tools import TOOLS
from ironclaw.testing.fake_house import FakeHouse


def test_help_lists_every_command_and_loads_none_of_them(cli: Any) -> None:
    before = set(sys.modules)

    status, out, _err = cli("--help")

    assert status == 0
    for name, row in COMMANDS.items():
        assert f"  {name} " in out
        assert row.module in before or row.module not in sys.modules


def test_without_a_daemon_every_command_says_how_to_start_one(cli: Any) -> None:
    for argv in (["status"], ["agent", "list"], ["chat", "demo", "hi"], ["logs"]):
        status, out, err = cli(*argv)
        assert (status, out) == (9, "")
        assert "ironclaw up" in err


def _answer_once(path: Path, *, after_s: float) -> None:
    time.sleep(after_s)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen()
        with listening.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + b'{"agents":[]}')


def test_a_core_that_is_being_started_again_is_waited_for(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings()
    settings.token_file.write_text("icl_x\n")
    settings.token_file.chmod(0o600)
    monkeypatch.setattr("ironclaw.sandbox.keeper.keeper_status", lambda _runtime_dir: object())
    core = threading.Thread(
        target=_answer_once, args=(settings.api_socket,), kwargs={"after_s": 0.3}
    )
    core.start()

    status, _out, err = cli("agent", "list")
    core.join(10)

    assert (status, err) == (0, "")


def test_down_without_a_daemon_is_no_error(cli: Any) -> None:
    assert cli("down", "--json")[:2] == (0, '{"stopped": false}\n')


def test_a_typo_in_the_configuration_stops_with_its_line(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[api]\nprot = 1\n")

    status, _out, err = cli("--config", str(path), "status")

    assert status == 7
    assert f"{path}:2" in err
    assert "Did you mean 'port'?" in err


def test_the_core_reads_the_file_that_the_command_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the nest an ordinary user is root, who would look elsewhere."""
    path = tmp_path / "ironclaw" / "config.toml"
    path.parent.mkdir()
    path.write_text("[api]\nport = 8790\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("IRONCLAW_CONFIG", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    # An earlier run in this process may have chosen a file.
    monkeypatch.setattr("ironclaw.cli.options._Chosen.config", None)

    mine, config = chosen()

    assert mine.api.port == 8790
    assert core_environment(mine, config)["IRONCLAW_CONFIG"] == str(path)


def test_an_interrupt_is_said_on_a_line_of_its_own(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ironclaw.cli.launch.health", interrupted)

    assert cli("status") == (130, "", "\ninterrupted\n")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["agent", "create", "Bad_Name"], "a name of a-z, 0-9 and '-'"),
        (["role", "give", "bob", "member"], "`<channel>:<handle>`"),
    ],
)
def test_a_rule_that_a_name_breaks_is_said_in_words(
    cli: Any, house: FakeHouse, argv: list[str], words: str
) -> None:
    status, _out, err = cli(*argv)

    assert status == 3
    assert words in err
    assert "regex" not in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["agent", "show"], "AGENT"),
        (["agent", "list", "--nonsense"], "--nonsense"),
        (["nonsense"], "nonsense"),
        (["role", "give", "api:bob", "king"], "king"),
    ],
)
def test_a_wrong_command_line_is_told_in_json_too(cli: Any, argv: list[str], words: str) -> None:
    status, out, err = cli(*argv, "--json")

    assert (status, err) == (2, "")
    assert words in json.loads(out)["error"]["message"]
    assert cli(*argv)[0] == 2


def test_a_port_that_the_system_chooses_is_not_shown_as_0(
    cli: Any, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IRONCLAW_API_TCP", "true")
    monkeypatch.setenv("IRONCLAW_API_PORT", "0")

    told = json.loads(cli("status", "--json")[1])

    assert told["api"] == f"unix:{load_settings().api_socket}"


def test_a_box_that_stands_still_is_shown_and_counted(cli: Any, house: FakeHouse) -> None:
    session = json.loads(cli("chat", "demo", "hello", "--json")[1])["session"]
    assert f"{session}  demo" in (before := cli("session", "list")[1])
    assert "frozen" not in before + cli("status")[1]

    house.frozen.add(session)

    head, row = cli("session", "list")[1].splitlines()
    assert row[head.index("BOX") :].startswith("frozen ")
    assert re.search(r"^boxes +1 \(1 frozen: nothing to do\)$", cli("status")[1], re.MULTILINE)
    assert json.loads(cli("status", "--json")[1])["frozen_boxes"] == 1
    told = json.loads(cli("session", "show", session, "--json")[1])
    assert (told["box"], told["frozen"]) == ("ready", True)
    assert re.search(r"^frozen +yes$", cli("session", "show", session)[1], re.MULTILINE)


def test_what_is_weaker_is_broken_between_words(
    cli: Any, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.weaker = (
        "no cgroup limit on memory, cpu, pids: this user was not given the controllers",
    )
    monkeypatch.setattr(render, "columns", lambda: 51)

    lines = [line.rstrip() for line in cli("status")[1].splitlines()]

    at = next(at for at, line in enumerate(lines) if line.startswith("weaker: "))
    assert lines[at:] == [
        "weaker: no cgroup limit on memory, cpu, pids: this",
        "  user was not given the controllers",
    ]


def test_an_object_is_shown_for_people(cli: Any, house: FakeHouse) -> None:
    out = cli("agent", "show", "demo")[1]

    assert not set("[]{}") & set(out)
    assert re.search(r"^created +\d{4}-\d\d-\d\d ", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("option", "status", "words"),
    [
        ("--tool", 3, "The tools are: "),
        ("--model", 3, "scripted"),
    ],
)
def test_an_agent_is_not_made_with_what_does_not_exist(
    cli: Any, house: FakeHouse, option: str, status: int, words: str
) -> None:
    refused = cli("agent", "create", "filer", option, "nonsense")

    assert refused[0] == status
    assert "'nonsense'" in refused[2]
    assert words in refused[2]
    assert cli("agent", "show", "filer")[0] == 4


def test_the_help_lists_the_tools(cli: Any) -> None:
    out = " ".join(cli("agent", "create", "--help")[1].split())

    for name in TOOLS:
        assert re.search(rf"\b{name}\b", out), name


def test_a_limit_that_the_house_sets_is_shown_with_its_setting(cli: Any, house: FakeHouse) -> None:
    made = cli("agent", "show", "demo")[1]
    told = json.loads(cli("agent", "show", "demo", "--json")[1])

    assert "disk_bytes 1 GiB (sandbox.disk_bytes)" in made
    assert "disk_files 100,000 (sandbox.disk_files)" in made
    assert "memory_bytes 256 MiB," in made
    assert "None" not in made
    assert told["limits"]["disk_bytes"] is None
    assert told["house_limits"] == {"disk_bytes": 1024**3, "disk_files": 100_000}


@pytest.mark.parametrize("argv", [["nothing"], ["chat"], ["token", "mint"], ["status", "--x"]])
def test_a_wrong_command_line_ends_with_2(cli: Any, argv: list[str]) -> None:
    assert cli(*argv)[0] == 2


def test_model_providers_are_shown_with_what_they_lack(cli: Any, house: FakeHouse) -> None:
    status, out, _err = cli("model", "list")

    assert status == 0
    assert "tiny 8192, others 4096" in out
    assert "missing: it has none" in out


def test_usage_is_shown_with_what_nobody_could_price(cli: Any, house: FakeHouse) -> None:
    agent = house.setting.agents[next(iter(house.setting.agents))]
    house.setting.agents[agent.id] = structs.replace(agent, money_per_day=1_000_000)
    status, out, err = cli("usage")
    assert status == 0
    row = next(line for line in out.splitlines() if line.startswith(agent.name))
    assert row.split() == [agent.name, "3", "1200", "200", "300", "2", "1.25", "+"]
    assert "money_per_day 1.25 USD of 1.00 USD (spent)" in err
    assert "price nobody knew" in err
    days = cli("usage", "--by", "day", "--json")[1]
    assert len(json.loads(days)["rows"]) >= 2
    assert cli("usage", "--from", "yesterday")[0] == 3


def test_usage_takes_the_agent_like_other_commands_or_as_an_option(
    cli: Any, house: FakeHouse
) -> None:
    house.add_agent("clerk")

    assert cli("usage", "clerk") == cli("usage", "--agent", "clerk")
    assert cli("usage", "nobody")[0] == 4
    status, _out, err = cli("usage", "clerk", "--agent", "clerk")
    assert status == 3
    assert "named twice" in err


@pytest.mark.parametrize(
    ("argv", "meant"), [(("sesion", "list"), "'session'"), (("session", "lst"), "'list'")]
)
def test_a_mistyped_command_is_told_what_it_may_have_meant(
    cli: Any, argv: tuple[str, ...], meant: str
) -> None:
    status, _out, err = cli(*argv)

    assert status == 2
    assert f"Did you mean {meant}" in err


def test_one_message_streams_its_reply(cli: Any, house: FakeHouse) -> None:
    status, out, _err = cli("chat", "demo", "hello")

    assert status == 0
    assert out == "echo: hello\n"
    assert house.heard[0].handle == "cli"


def test_a_command_of_the_chat_is_passed_on_and_its_answer_shown(
    cli: Any, house: FakeHouse
) -> None:
    status, out, _err = cli("chat", "demo", "/status")
    told = json.loads(cli("chat", "demo", "/status", "--json")[1])

    assert (status, out) == (0, "handled: status\n")
    assert (told["kind"], told["text"]) == ("reply", "handled: status")
    assert not {f"/{word}" for word in Word} & chat.LEAVE


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_message_is_refused_in_plain_words(cli: Any, house: FakeHouse, text: str) -> None:
    status, _out, err = cli("chat", "demo", text)

    assert status == 3
    assert "The message is empty." in err
    assert "$." not in err
    assert house.heard == []


def test_the_help_says_what_a_pipe_does(cli: Any) -> None:
    assert "Each line of a pipe is a message" in " ".join(cli("chat", "--help")[1].split())


def test_a_reply_in_json_has_its_ids(cli: Any, house: FakeHouse) -> None:
    status, out, _err = cli("chat", "demo", "hello", "--json")

    told = json.loads(out)
    assert status == 0
    assert told["text"] == "echo: hello"
    assert told["message"].startswith("msg_")


def test_a_hostile_reply_cannot_touch_the_terminal(cli: Any, house: FakeHouse) -> None:
    _status, out, _err = cli("chat", "demo", "\x1b]0;owned\x07\u202e")

    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b]0;owned\\x07" in out


def test_a_failed_turn_is_an_error_with_its_exit_code(cli: Any, house: FakeHouse) -> None:
    status, _out, err = cli("chat", "demo", "fail please")

    assert status == CODES[Code.MODEL_FAILED].exit_code
    assert "The model refused." in err


def test_what_happened_after_a_reply_is_told_with_the_next_message_once(
    cli: Any, house: FakeHouse
) -> None:
    first = json.loads(cli("chat", "demo", "grow", "--json")[1])
    second = json.loads(cli("chat", "demo", "hello", "--json")[1])
    third = json.loads(cli("chat", "demo", "hello", "--json")[1])

    assert [one["kind"] for one in (first, second, third)] == ["reply"] * 3
    assert second["notices"] == [{"code": "model_failed", "text": "After its last reply: it grew."}]
    assert third["notices"] == []


def test_a_notice_is_shown_before_the_reply_and_in_the_session(cli: Any, house: FakeHouse) -> None:
    session = json.loads(cli("chat", "demo", "grow", "--json")[1])["session"]

    status, out, err = cli("chat", "demo", "hello")

    assert (status, out) == (0, "echo: hello\n")
    assert "After its last reply: it grew." in err
    shown = cli("session", "show", session)[1]
    assert "model_failed: After its last reply: it grew." in shown


def test_a_turn_that_failed_is_no_notice_for_the_next_one(cli: Any, house: FakeHouse) -> None:
    cli("chat", "demo", "fail please")

    assert json.loads(cli("chat", "demo", "hello", "--json")[1])["notices"] == []


def test_a_program_is_told_what_the_agent_did(
    cli: Any, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = talk.hear

    def heard(client: Client, sent: dict[str, Any]) -> Iterator[talk.Spoken]:
        yield talk.Spoken("doing", "uses clock", "", "", "")
        yield from hear(client, sent)

    monkeypatch.setattr(talk, "hear", heard)
    status, out, err = cli("chat", "demo", "hello")

    assert (status, out) == (0, "echo: hello\n")
    assert "uses clock" in err
    assert json.loads(cli("chat", "demo", "hello", "--json")[1])["doing"] == ["uses clock"]


def test_what_an_agent_says_at_work_is_not_its_reply(cli: Any, house: FakeHouse) -> None:
    status, out, _ = cli("chat", "demo", "work hard")

    assert (status, out) == (0, "I am still at it.\necho: work hard\n")
    told = json.loads(cli("chat", "demo", "work hard", "--json")[1])
    assert (told["kind"], told["text"]) == ("reply", "echo: work hard")
    assert told["said"] == ["I am still at it."]


def test_a_failed_turn_names_its_code_in_json(cli: Any, house: FakeHouse) -> None:
    status, out, _err = cli("chat", "demo", "fail please", "--json")

    assert status == CODES[Code.MODEL_FAILED].exit_code
    assert json.loads(out)["code"] == Code.MODEL_FAILED


def test_a_code_that_this_program_does_not_know_is_a_broken_box() -> None:
    last = talk.Spoken("error", "No.", "cht_a", "ses_a", "msg_a", "of_a_newer_daemon")

    assert chat._failed(last).code is Code.BOX_BROKEN


def test_an_unknown_agent_names_the_next_step(cli: Any, house: FakeHouse) -> None:
    status, out, _err = cli("chat", "nobody", "hello", "--json")

    assert status == 4
    assert json.loads(out)["error"]["code"] == "not_found"


def test_a_conversation_goes_on_until_the_end_of_input(
    cli: Any, house: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\n\ntwo\n/quit\nthree\n"))

    status, out, _err = cli("chat", "demo")

    assert status == 0
    assert [event.text for event in house.heard] == ["one", "two"]
    assert "echo: two" in out


def test_nouns_round_trip(cli: Any, house: FakeHouse) -> None:
    assert cli("policy", "set", "solo", "on", "--yes")[0] == 0
    made = cli("agent", "create", "helper", "--persona", "Brief.", "--yes", "--json")[1]
    assert json.loads(made)["row"]["status"] == "done"
    assert cli("agent", "create", "helper", "--yes")[0] == 5
    assert "helper" in cli("agent", "list")[1]
    assert json.loads(cli("agent", "show", "helper", "--json")[1])["persona"] == "Brief."
    session = json.loads(cli("chat", "helper", "hello", "--json")[1])["session"]
    assert session in cli("session", "list", "--agent", "helper")[1]
    assert "uid" in cli("session", "receipt", session)[1]
    assert "echo: hello" in cli("session", "transcript", session)[1]
    assert cli("session", "show", session)[0] == 0
    assert cli("session", "stop", session)[:2] == (0, f"stopped {session}\n")
    assert cli("wiring", "create", "test", "room", "helper", "--yes")[0] == 0
    (wiring,) = json.loads(cli("wiring", "list", "--json")[1])["wirings"]
    assert wiring["wiring"]["id"] in cli("wiring", "list")[1]
    assert cli("wiring", "delete", wiring["wiring"]["id"], "--yes")[0] == 0
    assert cli("role", "give", "test:ann", "member", "--agent", "helper", "--yes")[0] == 0
    assert "test:ann" in cli("role", "list")[1]
    assert cli("role", "take", "test:ann", "member", "--agent", "helper", "--yes")[0] == 0
    secret = cli("token", "mint", "bot", "--scope", "read")[1].strip()
    assert secret.startswith("icl_")
    assert secret not in cli("token", "list")[1]
    assert cli("token", "revoke", "bot")[0] == 0
    assert json.loads(cli("status", "--json")[1])["ready"] is True
    assert "ready" in cli("status")[1]
    assert cli("agent", "archive", "helper", "--yes")[0] == 0


def test_a_token_file_that_is_not_there_is_named(cli: Any, tmp_path: Path) -> None:
    status, _out, err = cli("--token-file", str(tmp_path / "nowhere"), "agent", "list")

    assert status == 8
    assert f"no token file {tmp_path / 'nowhere'}" in err
    assert "not running" not in err


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_without_a_token_is_named_and_left_as_it_is(
    cli: Any, tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "passwd"
    path.write_text("somebody:x:0:0\n")
    path.chmod(mode)

    status, _out, err = cli("--token-file", str(path), "agent", "list")

    assert status in {8, CODES[Code.KEY_UNUSABLE].exit_code}
    assert str(path) in err
    assert "--token-file" in err
    assert "chmod" not in err
    assert "somebody" not in err


def test_what_is_no_file_has_no_token(cli: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)

    for path in (tmp_path, tmp_path / "pipe"):
        status, _out, err = cli("--token-file", str(path), "agent", "list")
        assert status == CODES[Code.KEY_UNUSABLE].exit_code
        assert f"{path} is not usable: it is no plain file" in err


def test_a_named_token_that_others_can_read_is_to_be_locked_up(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("icl_x\n")
    path.chmod(0o644)

    assert f"chmod 600 {path}" in cli("--token-file", str(path), "agent", "list")[2]


def test_a_refused_token_is_told_with_its_file(cli: Any, house: FakeHouse, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("icl_x\n")
    path.chmod(0o600)

    status, _out, err = cli("--token-file", str(path), "agent", "list")

    assert status == 8
    assert f"The token in {path} is unknown" in err
    assert "Authorization" not in err
    assert "token mint" in err


def test_a_lost_first_token_is_no_stopped_daemon(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ironclaw.sandbox.keeper.keeper_status", lambda _runtime_dir: object())

    status, _out, err = cli("agent", "list")

    assert status == 8
    assert str(load_settings().token_file) in err


def test_a_token_file_that_others_can_read_is_not_used(cli: Any, house: FakeHouse) -> None:
    load_settings().token_file.chmod(0o644)

    status, _out, err = cli("status")

    assert status == 67
    assert "chmod 600" in err


def test_logs_show_the_newest_lines_sanitised(cli: Any) -> None:
    path = load_settings().log_file
    path.parent.mkdir()
    path.write_text("one\ntwo\nth\x1bree\n")

    assert cli("logs", "-n", "2")[1] == "two\nth\\x1bree\n"
    assert json.loads(cli("logs", "--json")[1])["lines"] == [
        {"text": "one"},
        {"text": "two"},
        {"text": "th\x1bree"},
    ]


def test_logs_are_words_for_people_and_objects_for_programs(cli: Any) -> None:
    path = load_settings().log_file
    path.parent.mkdir()
    entry = {"event": "up", "level": "info", "part": "core", "timestamp": "2027-01-15T08:00:00Z"}
    path.write_text(json.dumps(entry) + "\n")

    assert cli("logs")[1] == "2027-01-15 08:00:00Z info    core      up\n"
    assert json.loads(cli("logs", "--json")[1])["lines"] == [entry]
