"""What an agent is told of its request: once, shown to its people, and never a turn of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import HostError
from ironclaw.core.ids import (
    AgentId,
    ChangeId,
    ChatId,
    GrantId,
    MessageId,
    PrincipalId,
    SessionId,
)
from ironclaw.domain.change import Asker, Change, Grant, Row, Status
from ironclaw.domain.changes.base import Topic
from ironclaw.domain.changes.persona import SetPersona
from ironclaw.domain.model import Message, MessageStatus
from ironclaw.domain.principals import house_principal
from ironclaw.domain.routing import Accepted
from ironclaw.services.hub import Hub
from ironclaw.services.telling import Telling

if TYPE_CHECKING:
    from ironclaw.store.chatlog import LoggedEvent

AGENT = AgentId("agt_a")
SESSION = SessionId("ses_s")
CHAT = ChatId("cht_c")


class Kept:
    """A ledger that says each key once, and a history that nobody asks."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}
        self.is_spoken_to = True
        self.broken: Code | None = None

    async def inform(self, session: SessionId, *, text: str, key: str) -> Accepted | None:
        if self.broken is not None:
            raise HostError(self.broken, "It does not work.")
        if not self.is_spoken_to:
            return None
        new = key not in self.said
        self.said.setdefault(key, text)
        message = Message(
            id=MessageId("msg_m"), session=session, chat=CHAT, thread="t", sender="IronClaw",
            text=self.said[key], at_ms=7, engage=False, status=MessageStatus.CONTEXT,
        )  # fmt: skip
        return Accepted(message, 3, new=new)

    async def chat_events(self, chat: ChatId, *, after: int, limit: int = 9) -> list[LoggedEvent]:
        raise AssertionError(chat, after, limit)

    async def last_event(self, chat: ChatId) -> int:
        raise AssertionError(chat)


class Teller:
    def __init__(self) -> None:
        self.kept = Kept()
        self.hub = Hub(self.kept)
        self.woken: list[tuple[SessionId, Message | None]] = []
        self.telling = Telling(
            ledger=self.kept,
            hub=self.hub,
            wake=lambda session, message: self.woken.append((session, message)),
        )


def row(asker: Asker, *, status: Status = Status.DONE, grant: Grant | None = None) -> Row:
    change = Change(
        id=ChangeId("chg_c"),
        spec=SetPersona(agent=AGENT, persona="kind"),
        asker=asker,
        created_ms=0,
        expires_ms=1,
    )
    return Row(change=change, hash="sha256:x", status=status, updated_ms=5, grant=grant)


BY_AGENT = Asker(principal=PrincipalId("agent:agt_a"), agent=AGENT, session=SESSION)
BY_PERSON = Asker(principal=PrincipalId("api:ann"))


async def test_it_is_kept_shown_and_handed_to_the_box() -> None:
    one = Teller()
    watch = one.hub.watch(CHAT, after=None)
    await one.telling.tell_asker(row(BY_AGENT), "It was approved.")
    seen = await anext(watch)

    assert (seen.kind, seen.id, seen.sender, seen.text) == (
        "message",
        3,
        "IronClaw",
        "It was approved.",
    )
    ((session, message),) = one.woken
    assert session == SESSION
    assert message is not None
    assert not message.engage
    await watch.aclose()


async def test_a_repeat_of_the_same_thing_is_not_shown_again() -> None:
    one = Teller()
    for _ in range(2):
        await one.telling.tell_asker(row(BY_AGENT), "It was approved.")
    assert len(one.woken) == 1


async def test_what_happens_later_to_the_same_change_is_said_too() -> None:
    one = Teller()
    ended = Grant(
        id=GrantId("grn_g"), change=ChangeId("chg_c"), topic=Topic.PERSONA, kind="persona",
        agent=AGENT, given_ms=1, ended_ms=9, ended_why="revoked",
    )  # fmt: skip
    await one.telling.tell_asker(row(BY_AGENT, status=Status.FAILED), "It failed.")
    await one.telling.tell_asker(row(BY_AGENT), "It was approved.")
    await one.telling.tell_asker(row(BY_AGENT, grant=ended), "It was taken back.")
    assert list(one.kept.said.values()) == ["It failed.", "It was approved.", "It was taken back."]


async def test_a_person_is_told_by_other_ways() -> None:
    one = Teller()
    await one.telling.tell_asker(row(BY_PERSON), "It was approved.")
    assert one.kept.said == {}


async def test_an_agent_hears_nothing_of_what_the_house_asked_for_in_its_conversation() -> None:
    one = Teller()
    house = Asker(principal=house_principal(AGENT), session=SESSION)
    await one.telling.tell_asker(row(house), "It was approved.")
    assert (one.kept.said, one.woken) == ({}, [])


async def test_where_nobody_is_left_to_tell_it_is_quiet() -> None:
    one = Teller()
    one.kept.is_spoken_to = False
    await one.telling.tell_asker(row(BY_AGENT), "x")
    one.kept.broken = Code.KEY_UNUSABLE
    await one.telling.tell_asker(row(BY_AGENT), "x")
    assert one.woken == []


async def test_a_store_that_fails_is_said() -> None:
    one = Teller()
    one.kept.broken = Code.DISK_FULL
    with pytest.raises(HostError):
        await one.telling.tell_asker(row(BY_AGENT), "x")
