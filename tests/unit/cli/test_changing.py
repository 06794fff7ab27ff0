"""The verbs that change something: what they ask for, what they show, and who decides."""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import typer

from ironclaw.cli import render
from ironclaw.cli.nouns import changes, changing
from ironclaw.config.load import load_settings
from ironclaw.core.clock import SystemClock
from ironclaw.core.errors import UserError
from ironclaw.core.ids import PrincipalId
from ironclaw.domain.change import Asker
from ironclaw.domain.changes.limits import raising
from ironclaw.domain.changes.tools import SetTools
from ironclaw.domain.principals import house_principal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ironclaw.testing.fake_house import FakeHouse


@pytest.fixture
def solo(cli: Any, house: FakeHouse) -> FakeHouse:
    """A house whose one owner approves for themselves."""
    assert cli("policy", "set", "solo", "on", "--yes")[0] == 0
    return house


@pytest.fixture
def ann(cli: Any, solo: FakeHouse, tmp_path: Path) -> str:
    """The file with the token of an approver."""
    del solo
    secret = cli("token", "mint", "ann", "--scope", "approve")[1]
    path = tmp_path / "token"
    path.write_text(secret)
    path.chmod(0o600)
    assert cli("role", "give", "api:ann", "approver", "--yes")[0] == 0
    assert cli("policy", "set", "solo", "off", "--yes")[0] == 0
    return str(path)


def _pending(cli: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli("change", "list", "--json")[1])["changes"]
    return found


def test_a_request_waits_and_says_whose_decision_it_needs(cli: Any, house: FakeHouse) -> None:
    status, out, err = cli("agent", "create", "helper", "--reason", "we need one")

    assert status == 0
    assert "Make the agent helper" in out
    assert "we need one" in out
    assert "waits for a decision" in out
    assert "owner or admin" in err
    (view,) = _pending(cli)
    assert view["row"]["status"] == "pending"
    assert cli("agent", "show", "helper")[0] == 4


def test_yes_is_no_yes_for_somebody_who_may_not_decide(cli: Any, house: FakeHouse) -> None:
    told = json.loads(cli("agent", "create", "helper", "--yes", "--json")[1])

    assert told["row"]["status"] == "pending"
    assert told["may_decide"] is False
    assert "Not approved" in cli("agent", "create", "helper2", "--yes")[2]


def test_solo_approves_what_was_shown_and_the_card_says_so(cli: Any, solo: FakeHouse) -> None:
    status, out, _err = cli("agent", "create", "helper", "--yes")

    assert status == 0
    assert "Solo mode is on" in out
    assert "done, and in force" in out
    assert cli("agent", "show", "helper")[0] == 0


def test_without_a_terminal_nothing_is_decided_in_silence(cli: Any, solo: FakeHouse) -> None:
    cli("agent", "create", "helper")
    (view,) = _pending(cli)

    status, _out, err = cli("approve", view["row"]["change"]["id"])

    assert status == 3
    assert "--yes" in err
    assert [one["row"]["status"] for one in _pending(cli)] == ["pending"]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets somebody sit at a terminal and type."""

    def sit(typed: str) -> None:
        stdin = io.StringIO(typed)
        monkeypatch.setattr(stdin, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", stdin)
        monkeypatch.setattr(render, "is_seen", lambda: True)

    return sit


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_json_without_yes_decides_nothing_and_asks_nobody(
    cli: Any, solo: FakeHouse, terminal: Callable[[str], None], verb: str
) -> None:
    cli("agent", "create", "helper")
    name = _pending(cli)[0]["row"]["change"]["id"]
    terminal("y\n")

    status, out, _err = cli(verb, name, "--json")

    assert status == 3
    assert f"ironclaw change show {name}" in json.loads(out)["error"]["hint"]
    assert [one["row"]["status"] for one in _pending(cli)] == ["pending"]


def test_json_asks_nobody_on_a_terminal_either(
    cli: Any, solo: FakeHouse, terminal: Callable[[str], None]
) -> None:
    terminal("y\n")

    assert json.loads(cli("agent", "create", "helper", "--json")[1])["row"]["status"] == "pending"


def test_a_yes_at_the_terminal_approves_and_a_question_stays_off_a_piped_result(
    cli: Any, solo: FakeHouse, terminal: Callable[[str], None]
) -> None:
    terminal("y\n")

    _status, out, err = cli("agent", "create", "helper")

    assert "done, and in force" in out
    assert "Approve this?" not in out
    assert "Approve this?" in err


def test_a_card_that_nobody_sees_is_not_asked_about(
    cli: Any, solo: FakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    assert "Approve this?" not in "".join(cli("agent", "create", "helper")[1:])
    assert cli("approve", _pending(cli)[0]["row"]["change"]["id"])[0] == 3


def test_a_no_says_that_the_request_waits_and_how_to_take_it_back(
    cli: Any, solo: FakeHouse, terminal: Callable[[str], None]
) -> None:
    terminal("n\n")
    status, out, err = cli("agent", "create", "helper")
    name = _pending(cli)[0]["row"]["change"]["id"]

    assert status == 0
    assert "waits for a decision" in out
    assert f"ironclaw change withdraw {name}" in err
    terminal("n\n")
    said = cli("approve", name)[2]
    assert f"{name} stays pending. `ironclaw reject {name}` says no to it." in said
    terminal("n\n")
    assert f"`ironclaw approve {name}` says yes to it." in cli("reject", name)[2]


def test_an_interrupt_says_that_the_request_waits(
    cli: Any,
    solo: FakeHouse,
    terminal: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_prompt: str) -> str:
        raise KeyboardInterrupt

    terminal("")
    monkeypatch.setattr(render, "ask", interrupted)

    status, _out, err = cli("agent", "create", "helper")

    assert status == 130
    name = _pending(cli)[0]["row"]["change"]["id"]
    assert f"ironclaw change withdraw {name}" in err


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_a_change_that_is_over_is_not_asked_about(
    cli: Any, solo: FakeHouse, terminal: Callable[[str], None], verb: str
) -> None:
    told = json.loads(cli("agent", "create", "helper", "--yes", "--json")[1])
    terminal("y\n")

    status, out, err = cli(verb, told["row"]["change"]["id"])

    assert (status, out) == (5, "")
    assert "waits for no decision: it is done" in err


def test_what_could_not_be_applied_ends_with_its_code_in_json_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = {
        "change": {"id": "chg_1", "created_ms": 0},
        "status": "failed",
        "code": "CONFLICT",
        "problem": "the name is taken",
    }
    view = {"row": row, "is_twin": False}
    with pytest.raises(UserError) as caught:
        changing.tell(view, as_json=False)
    with pytest.raises(typer.Exit) as ended:
        changing.tell(view, as_json=True)

    assert ended.value.exit_code == caught.value.row.exit_code != 0
    assert json.loads(capsys.readouterr().out)["row"]["problem"] == "the name is taken"


def test_another_person_approves_with_a_token_of_their_own(cli: Any, ann: str) -> None:
    cli("agent", "persona", "demo", "You are brief.")
    (view,) = _pending(cli)
    name = view["row"]["change"]["id"]

    assert cli("approve", name, "--yes")[0] == 40
    status, out, _err = cli("--token-file", ann, "approve", name, "--yes", "--because", "fine")

    assert status == 0, out
    assert "You are brief." in out
    assert json.loads(cli("agent", "show", "demo", "--json")[1])["persona"] == "You are brief."
    assert "approved by api:ann: fine" in cli("change", "show", name)[1]


def test_what_has_come_true_is_no_failure_to_approve(cli: Any, ann: str) -> None:
    cli("agent", "tools", "demo", "--add", "send_message")
    first = _pending(cli)[0]["row"]["change"]["id"]
    cli("agent", "tools", "demo", "--add", "send_message", "--add", "list_files")
    second = _pending(cli)[0]["row"]["change"]["id"]
    assert cli("--token-file", ann, "approve", second, "--yes")[0] == 0

    status, out, _err = cli("--token-file", ann, "approve", first, "--yes")

    assert status == 0
    assert f"{first}: over, as nothing was left to do. It has come true already." in out
    assert _pending(cli) == []
    assert cli("--token-file", ann, "reject", first, "--yes")[0] != 0
    assert "overtaken" in cli("change", "list", "--all")[1]


def test_a_no_is_remembered_and_can_be_set_aside_by_name(cli: Any, ann: str) -> None:
    cli("agent", "tools", "demo", "--add", "send_message")
    name = _pending(cli)[0]["row"]["change"]["id"]
    assert cli("--token-file", ann, "reject", name, "--yes", "--because", "not yet")[0] == 0

    status, _out, err = cli("agent", "tools", "demo", "--add", "send_message")
    assert status == 46
    assert name in err
    assert cli("agent", "tools", "demo", "--add", "send_message", "--despite", name)[0] == 0
    assert name in cli("change", "show", _pending(cli)[0]["row"]["change"]["id"])[1]


def test_a_grant_is_listed_and_taken_back(cli: Any, solo: FakeHouse) -> None:
    cli("agent", "tools", "demo", "--add", "send_message", "--for", "8h", "--yes")
    (view,) = json.loads(cli("grant", "list", "--agent", "demo", "--json")[1])["grants"]
    grant = view["grant"]

    assert grant["expires_ms"] - grant["given_ms"] == 8 * 3600 * 1000
    (line,) = [one for one in cli("grant", "list")[1].splitlines() if grant["id"] in one]
    assert line.endswith("demo: give the tool send_message")
    assert "active" in line
    assert cli("grant", "revoke", grant["id"])[0] == 3
    told = cli("grant", "revoke", grant["id"], "--yes", "--because", "enough")[1]
    gave, does, revoked = told.splitlines()
    assert gave == "It gave: demo: give the tool send_message"
    assert does.startswith("Taking it back does, at once: ")
    assert revoked.startswith(f"revoked {grant['id']}")
    assert "send_message" not in json.loads(cli("agent", "show", "demo", "--json")[1])["tools"]
    assert cli("grant", "revoke", grant["id"], "--yes")[0] == 5
    shown = cli("change", "show", grant["change"])[1]
    assert "done; what it gave was taken back by api:cli" in shown
    assert "enough" in shown
    assert "in force" not in shown.splitlines()[-1]
    assert json.loads(cli("grant", "list", "--json")[1])["grants"] != [view]


def test_a_list_says_where_each_request_is_before_anything_long(cli: Any, house: FakeHouse) -> None:
    cli("agent", "tools", "demo", "--add", "send_message")
    (view,) = _pending(cli)

    head, row = cli("change", "list")[1].splitlines()

    assert row.startswith(f"{view['row']['change']['id']}  pending")
    assert head.index("STATUS") < 30
    assert row.endswith("api:cli   demo: give the tool send_message")


def test_a_list_says_how_long_there_is_and_who_asks_by_name(
    cli: Any, house: FakeHouse, loop: asyncio.AbstractEventLoop
) -> None:
    (agent,) = house.setting.agents.values()
    asks = (
        Asker(principal=house_principal(agent.id)),
        Asker(principal=PrincipalId(f"agent:{agent.id}"), agent=agent.id),
    )
    specs = (raising(agent.id, "calls_per_day", 40), SetTools(agent=agent.id, add=("clock",)))
    for asker, spec in zip(asks, specs, strict=True):
        asking = house.gateway.submit(spec, asker=asker, actor=None, reason="")
        asyncio.run_coroutine_threadsafe(asking, loop).result(10)

    head, *rows = cli("change", "list")[1].splitlines()

    at = head.index("DECIDE WITHIN")
    assert {row[at : at + 2] for row in rows} == {"7d"}
    who = head.index("ASKED BY")
    assert {row[who:].split("  ")[0] for row in rows} == {"the house", "demo"}
    assert agent.id not in "".join(rows)


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [(7 * 86_400 - 1, "7d"), (6.4 * 86_400, "6d"), (86_400 - 1, "24h"), (90, "2m"), (0, "0s")],
)
def test_the_time_left_is_told_to_the_nearest(
    left_s: float, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SystemClock, "now_ms", lambda _self: 1_000_000)
    change = {"expires_ms": 1_000_000 + int(left_s * 1000)}

    assert changes._left({"status": "pending", "change": change}) == expected


def test_asking_twice_says_that_it_was_asked_for(cli: Any, house: FakeHouse) -> None:
    cli("agent", "tools", "demo", "--add", "send_message")
    err = cli("agent", "tools", "demo", "--add", "send_message")[2]

    assert "Nothing new was asked for" in err


def test_a_preview_has_the_time_limit_that_was_asked_for(cli: Any, house: FakeHouse) -> None:
    spec = '{"kind": "tools", "agent": "demo", "add": ["send_message"]}'

    assert "1 hour after it is applied" in cli("change", "diff", spec, "--for", "1h")[1]


def test_a_model_is_asked_for_with_what_stands_in_and_how_it_is_asked(
    cli: Any, house: FakeHouse
) -> None:
    options = ("--fallback", "scripted/b", "--temperature", "0.7", "--max-output", "900")
    cli("agent", "model", "demo", "scripted/a", *options, "--temperature", "default")

    (change,) = _pending(cli)
    spec = change["row"]["change"]["spec"]
    assert spec["fallbacks"] == ["scripted/b"]
    assert spec["max_output_tokens"] == 900
    assert spec["default"] == ["temperature_hundredths"]
    assert spec["thinking"] is None
    assert cli("agent", "model", "demo", "scripted/a", "--temperature", "warm")[0] == 3
    cli("agent", "model", "demo", "scripted/b", "--thinking", "high")
    asked = {each["row"]["change"]["spec"]["thinking"] for each in _pending(cli)}
    assert asked == {None, "high"}


def test_a_card_can_be_looked_at_without_asking(cli: Any, house: FakeHouse) -> None:
    spec = '{"kind": "persona", "agent": "demo", "persona": "Brief."}'

    assert "Brief." in cli("change", "diff", spec)[1]
    assert "hash" in json.loads(cli("change", "diff", spec, "--json")[1])
    assert _pending(cli) == []


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ("nonsense", 3),
        ("[]", 3),
        ('{"kind": "everything"}', 3),
        ('{"kind": "persona", "agent": "demo", "persona": "x", "more": 1}', 3),
        ('{"kind": "persona", "agent": "nobody", "persona": "x"}', 4),
        ("@nowhere.json", 3),
    ],
)
def test_a_spec_that_is_none_is_refused(cli: Any, house: FakeHouse, spec: str, status: int) -> None:
    assert cli("change", "submit", spec)[0] == status


def test_requests_are_taken_back_by_who_asked(cli: Any, house: FakeHouse) -> None:
    cli("agent", "persona", "demo", "Longer.")
    name = _pending(cli)[0]["row"]["change"]["id"]

    assert "withdrawn" in cli("change", "withdraw", name)[1]
    assert _pending(cli) == []
    assert name in cli("change", "list", "--all")[1]


@pytest.mark.parametrize(
    "argv",
    [
        ("agent", "model", "demo", "scripted/other"),
        ("agent", "limits", "demo", "memory_bytes=128M", "calls_per_day=10"),
        ("agent", "destination", "demo", "desk", "--channel", "test", "--chat", "desk"),
        ("wiring", "strangers", "test", "room", "public"),
        ("principal", "link", "test:ann", "api:cli"),
    ],
)
def test_each_verb_asks_for_its_kind(cli: Any, solo: FakeHouse, argv: tuple[str, ...]) -> None:
    if argv[0] == "wiring":
        cli("wiring", "create", "test", "room", "demo", "--yes")

    told = json.loads(cli(*argv, "--yes", "--json")[1])

    assert told["row"]["status"] == "done", told


def test_limits_are_written_as_people_write_them(cli: Any, solo: FakeHouse) -> None:
    cli("agent", "limits", "demo", "memory_bytes=128M", "tokens_per_day=5000", "--yes")
    shown = json.loads(cli("agent", "show", "demo", "--json")[1])
    assert (shown["limits"]["memory_bytes"], shown["tokens_per_day"]) == (128 * 1024**2, 5000)

    cli("agent", "limits", "demo", "tokens_per_day=none", "--yes")
    assert json.loads(cli("agent", "show", "demo", "--json")[1])["tokens_per_day"] is None
    cli("agent", "limits", "demo", "money_per_day=2.5", "turn_total_s=600", "--yes")
    shown = json.loads(cli("agent", "show", "demo", "--json")[1])
    assert (shown["money_per_day"], shown["turn_total_s"]) == (2_500_000, 600)
    for wrong in ("money_per_day=1,5", "money_per_session=-1", "money_per_day="):
        assert cli("agent", "limits", "demo", wrong)[0] == 3
    assert cli("agent", "limits", "demo", "nonsense=1")[0] == 3
    assert cli("agent", "limits", "demo", "pids=many")[0] == 3


def test_a_task_is_added_listed_and_removed(cli: Any, solo: FakeHouse) -> None:
    cli("wiring", "create", "test", "room", "demo", "--yes")
    where = ("--channel", "test", "--chat", "room")

    added = cli(
        *("task", "add", "demo", "morning", "Say good morning.", *where),
        *("--cron", "30 8 * * *", "--zone", "Europe/Berlin", "--yes", "--json"),
    )
    assert json.loads(added[1])["row"]["status"] == "done", added
    assert cli("task", "add", "demo", "wrong", "x", *where, "--at", "tomorrow")[0] == 3
    assert cli("task", "add", "demo", "wrong", "x", *where, "--cron", "now")[0] == 3
    removed = cli("task", "remove", "demo", "morning", "--yes", "--json")
    assert json.loads(removed[1])["row"]["status"] == "done"


def test_an_archived_agent_is_listed_and_comes_back_by_its_name(cli: Any, solo: FakeHouse) -> None:
    assert cli("agent", "archive", "demo", "--yes")[0] == 0
    assert "demo" not in cli("agent", "list")[1]
    assert re.search(r"^demo .* archived ", cli("agent", "list", "--all")[1], re.MULTILINE)

    assert cli("agent", "restore", "demo", "--yes")[0] == 0
    assert re.search(r"^demo .* active ", cli("agent", "list")[1], re.MULTILINE)


def test_a_name_that_several_archived_agents_had_is_no_name(cli: Any, solo: FakeHouse) -> None:
    ids = []
    for _ in range(2):
        assert cli("agent", "create", "twin", "--yes")[0] == 0
        ids.append(json.loads(cli("agent", "show", "twin", "--json")[1])["id"])
        assert cli("agent", "archive", "twin", "--yes")[0] == 0

    status, _out, err = cli("agent", "restore", "twin")

    assert status == 5
    assert all(one in err for one in ids)
    assert cli("agent", "restore", ids[0], "--yes")[0] == 0
    assert cli("agent", "restore", "nobody")[0] == 4


def test_a_role_for_one_agent_is_listed_with_its_name(cli: Any, solo: FakeHouse) -> None:
    assert cli("role", "give", "test:bob", "viewer", "--agent", "demo", "--yes")[0] == 0

    assert re.search(r"test:bob +viewer +demo$", cli("role", "list")[1], re.MULTILINE)
    assert "viewer of demo" in cli("principal", "list")[1]


def test_a_hint_asks_for_no_more_than_a_role_for_the_agent(
    cli: Any, solo: FakeHouse, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text(cli("token", "mint", "bob")[1])
    path.chmod(0o600)
    assert cli("role", "give", "api:bob", "member", "--agent", "demo", "--yes")[0] == 0
    as_bob = ("--token-file", str(path))

    one = cli(*as_bob, "agent", "show", "demo")[2]
    some = cli(*as_bob, "agent", "list")[2]

    assert "role give api:bob viewer --agent demo" in one
    assert "role give api:bob viewer --agent AGENT" in some


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("task", "add", "demo", "morning", "Hello.", "--cron", "30 8 * * *"), "main"),
        (("task", "add", "demo", "m", "Hello.", "--cron", "0 8 * * *", "--chat", "a"), "a"),
        (("agent", "destination", "demo", "desk", "--chat", "desk"), "desk"),
        (("agent", "destination", "demo", "desk"), "main"),
        (("wiring", "create", "api", "side", "demo"), "side"),
    ],
)
def test_a_chat_of_ones_own_goes_by_its_name(
    cli: Any, solo: FakeHouse, argv: tuple[str, ...], name: str
) -> None:
    if argv[0] == "task":
        assert cli("wiring", "create", "api", name, "demo", "--yes")[0] == 0
    agent = json.loads(cli("agent", "show", "demo", "--json")[1])["id"]

    spec = json.loads(cli(*argv, "--json")[1])["row"]["change"]["spec"]

    assert (spec["channel"], spec["platform_id"]) == ("api", f"{agent}/api:cli/{name}")


def test_a_chat_of_another_channel_has_to_be_named(cli: Any, house: FakeHouse) -> None:
    status, _out, err = cli("agent", "destination", "demo", "desk", "--channel", "test")

    assert status == 3
    assert "--chat" in err


def test_an_agent_is_shown_with_what_it_has_in_words(cli: Any, solo: FakeHouse) -> None:
    cli("agent", "destination", "demo", "desk", "--channel", "api", "--chat", "desk", "--yes")

    out = cli("agent", "show", "demo")[1]

    assert re.search(r"^destinations +desk: demo / desk$", out, re.MULTILINE)
    assert not set("{}[]'") & set(out)


def test_a_forgotten_conversation_is_told_in_one_line(cli: Any, solo: FakeHouse) -> None:
    session = json.loads(cli("chat", "demo", "hello", "--json")[1])["session"]
    assert "hello" in cli("session", "transcript", session)[1]
    assert cli("session", "forget", session, "--yes")[0] == 0

    out = cli("session", "transcript", session)[1]

    assert out.count("\n") == 1
    assert "forgotten" in out


def test_me_says_who_one_is_and_what_one_may(cli: Any, ann: str) -> None:
    assert "own" in json.loads(cli("me", "--json")[1])["rights"]

    told = json.loads(cli("--token-file", ann, "me", "--json")[1])

    assert told["principal"] == "api:ann"
    assert told["rights"] == ["decide", "read"]
    assert "api:ann" in cli("--token-file", ann, "me")[1]
    assert "api:ann" in cli("principal", "list")[1]


def test_the_policy_is_shown_and_changed_by_name(cli: Any, solo: FakeHouse) -> None:
    assert "solo" in cli("policy", "show")[1]
    assert cli("policy", "set", "pending_s", "3600", "--yes")[0] == 0
    assert json.loads(cli("policy", "show", "--json")[1])["pending_s"] == 3600
    assert cli("policy", "set", "nonsense", "1")[0] == 3
    assert cli("policy", "set", "pending_s", "soon")[0] == 3


def test_what_is_so_already_is_said_and_is_no_error(cli: Any, solo: FakeHouse) -> None:
    before = len(json.loads(cli("change", "list", "--all", "--json")[1])["changes"])

    status, out, err = cli("policy", "set", "solo", "on", "--yes")
    assert (status, err) == (0, "")
    assert out == "That is the policy in force. Nothing is asked for.\n"

    status, out, _err = cli("policy", "set", "solo", "on", "--json")
    told = {"unchanged": True, "message": "That is the policy in force."}
    assert (status, json.loads(out)) == (0, told)

    status, out, _err = cli("change", "submit", '{"kind": "limits", "agent": "demo"}')
    assert (status, "just these limits" in out) == (0, True)
    assert len(json.loads(cli("change", "list", "--all", "--json")[1])["changes"]) == before


@pytest.mark.parametrize(
    "argv",
    [
        ("task", "remove", "demo", "dayly"),
        ("agent", "unshare", "demo", "note"),
        ("agent", "destination", "demo", "work", "--remove"),
        ("skill", "remove", "demo", "pdf"),
        ("role", "take", "api:an", "member"),
        ("principal", "unlink", "api:an"),
    ],
    ids=" ".join,
)
def test_what_is_not_there_cannot_be_taken_away(
    cli: Any, solo: FakeHouse, argv: tuple[str, ...]
) -> None:
    """Its name may be misspelt."""
    status, _out, err = cli(*argv)

    assert status == 4
    assert "next: `ironclaw " in err


def test_a_token_that_is_nobodys_is_refused_with_the_place_named(
    cli: Any, house: FakeHouse, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("icl_nothing")
    path.chmod(0o600)

    assert cli("--token-file", str(path), "agent", "list")[0] == 8
    assert load_settings().token_file.exists()
