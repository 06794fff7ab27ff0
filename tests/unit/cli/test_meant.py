"""Which session is meant: an id, its beginning, an agent, a chat with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.config.load import load_settings
from ironclaw.core.ids import AgentId, ChatId, SessionId, WiringId
from ironclaw.domain.model import (
    Chat,
    Engage,
    Partition,
    SenderScope,
    Session,
    SessionState,
    Wiring,
)
from ironclaw.testing.receipts import TestSigner, sealed

if TYPE_CHECKING:
    from ironclaw.testing.fake_house import FakeHouse


class Sessions:
    """Puts sessions of chats into a house."""

    def __init__(self, house: FakeHouse) -> None:
        self.agent = house.add_agent("helper").id
        self._setting = house.setting

    def add(
        self,
        id_: str,
        channel: str,
        platform_id: str,
        *,
        active_ms: int,
        state: SessionState = SessionState.ACTIVE,
    ) -> None:
        place = (channel, platform_id.format(agent=self.agent))
        chat = self._setting.chats.setdefault(
            place, Chat(id=ChatId(f"cht_of_{id_}"), channel=channel, platform_id=place[1])
        )
        wiring = Wiring(
            id=WiringId(f"wir_{id_}"),
            chat=chat.id,
            agent=AgentId(self.agent),
            engage=Engage.PATTERN,
            pattern=".",
            sender_scope=SenderScope.KNOWN,
            partition=Partition.SHARED,
        )
        self._setting.wirings[wiring.id] = wiring
        self._setting.sessions[SessionId(id_)] = Session(
            id=SessionId(id_),
            agent=AgentId(self.agent),
            chat=chat.id,
            thread=None,
            partition=Partition.SHARED,
            state=state,
            active_ms=active_ms,
        )


@pytest.fixture
def sessions(house: FakeHouse) -> Sessions:
    """Sessions of `helper`: own chats, one of somebody else's, one in an app."""
    made = Sessions(house)
    made.add("ses_abold", "api", "{agent}/api:cli/main", active_ms=1)
    made.add("ses_abnew", "api", "{agent}/api:cli/main", active_ms=3)
    made.add("ses_desk", "api", "{agent}/api:cli/desk", active_ms=2)
    made.add("ses_bob", "api", "{agent}/api:bob/main", active_ms=5)
    made.add("ses_app", "test", "-100", active_ms=6)
    made.add("ses_gone", "api", "{agent}/api:cli/main", active_ms=9, state=SessionState.FORGOTTEN)
    return made


@pytest.mark.parametrize(
    ("ref", "meant"),
    [
        ("ses_desk", "ses_desk"),
        ("ses_d", "ses_desk"),
        ("ses_gone", "ses_gone"),
        ("helper", "ses_app"),
        ("helper/main", "ses_abnew"),
        ("helper/desk", "ses_desk"),
        ("helper/-100", "ses_app"),
        ("helper/api:bob/main", "ses_bob"),
    ],
)
def test_a_session_is_found(cli: Any, sessions: Sessions, ref: str, meant: str) -> None:
    status, out, err = cli("session", "show", ref, "--json")

    assert status == 0, err
    assert json.loads(out)["session"]["id"] == meant
    assert (meant in err) is not ref.startswith("ses_")


def test_every_verb_finds_it(cli: Any, house: FakeHouse, sessions: Sessions) -> None:
    assert "stopped ses_desk" in cli("session", "stop", "helper/desk")[1]
    assert house.stopped == ["ses_desk"]
    assert cli("session", "transcript", "helper/desk")[0] == 0
    assert "Nothing was found." in cli("session", "search", "helper/desk", "word")[1]
    told = json.loads(cli("session", "receipt", "ses_d", "--json")[1])
    assert told["session"] == "ses_desk"
    spec = json.loads(cli("session", "forget", "helper/desk", "--json")[1])["row"]["change"]["spec"]
    assert (spec["session"], spec["agent"]) == ("ses_desk", sessions.agent)


def test_a_whole_id_asks_for_no_list(cli: Any, house: FakeHouse) -> None:
    session = json.loads(cli("chat", "demo", "hello", "--json")[1])["session"]

    status, _out, err = cli("session", "stop", session)

    assert (status, err) == (0, "")


@pytest.mark.parametrize(
    "argv", [("usage", "--session"), ("file", "list", "--session"), ("memory", "purge", "helper")]
)
def test_others_that_take_a_session_find_it_too(
    cli: Any, sessions: Sessions, argv: tuple[str, ...]
) -> None:
    assert cli(*argv, "ses_d")[0] == 0

    status, _out, err = cli(*argv, "ses_ab")
    assert status == 3
    assert "'ses_ab' could be 2 sessions." in err


@pytest.mark.parametrize("verb", ["show", "stop", "transcript", "receipt", "forget"])
def test_what_could_be_several_names_them(
    cli: Any, house: FakeHouse, sessions: Sessions, verb: str
) -> None:
    status, _out, err = cli("session", verb, "ses_ab")

    assert status == 3
    assert "'ses_ab' could be 2 sessions." in err
    assert "ses_abold, ses_abnew" in err
    assert house.stopped == []


@pytest.mark.parametrize("argv", [("stop",), ("forget", "--yes")])
def test_what_cannot_be_undone_takes_nobody_elses_session(
    cli: Any, house: FakeHouse, sessions: Sessions, argv: tuple[str, ...]
) -> None:
    status, _out, err = cli("session", *argv, "helper")

    assert status == 3
    assert "'helper' could be 5 sessions." in err
    assert house.stopped == []


def test_an_agent_alone_is_enough_where_it_has_one_session(cli: Any, house: FakeHouse) -> None:
    session = json.loads(cli("chat", "demo", "hello", "--json")[1])["session"]

    status, _out, err = cli("session", "stop", "demo")

    assert status == 0, err
    assert house.stopped == [session]


def test_a_chat_of_two_apps_is_ambiguous(cli: Any, sessions: Sessions) -> None:
    sessions.add("ses_other", "mail", "-100", active_ms=7)

    status, _out, err = cli("session", "show", "helper/-100")

    assert status == 3
    assert "Name one of ses_app, ses_other." in err


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("ses_x", "There is no session 'ses_x'."),
        ("ses_" + "a" * 16, "There is no session 'ses_aaaa"),
        ("nobody", "There is no session and no agent 'nobody'."),
        ("helper/none", "The agent helper has no session in a chat 'none'."),
        ("demo", "The agent demo has no session."),
        ("", "There is no session and no agent ''."),
    ],
)
def test_what_is_not_there_says_where_to_look(
    cli: Any, sessions: Sessions, ref: str, told: str
) -> None:
    status, _out, err = cli("session", "show", ref)

    assert status == 4
    assert told in err
    assert "ironclaw session list" in err


def test_a_receipt_of_a_stopped_house_is_found_by_the_beginning_of_an_id(cli: Any) -> None:
    settings = load_settings()
    settings.receipt_key_file.write_bytes(TestSigner().pem)
    for session in ("ses_abc", "ses_abd", "ses_fake"):
        place = settings.receipts_dir / session
        place.mkdir(parents=True)
        (place / "1.json").write_bytes(sealed(session).envelope)

    assert json.loads(cli("session", "receipt", "ses_f", "--json")[1])["session"] == "ses_fake"
    status, _out, err = cli("session", "receipt", "ses_ab")
    assert status == 3
    assert "ses_abc, ses_abd" in err
    assert cli("session", "receipt", "ses_x")[0] == 4
    status, _out, err = cli("session", "receipt", "helper")
    assert status == 4
    assert "'helper' is no id of a session" in err
    assert "ironclaw up" in err
