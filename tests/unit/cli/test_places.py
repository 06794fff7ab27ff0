"""Chats are shown by the names that people type; `--json` has their ids."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ironclaw.cli.nouns.places import Places
from ironclaw.core.ids import ChatId, SessionId, TaskId, WiringId
from ironclaw.domain.model import (
    Chat,
    Engage,
    Partition,
    SenderScope,
    Session,
    Task,
    Wiring,
)
from ironclaw.domain.relaying import AGENT_CHANNEL

if TYPE_CHECKING:
    from ironclaw.testing.fake_house import FakeHouse

PLACES = Places(me="api:cli", agents={"agt_a": "helper", "agt_b": "clerk"})


@pytest.mark.parametrize(
    ("channel", "platform_id", "name", "told"),
    [
        ("api", "agt_a/api:cli/main", "helper / main", "helper / main"),
        ("api", "agt_a/api:bob/main", "helper / main of api:bob", "helper / main of api:bob"),
        ("api", "agt_a/mail:a/b@c/main", "helper / main of mail:a/b@c", None),
        ("api", "agt_gone/api:cli/main", "agt_gone / main", "agt_gone / main"),
        ("api", "desk", "desk", "desk"),
        ("telegram", "-100/7/8", "-100/7/8", "telegram -100/7/8"),
        ("agent", "agt_b/agt_a", "clerk / helper", "agent clerk / helper"),
        ("agent", "agt_b", "clerk", "agent clerk"),
    ],
)
def test_a_chat_has_the_name_that_is_typed(
    channel: str, platform_id: str, name: str, told: str | None
) -> None:
    assert name == PLACES.name(channel, platform_id)
    assert (told or name) == PLACES.told(channel, platform_id)


@pytest.fixture
def chats(house: FakeHouse) -> dict[str, str]:
    """A chat of one's own and one of an app, each wired to `helper`; their ids on the platform."""
    agent = house.add_agent("helper")
    ids = {"api": f"{agent.id}/api:cli/main", "test": "-100"}
    for number, (channel, platform_id) in enumerate(ids.items()):
        chat = Chat(id=ChatId(f"cht_{number}"), channel=channel, platform_id=platform_id)
        house.setting.chats[channel, platform_id] = chat
        wiring = Wiring(
            id=WiringId(f"wir_{number}"),
            chat=chat.id,
            agent=agent.id,
            engage=Engage.PATTERN,
            pattern=".",
            sender_scope=SenderScope.KNOWN,
            partition=Partition.SHARED,
        )
        house.setting.wirings[wiring.id] = wiring
        house.setting.tasks[TaskId(f"tsk_{number}")] = Task(
            id=TaskId(f"tsk_{number}"),
            agent=agent.id,
            name=f"report-{number}",
            channel=channel,
            platform_id=platform_id,
            prompt="x",
            every_s=900,
        )
        house.setting.sessions[SessionId(f"ses_{number}")] = Session(
            id=SessionId(f"ses_{number}"),
            agent=agent.id,
            chat=chat.id,
            thread=None,
            partition=Partition.SHARED,
        )
    return ids


@pytest.mark.parametrize("noun", ["task", "wiring", "session"])
def test_lists_show_names_and_json_shows_ids(
    cli: Any, house: FakeHouse, chats: dict[str, str], noun: str
) -> None:
    status, out, _err = cli(noun, "list")

    assert status == 0
    assert "helper / main" in out
    assert "-100" in out
    assert chats["api"] not in out
    raw = cli(noun, "list", "--json")[1]
    assert (chats["api"] if noun != "session" else "cht_0") in raw
    assert "helper / main" not in raw


def test_a_session_is_shown_with_its_chat(
    cli: Any, house: FakeHouse, chats: dict[str, str]
) -> None:
    assert "helper / main (cht_0)" in cli("session", "show", "ses_0")[1]
    assert "test -100 (cht_1)" in cli("session", "show", "ses_1")[1]

    house.setting.wirings.clear()  # it reaches no agent any more, and is still what it was

    assert "helper / main (cht_0)" in cli("session", "show", "ses_0")[1]
    assert json.loads(cli("session", "show", "ses_0", "--json")[1])["session"]["chat"] == "cht_0"


def test_a_session_of_two_agents_names_both(cli: Any, house: FakeHouse) -> None:
    both = [house.add_agent(name).id for name in ("helper", "friend")]
    place = (AGENT_CHANNEL, "/".join(both))
    house.setting.chats[place] = Chat(id=ChatId("cht_two"), channel=place[0], platform_id=place[1])
    house.setting.sessions[SessionId("ses_two")] = Session(
        id=SessionId("ses_two"),
        agent=both[0],
        chat=ChatId("cht_two"),
        thread=None,
        partition=Partition.SHARED,
    )

    assert "agent helper / friend" in cli("session", "list")[1]
    found = json.loads(cli("session", "list", "--json")[1])["sessions"]
    assert (found[0]["channel"], found[0]["platform_id"]) == place


def test_a_session_of_no_chat_has_none(cli: Any, house: FakeHouse) -> None:
    agent = house.add_agent("helper")
    house.setting.sessions[SessionId("ses_a")] = Session(
        id=SessionId("ses_a"),
        agent=agent.id,
        chat=None,
        thread=None,
        partition=Partition.AGENT_SHARED,
    )

    assert cli("session", "list")[1].splitlines()[1].split()[:3] == ["ses_a", "helper", "-"]
