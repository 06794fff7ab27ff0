"""A box that writes without end, and people who do: the ledger takes so much and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ironclaw.core.codes import Code
from ironclaw.core.errors import PeerError, PolicyError
from ironclaw.services.hub import Hub
from ironclaw.store import chatlog, waiting
from ironclaw.testing.fakes_store import open_core_store, outbound
from ironclaw_contract.entries import Answered
from ironclaw_contract.records import Say, Step, TurnEnd

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ironclaw.testing.fakes_store import Conversation
    from ironclaw_contract.records import OutboundBody

pytestmark = pytest.mark.hostile


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Conversation]:
    async with open_core_store(tmp_path) as core:
        yield await core.begin()


async def commit(talk: Conversation, first: int, *bodies: OutboundBody) -> None:
    await talk.core.ledger.commit(talk.session, 0, outbound(first, *bodies))


async def test_a_turn_of_more_steps_than_the_agent_may_make_is_tampering(
    talk: Conversation,
) -> None:
    turn = (await talk.hear("go")).message.id
    most = talk.agent.max_steps
    steps = [
        Step(turn=turn, index=index, entries=(), says=(Say(text="spam", reply_to=turn),))
        for index in range(most + 2)
    ]
    await commit(talk, 1, *steps[: most + 1])
    with pytest.raises(PeerError) as caught:
        await commit(talk, most + 2, steps[-1])
    assert caught.value.code is Code.TAMPER
    assert caught.value.detail.startswith("steps:")


async def test_a_turn_that_uses_every_step_ends_well(talk: Conversation) -> None:
    turn = (await talk.hear("go")).message.id
    most = talk.agent.max_steps
    for index in range(most):
        await commit(talk, index + 1, Step(turn=turn, index=index, entries=(Answered("x"),)))
    await commit(talk, most + 1, TurnEnd(turn=turn, index=most, entries=(Answered("y"),)))
    assert await talk.core.ledger.backlog(talk.session) == []


async def test_steps_that_no_fresh_box_could_be_told_of_are_tampering(talk: Conversation) -> None:
    turn = (await talk.hear("go")).message.id
    large = (Answered("x" * 200_000),)
    for index in range(5):
        await commit(talk, index + 1, Step(turn=turn, index=index, entries=large))
    with pytest.raises(PeerError) as caught:
        await commit(talk, 6, Step(turn=turn, index=5, entries=large))
    assert caught.value.detail.startswith("size:")
    assert len((await talk.core.ledger.resume(talk.session, limit_bytes=1)).turn_entries) == 6


@pytest.mark.parametrize("limit", ["MAX_WAITING", "MAX_WAITING_BYTES"])
async def test_people_cannot_bury_an_agent_under_messages(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(waiting, limit, 3 if limit == "MAX_WAITING" else 3 * 1100)
    first = await talk.hear("x" * 1000, external_id="first")
    for _ in range(2):
        await talk.hear("x" * 1000)
    with pytest.raises(PolicyError) as caught:
        await talk.hear("x" * 1000, external_id="more")
    assert caught.value.code is Code.RATE_LIMITED
    assert not (await talk.hear("x" * 1000, external_id="first")).new
    await commit(talk, 1, TurnEnd(turn=first.message.id, index=0, entries=()))
    assert (await talk.hear("x" * 1000, external_id="more")).new


async def test_of_context_the_newest_is_kept(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING", 3)
    for number in range(7):
        await talk.hear(f"by the way {number}", engage=False)
    await talk.hear("now then")
    kept = [message.text for message in await talk.core.ledger.backlog(talk.session)]
    assert kept == ["by the way 4", "by the way 5", "by the way 6", "now then"]


async def test_long_events_are_read_in_short_pages(
    talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader holds a page, not a history, and still sees every event."""
    monkeypatch.setattr(chatlog, "PAGE_CHARS", 2500)
    for number in range(10):
        await talk.hear(f"{number}" * 1000)
    log = talk.core.chatlog
    assert len(await log.chat_events(talk.chat.id, after=0)) == 3
    newest = await log.transcript(talk.session, limit=1000)
    assert [event.text[0] for event in newest] == ["7", "8", "9"]
    watch = Hub(log).watch(talk.chat.id, after=0)
    assert [(await anext(watch)).text[0] for _ in range(10)] == [f"{n}" for n in range(10)]
    await watch.aclose()
